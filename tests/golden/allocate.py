"""Objective values of allocation files by SciPy's HiGHS, one a line: a number, or "infeasible".

An independent reading of the files and an independent solver, for tests/it/allocate.rs. Usage: allocate.py FILE.toml ...
"""

import sys
import tomllib

import numpy as np
from scipy.optimize import linprog


def objective_value(question):
    goal = question["objective"]
    capacities = question.get("capacities", {})
    within = question.get("within_s")
    tasks = question["tasks"]
    columns = []  # (task, way)
    for number, task in enumerate(tasks):
        for way in task.get("ways", [task]):
            columns.append((number, way))
    count = len(columns)
    timed = within is not None or goal == "minimum-completion-time"
    # One variable more: the time, or the least level.
    extra = np.zeros(count + 1)
    extra[count] = 1.0
    upper, upper_bounds, equal, equal_bounds = [], [], [], []

    def seconds(way):
        return way["time_s"] if timed else 1.0

    def units(number):
        return np.array([float(task == number) for task, _ in columns] + [0.0])

    def at_most(row, there_is):
        if goal == "minimum-completion-time":
            upper.append(row - there_is * extra)
            upper_bounds.append(0.0)
        else:
            upper.append(row)
            upper_bounds.append(there_is * (within or 1.0))

    for name, capacity in capacities.items():
        used = [way.get("needs", {}).get(name, 0.0) * seconds(way) for _, way in columns]
        at_most(np.array(used + [0.0]), capacity)
    for number, task in enumerate(tasks):
        if "at_once" in task:
            busy = [seconds(way) * (owner == number) for owner, way in columns]
            at_most(np.array(busy + [0.0]), task["at_once"])
        demand, most = task.get("demand", 0.0), task.get("most", np.inf)
        if goal == "minimum-completion-time":
            equal.append(units(number))
            equal_bounds.append(demand)
            continue
        if goal == "minimum-shortfall":
            most = demand
        else:
            upper.append(-units(number))
            upper_bounds.append(-demand)
        if np.isfinite(most):
            upper.append(units(number))
            upper_bounds.append(most)
        if goal == "max-min-fairness":
            upper.append(task.get("weight", 1.0) * extra - units(number))
            upper_bounds.append(0.0)
    weights = np.array([tasks[number].get("weight", 1.0) for number, _ in columns] + [0.0])
    costs = np.array([way.get("cost", 0.0) for _, way in columns] + [0.0])
    factors = {
        "minimum-cost": costs,
        "minimum-completion-time": extra,
        "minimum-shortfall": -weights,
        "maximum-total": -weights,
        "max-min-fairness": -extra,
    }[goal]
    result = linprog(
        factors,
        A_ub=np.array(upper) if upper else None,
        b_ub=upper_bounds or None,
        A_eq=np.array(equal) if equal else None,
        b_eq=equal_bounds or None,
        bounds=(0, None),
        method="highs",
    )
    if result.status == 2:
        return "infeasible"
    assert result.status == 0, result.message
    if goal == "minimum-shortfall":
        wanted = sum(task.get("weight", 1.0) * task.get("demand", 0.0) for task in tasks)
        return repr(wanted + result.fun)
    if goal in ("maximum-total", "max-min-fairness"):
        return repr(-result.fun)
    return repr(result.fun)


for path in sys.argv[1:]:
    with open(path, "rb") as file:
        print(objective_value(tomllib.load(file)))
