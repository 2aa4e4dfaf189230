"""Fills node by node so that the remaining pods keep their mix of sizes, and of CPU and memory per GPU memory.

Always taking the largest pod that fits would leave the small pods for the end, when cards run out of shares, and
leave the CPU of some nodes unused. Here each card takes pods from a queue in which the replicas of all classes are
spread evenly, and prefers those that use up CPU and memory as fast as GPU memory. The last two pods of a card are
the pair that fills it best. Cards are filled to the MiB while there are many pods to choose from, so that the slack
of the cluster is kept for the end, when there are few.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from algoplatform.planning.capacity.packing.board import Board

_GOLDEN: Final = 0.618
# The most queues; the queue is split by card size, so that large cards take the pods that only they can hold.
_TIERS: Final = 8
# Number of nodes after which the CPU and memory per MiB of GPU memory are recomputed from the remaining nodes, and
# how often at most, as a trial for `addNodes` may have tens of thousands of nodes.
_REFRESH: Final = 8
_REFRESHES: Final = 250
_FIRSTS: Final = 48
_NEAR: Final = 4


@dataclass(frozen=True, slots=True)
class Mix:
    """The parameters of a filling, found by measurement.

    `front` moves the largest pods forward by this part of the queue. `strictness` is the cost of a MiB's worth of
    unbalanced CPU or memory, if a wasted MiB of a card costs 1. `window` is the number of pods to examine in a queue
    for each pick. A card gets its last pair once it has room for less than `ending` mean pods. `offset` shifts the
    classes against each other in the queue.
    """

    front: float = 0.4
    strictness: float = 0.15
    window: int = 60
    ending: float = 2.2
    offset: float = _GOLDEN


def fill_mixed(board: Board, order: Sequence[int], mix: Mix) -> None:
    """Fill the cards of the nodes, in this order, with the pods that need cards."""
    _Filling(board, order, mix).run()


class _Filling:
    """One pass over the nodes."""

    def __init__(self, board: Board, order: Sequence[int], mix: Mix) -> None:
        self.board, self.mix = board, mix
        self.gpu_free = [sum(board.slot_memory[slot] for slot in slots) for slots in board.cards]
        self.order = [node for node in order if board.cards[node]]
        self.kinds = [kind for kind, left in enumerate(board.left) if left and board.on_card[kind]]
        amounts = (board.cpu, board.memory, board.gpu)
        self.need = [sum(of[kind] * board.left[kind] for kind in self.kinds) for of in amounts]
        self.pods = sum(board.left[kind] for kind in self.kinds)
        sizes = sorted((board.gpu[kind], kind) for kind in self.kinds)
        # The classes with pods left, sorted by GPU memory.
        self.sizes = [size for size, _ in sizes]
        self.by_size = [kind for _, kind in sizes]
        self.bounds, self.tiers = self._queues()
        self.cpu_balance = self.memory_balance = _NO_BALANCE
        self._find_least()

    def _find_least(self) -> None:
        """Find the least CPU and memory that any class with pods left takes."""
        self.least_cpu = min((self.board.cpu[kind] for kind in self.by_size), default=0)
        self.least_memory = min((self.board.memory[kind] for kind in self.by_size), default=0)

    def _queues(self) -> tuple[list[int], list[list[tuple[float, int]]]]:
        """Return card sizes in MiB, and for each a queue of (key, class) with the next pod at the end.

        A class is in the queue of the smallest size that holds it.
        """
        board, mix = self.board, self.mix
        capacities = sorted({board.slot_memory[slot] for node in self.order for slot in board.cards[node]})
        bounds = capacities[:: -(-len(capacities) // _TIERS) or 1]
        largest = max((board.gpu[kind] for kind in self.kinds), default=0) or 1
        queues: list[list[tuple[float, int]]] = [[] for _ in bounds]
        for kind in self.kinds:
            pods, size = board.left[kind], board.gpu[kind]
            early = (1 - mix.front * size / largest) / pods
            start = kind * mix.offset % 1
            tier = next((at for at, bound in enumerate(bounds) if size <= bound), len(bounds) - 1)
            queues[tier].extend(((pod + start) * early, kind) for pod in range(pods))
        for queue in queues:
            queue.sort(reverse=True)
        return bounds, queues

    def run(self) -> None:
        board = self.board
        refresh = max(_REFRESH, -(-len(self.order) // _REFRESHES))
        for turn, node in enumerate(self.order):
            if turn % refresh == 0:
                self._refresh(self.order[turn:])
            if not self.sizes:
                return
            later = self.gpu_free[node]
            self.cpu_balance = _Balance.of(board.node_cpu[node], later, self.cpu_rate, self.mix.strictness)
            self.memory_balance = _Balance.of(board.node_memory[node], later, self.memory_rate, self.mix.strictness)
            for slot in board.cards[node]:
                later -= board.slot_memory[slot]
                self._draw(slot, later)
                while self._pair(slot, later):
                    pass

    def _refresh(self, nodes: Sequence[int]) -> None:
        board, gpu = self.board, self.gpu_free
        self.cpu_rate = _rate(self.need[0], [(board.node_cpu[node], gpu[node]) for node in nodes])
        self.memory_rate = _rate(self.need[1], [(board.node_memory[node], gpu[node]) for node in nodes])

    def _put(self, kind: int, slot: int) -> None:
        board = self.board
        board.put(kind, slot)
        self.need[0] -= board.cpu[kind]
        self.need[1] -= board.memory[kind]
        self.need[2] -= board.gpu[kind]
        self.pods -= 1
        if not board.left[kind]:
            at = self.by_size.index(kind)
            del self.by_size[at], self.sizes[at]
            self._find_least()

    def _draw(self, slot: int, later: int) -> None:
        """Take pods from the queues until a pair can fill a card; the node's next cards have `later` MiB."""
        board = self.board
        node = board.slot_node[slot]
        while self.pods and board.slot_shares[slot] > 2 and board.node_pods[node] > 2:
            mean = self.need[2] / self.pods
            if board.slot_memory[slot] <= self.mix.ending * mean:
                return
            found = self._best_of_queue(slot, later, mean)
            if found is None:
                return
            queue, at = found
            self._put(queue.pop(at)[1], slot)

    def _best_of_queue(self, slot: int, later: int, mean: float) -> tuple[list[tuple[float, int]], int] | None:
        board, window = self.board, self.mix.window
        free = board.slot_memory[slot]
        node = board.slot_node[slot]
        cpu_free, memory_free = board.node_cpu[node], board.node_memory[node]
        cpus, memories, gpus, shares, left = board.cpu, board.memory, board.gpu, board.shares, board.left
        shares_free = board.slot_shares[slot]
        cpu, memory = self.cpu_balance, self.memory_balance
        # A larger pod would leave a rest that few pods fill.
        most = free - 0.8 * mean
        lowest, best = inf, None
        for bound, queue in zip((0, *self.bounds), self.tiers, strict=False):
            if bound > free:
                break
            at, seen = len(queue), 0
            while at and seen < window:
                at -= 1
                key, kind = queue[at]
                if not left[kind]:
                    # Pairs took the last pods of this class without removing them from the queue.
                    del queue[at]
                    continue
                seen += 1
                cpu_rest, memory_rest = cpu_free - cpus[kind], memory_free - memories[kind]
                if gpus[kind] > most or cpu_rest < 0 or memory_rest < 0 or shares[kind] > shares_free:
                    continue
                rest = later + free - gpus[kind]
                cost = (
                    key * mean * 4
                    + cpu.weight * abs(cpu_rest - cpu.surplus - cpu.rate * rest)
                    + memory.weight * abs(memory_rest - memory.surplus - memory.rate * rest)
                )
                if cost < lowest:
                    # The index counts from the end, so that later deletions in front of it do not change it.
                    lowest, best = cost, (queue, at - len(queue))
        return best

    def _pair(self, slot: int, later: int) -> bool:
        """Put in the pod or pair that fills a card best and keeps the balance; return False if nothing fits."""
        board = self.board
        node, free = board.slot_node[slot], board.slot_memory[slot]
        cpu_free, memory_free = board.node_cpu[node], board.node_memory[node]
        room = min(board.slot_shares[slot], board.node_pods[node])
        sizes, kinds, left = self.sizes, self.by_size, board.left
        cpus, memories, shares = board.cpu, board.memory, board.shares
        end = bisect_right(sizes, free)
        # Otherwise all classes would be examined for each node whose CPU or memory is used up.
        if room < 1 or not end or cpu_free < self.least_cpu or memory_free < self.least_memory:
            return False
        cpu, memory = self.cpu_balance, self.memory_balance
        cpu_goal, memory_goal = cpu.surplus + cpu.rate * later, memory.surplus + memory.rate * later
        shares_free = board.slot_shares[slot]
        firsts: list[tuple[int | None, int, int, int, int]] = [(None, free, cpu_free, memory_free, shares_free)]
        if room > 1:
            for at in range(0, end, max(1, end // _FIRSTS)):
                kind = kinds[at]
                firsts.append(
                    (
                        kind,
                        free - sizes[at],
                        cpu_free - cpus[kind],
                        memory_free - memories[kind],
                        shares_free - shares[kind],
                    )
                )
        lowest, best = inf, None
        for first, gpu_rest, cpu_rest, memory_rest, shares_rest in firsts:
            if cpu_rest < 0 or memory_rest < 0:
                continue
            last = bisect_right(sizes, gpu_rest, 0, end)
            for at in range(max(0, last - _NEAR), last):
                kind = kinds[at]
                cpu_end, memory_end = cpu_rest - cpus[kind], memory_rest - memories[kind]
                if cpu_end < 0 or memory_end < 0 or shares_rest < shares[kind] or (kind == first and left[kind] < 2):
                    continue
                cost = gpu_rest - sizes[at] + cpu.weight * abs(cpu_end - cpu_goal)
                cost += memory.weight * abs(memory_end - memory_goal)
                if cost < lowest:
                    lowest, best = cost, (first, kind)
        if best is None:
            return self._any(slot, end)
        for chosen in best:
            if chosen is not None:
                self._put(chosen, slot)
        return True

    def _any(self, slot: int, end: int) -> bool:
        """Put in the largest pod that fits: `_pair`, which tries only sizes close to the best, may have missed it."""
        for at in range(end - 1, -1, -1):
            if self.board.most(self.by_size[at], slot):
                self._put(self.by_size[at], slot)
                return True
        return False


@dataclass(frozen=True, slots=True)
class _Balance:
    """How much of a node's CPU (or memory) pods should use for each MiB of its cards.

    `rate` is that amount, `surplus` what stays free when the cards are full; `weight` converts a deviation into MiB.
    """

    rate: float
    surplus: float
    weight: float

    @classmethod
    def of(cls, free: int, gpu: int, rate: float, strictness: float) -> "_Balance":
        if not free or not gpu:
            return _NO_BALANCE
        taken = min(rate, free / gpu)
        if not taken:
            return _NO_BALANCE
        # A node with much to spare need not be balanced exactly.
        tight = (taken * gpu / free) ** 6
        return cls(taken, free - taken * gpu, strictness * tight / taken)


_NO_BALANCE: Final = _Balance(0, 0, 0)


def _rate(need: int, nodes: Sequence[tuple[int, int]]) -> float:
    """Return the rate r at which sum(min(r x gpu, free)) over the nodes is the need; infinite if none suffices."""
    rising = sorted((free / gpu, gpu) for free, gpu in nodes if gpu)
    total = sum(gpu for _, gpu in rising)
    rest: float = need
    for rate, gpu in rising:
        if rate * total >= rest:
            return rest / total
        rest -= rate * gpu
        total -= gpu
    return inf
