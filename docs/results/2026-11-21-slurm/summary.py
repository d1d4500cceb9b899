"""The tables of README.md from rows.csv.gz: python3 summary.py. Needs nothing but Python."""

import csv
import gzip
import math
import pathlib
from collections import defaultdict
from statistics import mean, median, stdev

# 97.5 % quantiles of Student's t by degrees of freedom.
T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


def read():
    """Rows by who decides, then by seed."""
    runs = defaultdict(lambda: defaultdict(list))
    with gzip.open(pathlib.Path(__file__).with_name("rows.csv.gz"), "rt") as file:
        for row in csv.DictReader(file):
            runs[row["decides"]][int(row["seed"])].append(row)
    return runs


def average(rows, key):
    return mean(float(row[key]) for row in rows)


def interval(values):
    """Mean and half of the 95 % interval."""
    if len(values) < 2:
        return mean(values), math.nan
    return mean(values), T[len(values) - 1] * stdev(values) / math.sqrt(len(values))


def turnarounds(rows, node):
    """Seconds from the end of a job to the start of the next on a node whose four GPUs were all busy, while it waited."""
    mine = [row for row in rows if row["node"] == node]
    arrivals = {row["job"]: float(row["arrival_s"]) for row in mine}
    starts = sorted((arrivals[row["job"]] + float(row["wait_s"]), arrivals[row["job"]]) for row in mine)
    ends = sorted(arrivals[row["job"]] + float(row["completion_s"]) for row in mine)
    pairs = zip(ends, starts[4:])
    return [start - end for end, (start, arrival) in pairs if arrival < end]


def main():
    runs = read()
    base = runs["slurm"]
    print("| who decides | seeds | mean completion time, s | of that waiting, s | running, s | ratio to Slurm, paired |")
    print("|---|---|---|---|---|---|")
    for name, by_seed in runs.items():
        seeds = sorted(by_seed)
        all_rows = [row for seed in seeds for row in by_seed[seed]]
        ratios = [average(by_seed[s], "completion_s") / average(base[s], "completion_s") for s in seeds if s in base]
        ratio, half = interval(ratios)
        told = "1" if name == "slurm" else f"{ratio:.3f} ± {half:.3f}"
        figures = " | ".join(f"{average(all_rows, key):.2f}" for key in ["completion_s", "wait_s", "run_s"])
        print(f"| {name} | {len(seeds)} | {figures} | {told} |")
    print()
    seeds = sorted({seed for by_seed in runs.values() for seed in by_seed})
    print("| mean completion time, s | " + " | ".join(f"seed {seed}" for seed in seeds) + " |")
    print("|---|" + "---|" * len(seeds))
    for name, by_seed in runs.items():
        cells = [f"{average(by_seed[s], 'completion_s'):.2f}" if s in by_seed else "" for s in seeds]
        print(f"| {name} | " + " | ".join(cells) + " |")
    print()
    with open(pathlib.Path(__file__).with_name("simulated.csv")) as file:
        simulated = {(row["decides"], int(row["seed"])): float(row["mean_completion_s"]) for row in csv.DictReader(file)}
    print("| mean completion time, s | simulated | live | live over simulated | live minus simulated, s |")
    print("|---|---|---|---|---|")
    for name, by_seed in runs.items():
        pairs = [(simulated[name, s], average(rows, "completion_s")) for s, rows in by_seed.items() if (name, s) in simulated]
        if pairs:
            (told, true), (ratio, half) = map(mean, zip(*pairs)), interval([live / sim for sim, live in pairs])
            print(f"| {name} | {told:.2f} | {true:.2f} | {ratio:.3f} ± {half:.3f} | {true - told:.2f} |")
    print()
    print("| median, s | from submission to start on the empty cluster | from one job to the next on a GPU |")
    print("|---|---|---|")
    for name, by_seed in runs.items():
        first = [float(row["wait_s"]) for rows in by_seed.values() for row in rows[:4]]
        turns = [turn for rows in by_seed.values() for node in ["gpu1", "gpu2"] for turn in turnarounds(rows, node)]
        print(f"| {name} | {median(first):.2f} | {median(turns):.2f} |")
    print()
    print("| jobs on | gpu1 (V100) | gpu2 (P100) | gpu3 (K80) | last job ends after, s |")
    print("|---|---|---|---|---|")
    for name, by_seed in runs.items():
        all_rows = [row for rows in by_seed.values() for row in rows]
        shares = [sum(row["node"] == node for row in all_rows) / len(all_rows) for node in ["gpu1", "gpu2", "gpu3"]]
        ends = [max(float(row["arrival_s"]) + float(row["completion_s"]) for row in rows) for rows in by_seed.values()]
        print(f"| {name} | " + " | ".join(f"{share:.0%}" for share in shares) + f" | {mean(ends):.0f} |")


main()
