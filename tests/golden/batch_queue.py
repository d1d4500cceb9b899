#!/usr/bin/env python3
"""The batch-queue disciplines once more, to have something to compare Yardmaster with.

This program shares no code with Yardmaster. It was written from a description of the published simulator alone
(see the comments below), and it was checked before its output was committed: on all 252 runs of the published
simulator at hand (3 traces x 7 sequences of 1,024 jobs x 6 rules x with and without backfilling) it gives the
published start time of every job. `--check REFERENCE.json STARTS.json.gz` repeats that.

usage: batch_queue.py TRACE.swf > golden.json
       batch_queue.py --check REFERENCE.json STARTS.json.gz   (the traces lie beside REFERENCE.json)

The output has one key for each rule and discipline; its value lists the start of each job in seconds, in the order of
the parsed trace (dropped jobs left out), for the whole trace on an empty cluster. Nothing but the standard library.
"""

import gzip
import json
import math
import os
import sys
from collections import namedtuple

Job = namedtuple("Job", "index id submit run procs requested nodes")

# Lower first. `published`: the defect of the published cells, where the time waited is -1 - submit.
KEYS = {
    "fcfs": lambda job: (job.submit,),
    "sjf": lambda job: (job.requested, job.submit),
    "smallest": lambda job: (job.procs, job.submit),
    "f1": lambda job: (math.log10(job.requested or 0.1) * job.procs + 870 * math.log10(job.submit or 0.1),),
    "wfp3-published": lambda job: (-(((-1 - job.submit) / job.requested) ** 3) * job.procs,),
    "unicep-published": lambda job: (-(-1 - job.submit + 1e-15) / (math.log2(job.procs + 1e-15) * job.requested),),
}
PUBLISHED_NAMES = {"FCFS": "fcfs", "SJF": "sjf", "Smallest": "smallest", "F1": "f1"}
PUBLISHED_NAMES |= {"WFP3": "wfp3-published", "UNICEP": "unicep-published"}
DISCIPLINES = ("commit", "commit-backfill")


def read(path):
    """The jobs of a Standard Workload Format file and the number of nodes."""
    header, rows = {}, []
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith(";"):
                name, _, value = line[1:].partition(":")
                if name.strip() in ("MaxNodes", "MaxProcs"):
                    header[name.strip()] = int(value)
            elif line.strip():
                rows.append(line.split())
    nodes = header["MaxNodes"]
    procs_per_node = (header.get("MaxProcs") or nodes) // nodes
    jobs = []
    for fields in rows:
        number = lambda at: int(float(fields[at - 1]))
        raw = number(4)
        requested = raw if number(9) == -1 else number(9)
        run = 10 if raw < 0 else raw
        if run == 0:
            continue
        procs = max(number(5), number(8))
        jobs.append(Job(0, number(1), number(2), run, procs, requested, -(-procs // procs_per_node)))
    jobs.sort(key=lambda job: job.id)
    return [job._replace(index=index) for index, job in enumerate(jobs)], nodes


class Queue:
    """One pool of nodes; the chosen job is committed, however long it has to wait."""

    def __init__(self, jobs, nodes, key, backfill):
        self.jobs, self.free, self.key, self.backfill = jobs, nodes, key, backfill
        self.now = jobs[0].submit
        self.next = 0  # the next arrival
        self.queue, self.running = [], []  # running: (job, start), in order of start
        self.starts = {}

    def event(self):
        """One arrival, or one release; arrivals win ties."""
        ending = min(self.running, key=lambda pair: pair[1] + pair[0].run, default=None)  # the first of equals
        finish = math.inf if ending is None else ending[1] + ending[0].run
        if self.next < len(self.jobs) and self.jobs[self.next].submit <= finish:
            self.now = max(self.now, self.jobs[self.next].submit)
            self.queue.append(self.jobs[self.next])
            self.next += 1
        else:
            if ending is None:
                raise RuntimeError("a job needs more nodes than there are")
            self.now = max(self.now, finish)
            self.free += ending[0].nodes
            self.running.remove(ending)

    def start(self, job):
        self.queue.remove(job)
        self.free -= job.nodes
        self.running.append((job, self.now))
        self.starts[job.index] = self.now

    def shadow(self, head):
        """When the head should be able to start, by the times that users asked for."""
        free, time = self.free, self.now
        for job, start in sorted(self.running, key=lambda pair: pair[1] + pair[0].requested):
            free, time = free + job.nodes, start + job.requested
            if free >= head.nodes:
                break
        return time

    def commit(self, head):
        """Lets events pass until the head fits; with backfilling, short jobs overtake it meanwhile."""
        shadow = self.shadow(head) if self.backfill and head.nodes > self.free else None
        while head.nodes > self.free:
            if shadow is not None:
                for job in sorted(self.queue, key=lambda job: job.submit):
                    if job is not head and job.nodes <= self.free and self.now + job.requested < shadow:
                        self.start(job)
            self.event()
        self.start(head)

    def run(self):
        while self.queue or self.next < len(self.jobs):
            if self.queue:
                self.queue.sort(key=self.key)  # in place and stable: ties keep the order of earlier sorts
                self.commit(self.queue[0])
            else:
                self.event()
        return [self.starts[job.index] for job in self.jobs]


def starts(jobs, nodes, rule, discipline):
    jobs = [job._replace(index=index) for index, job in enumerate(jobs)]
    return Queue(jobs, nodes, KEYS[rule], discipline == "commit-backfill").run()


def check(reference, published):
    with open(reference, encoding="utf-8") as file:
        records = json.load(file)["records"]
    with gzip.open(published, "rt", encoding="utf-8") as file:
        published = json.load(file)
    traces, good = {}, 0
    for record in records:
        name = record["trace"]
        if name not in traces:
            traces[name] = read(os.path.join(os.path.dirname(reference), name))
        jobs, nodes = traces[name]
        first, backfill = record["start_index"], record["backfill"]
        ours = starts(jobs[first : first + record["length"]], nodes, PUBLISHED_NAMES[record["policy"]], DISCIPLINES[backfill])
        key = f"{name}|{int(backfill)}|{record['sequence']}|{first}|{record['policy']}"
        good += ours == published[key]
        if ours != published[key]:
            print(f"differs: {key}")
    print(f"{good} of {len(records)} runs identical, job for job")
    return good == len(records)


def main(arguments):
    if len(arguments) == 3 and arguments[0] == "--check":
        return 0 if check(arguments[1], arguments[2]) else 1
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    jobs, nodes = read(arguments[0])
    runs = {f"{rule} {name}": starts(jobs, nodes, rule, name) for rule in KEYS for name in DISCIPLINES}
    rows = ",\n".join(f"  {json.dumps(run)}: {json.dumps(times)}" for run, times in runs.items())
    print("{\n" + rows + "\n}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
