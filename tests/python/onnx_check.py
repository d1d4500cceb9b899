"""Holds exported policies to ONNX's checker and to recorded decisions.

usage: onnx_check.py FOLDER

The folder has `NAME.onnx` and, beside each, `NAME.json`: a list of decisions with the inputs that our own forward pass was
given and the logits and the action that it gave. Each decision is asked alone, and all of a policy at once, padded. Prints
one JSON object with what was found; the caller judges it.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime


def rows(values, width):
    return np.asarray(values, np.float32).reshape(-1, width)


def padded(arrays, fill):
    """Stacks arrays that differ in their first length: (batch, longest, ...)."""
    longest = max(len(array) for array in arrays)
    out = np.full((len(arrays), longest, *arrays[0].shape[1:]), fill, arrays[0].dtype)
    for at, array in enumerate(arrays):
        out[at, : len(array)] = array
    return out


def actions(decision, marked):
    """A mask over candidates and wait; `marked` are places in our own list of actions."""
    mask = np.zeros(len(decision["pairs"]) + 1, bool)
    mask[list(marked)] = True
    return mask


def with_wait_last(masks):
    """Waiting stays the last action when candidates are padded."""
    candidates = padded([mask[:-1] for mask in masks], False)
    return np.concatenate([candidates, np.asarray([mask[-1:] for mask in masks])], axis=1)


def inputs(decisions, widths):
    """The model's inputs for a batch of decisions, padded with numbers that must not matter."""
    jobs = [rows(d["jobs"], widths["jobs"]) for d in decisions]
    nodes = [rows(d["nodes"], widths["nodes"]) for d in decisions]
    legal = [actions(d, range(len(d["logits"]))) for d in decisions]
    prior = [actions(d, [] if d["prior"] is None else [d["prior"]]) for d in decisions]
    return {
        "global": np.asarray([d["global"] for d in decisions], np.float32),
        "jobs": padded(jobs, np.nan),
        "nodes": padded(nodes, np.nan),
        "pair_features": padded([rows(d["pair_features"], widths["pair_features"]) for d in decisions], 9.0),
        "pairs": padded([np.asarray(d["pairs"], np.int64).reshape(-1, 2) for d in decisions], 0),
        "job_mask": padded([np.ones(len(group), bool) for group in jobs], False),
        "node_mask": padded([np.ones(len(group), bool) for group in nodes], False),
        "action_mask": with_wait_last(legal),
        "prior_mask": with_wait_last(prior),
    }


def judge(decision, logits, action, found):
    """Compares one row of the model's answer, possibly padded, with what was recorded."""
    count = len(decision["pairs"])
    action = count if action == len(logits) - 1 else action
    logits = np.concatenate([logits[:count], logits[-1:]])
    expected = np.asarray(decision["logits"], np.float64)
    scale = max(1.0, float(np.abs(expected).max()))
    error = float(np.abs(logits[: len(expected)] - expected).max()) / scale
    found["largest_error"] = max(found["largest_error"], error)
    found["decisions"] += 1
    if action != decision["action"]:
        apart = abs(expected[action] - expected[decision["action"]]) / scale
        found["near_ties" if apart <= 2e-5 else "other_choices"] += 1


def check(path, session_options):
    model = onnx.load(str(path))
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(str(path), session_options, providers=["CPUExecutionProvider"])
    widths = {value.name: value.shape[-1] for value in session.get_inputs()}
    decisions = json.loads(path.with_suffix(".json").read_text())
    kinds = ("alone", "padded")
    found = {kind: {"decisions": 0, "largest_error": 0.0, "near_ties": 0, "other_choices": 0} for kind in kinds}
    for batch, kind in [([decision], "alone") for decision in decisions] + [(decisions, "padded")]:
        logits, chosen = session.run(["logits", "action"], inputs(batch, widths))
        for decision, row, action in zip(batch, logits, chosen, strict=True):
            judge(decision, row, action, found[kind])
    found["metadata"] = {entry.key: entry.value for entry in model.metadata_props}
    return found


def main():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    folder = pathlib.Path(sys.argv[1])
    print(json.dumps({path.stem: check(path, options) for path in sorted(folder.glob("*.onnx"))}))


if __name__ == "__main__":
    main()
