"""Fills slot by slot, each time with the class of pods that keeps the remaining resources most balanced."""

from collections.abc import Sequence
from itertools import islice
from typing import Final

from algoplatform.planning.capacity.packing.board import Board

# Classes that all slots together may examine: some seconds. Trials for `addNodes` may have as many slots as pods; each
# slot then examines only the largest classes that it can hold, but at least _FEWEST.
_LOOKS: Final = 2_000_000
_FEWEST: Final = 16


def fill_balanced(board: Board, slots: Sequence[int], kinds: Sequence[int]) -> None:
    """Fill the slots, in this order, with pods of these classes.

    The next pod is the one with the least sum of w_d x (rest_d - demand_d)^2 over the dimensions d. The weight w_d is
    the amount of d still needed, divided by the amount still free. Amounts are relative to the mean free amount of a
    slot. The free CPU and memory of a node are divided evenly among its slots that are not filled yet.
    """
    amounts = (board.cpu, board.memory, board.gpu, board.shares)
    kinds = [kind for kind in kinds if board.left[kind]]
    need = [sum(of[kind] * board.left[kind] for kind in kinds) for of in amounts]
    nodes = list({board.slot_node[slot]: None for slot in slots})
    free: list[float] = [
        sum(board.node_cpu[node] for node in nodes),
        sum(board.node_memory[node] for node in nodes),
        sum(board.slot_memory[slot] for slot in slots),
        sum(board.slot_shares[slot] for slot in slots),
    ]
    coming: dict[int, int] = {}
    for slot in slots:
        coming[board.slot_node[slot]] = coming.get(board.slot_node[slot], 0) + 1
    window = max(_FEWEST, _LOOKS // max(1, len(slots)))
    for done, slot in enumerate(slots):
        if not kinds:
            return
        node = board.slot_node[slot]
        part = 1 / coming[node]
        coming[node] -= 1
        rest = [board.node_cpu[node] * part, board.node_memory[node] * part]
        rest += [board.slot_memory[slot], board.slot_shares[slot]]
        weights = [_weight(*of, len(slots) - done) for of in zip(need, free, strict=True)]
        chosen = kinds
        if len(kinds) > window:
            chosen = list(islice((kind for kind in reversed(kinds) if board.most(kind, slot)), window))
        for kind in _fill(board, slot, chosen, weights, part):
            need = [value - of[kind] for value, of in zip(need, amounts, strict=True)]
        free = [value - gone for value, gone in zip(free, rest, strict=True)]
        if not all(map(board.left.__getitem__, chosen)):
            kinds = [kind for kind in kinds if board.left[kind]]


def _weight(need: float, free: float, slots: int) -> float:
    return need / free / (free / slots) ** 2 if free > 0 else 0


def _fill(board: Board, slot: int, kinds: Sequence[int], weights: Sequence[float], part: float) -> list[int]:
    """Fill one slot and return the classes of its new pods; `part` of its node's free CPU and memory is for it."""
    cpus, memories, gpus, shares = board.cpu, board.memory, board.gpu, board.shares
    cpu_weight, memory_weight, gpu_weight, shares_weight = weights
    node = board.slot_node[slot]
    # rest^2 is the same for all classes, so the cost of a class is demand^2 - 2 x rest x demand.
    fixed = [
        cpu_weight * cpus[kind] ** 2 + memory_weight * memories[kind] ** 2
        + gpu_weight * gpus[kind] ** 2 + shares_weight * shares[kind] ** 2
        for kind in kinds
    ]  # fmt: skip
    fitting = list(zip(fixed, kinds, strict=True))
    others_cpu, others_memory = board.node_cpu[node] * (1 - part), board.node_memory[node] * (1 - part)
    put: list[int] = []
    while fitting := [entry for entry in fitting if board.left[entry[1]] and board.most(entry[1], slot)]:
        cpu = 2 * cpu_weight * (board.node_cpu[node] - others_cpu)
        memory = 2 * memory_weight * (board.node_memory[node] - others_memory)
        gpu = 2 * gpu_weight * board.slot_memory[slot]
        share = 2 * shares_weight * board.slot_shares[slot]
        best = min(
            (cost - cpu * cpus[kind] - memory * memories[kind] - gpu * gpus[kind] - share * shares[kind], kind)
            for cost, kind in fitting
        )[1]
        board.put(best, slot)
        put.append(best)
    return put
