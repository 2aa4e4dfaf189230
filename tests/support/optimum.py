"""The most pods that can be placed, by OR-tools: a program that reads cases as JSON lines and answers a line for each.

A case is {"nodes": [{"cpu", "memory", "pods", "cards": [[memory, shares]]}], "demands": [[replicas, cpu, memory, gpu,
shares]]}; the answer is a proven upper bound of the pods placed, and what was reached.
"""

import json
import sys
from typing import Any

from ortools.sat.python import cp_model  # type: ignore[import-not-found,unused-ignore]

SECONDS = 10


def solve(case: dict[str, Any]) -> dict[str, int]:
    """Return the bound and the number of placed pods for one case."""
    model = cp_model.CpModel()
    placed: list[list[Any]] = [[] for _ in case["demands"]]
    for node in case["nodes"]:
        on_node: list[tuple[list[int], Any]] = []
        for card in [*node["cards"], None]:
            on_card: list[tuple[list[int], Any]] = []
            for at, (replicas, *each) in enumerate(case["demands"]):
                if bool(each[2] or each[3]) == (card is not None):
                    count = model.new_int_var(0, replicas, "")
                    placed[at].append(count)
                    on_card.append((each, count))
            for dimension, limit in zip((2, 3), card or (), strict=False):
                model.add(sum(each[dimension] * count for each, count in on_card) <= limit)
            on_node.extend(on_card)
        for dimension, limit in ((0, node["cpu"]), (1, node["memory"])):
            model.add(sum(each[dimension] * count for each, count in on_node) <= limit)
        model.add(sum(count for _, count in on_node) <= node["pods"])
    for (replicas, *_), counts in zip(case["demands"], placed, strict=True):
        model.add(sum(counts) <= replicas)
    model.maximize(sum(count for counts in placed for count in counts))
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = SECONDS
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 1
    solver.solve(model)
    return {"bound": int(solver.best_objective_bound), "placed": int(solver.objective_value)}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(solve(json.loads(line))), flush=True)
