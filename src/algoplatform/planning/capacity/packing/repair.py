"""Places remaining pods by moving pods that are already placed."""

from collections.abc import Sequence

from algoplatform.planning.capacity.packing.board import Board


class Work:
    """A budget of steps, some millions a second; unlike a deadline, it gives the same result in each run."""

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def spend(self, steps: int) -> None:
        self._steps -= steps

    def __bool__(self) -> bool:
        return self._steps > 0


def insert(board: Board) -> None:
    """Put every pod that still fits somewhere into the fullest slot that holds it, the largest first."""
    for kind in _largest_first(board):
        _insert(board, kind)


def _largest_first(board: Board) -> list[int]:
    return sorted((kind for kind, left in enumerate(board.left) if left), key=lambda kind: (-board.size[kind], kind))


def _insert(board: Board, kind: int) -> None:
    fitting = [slot for slot in board.slots_for(kind) if board.most(kind, slot)]
    for slot in sorted(fitting, key=lambda slot: (board.slot_memory[slot], board.node_cpu[board.slot_node[slot]])):
        if pods := min(board.left[kind], board.most(kind, slot)):
            board.put(kind, slot, pods)


def _insert_one(board: Board, kind: int) -> bool:
    """Put one pod of a class into the fullest slot that holds it."""
    gpu, shares, memory, free = board.gpu[kind], board.shares[kind], board.slot_memory, board.slot_shares
    roomy = [slot for slot in board.slots_for(kind) if memory[slot] >= gpu and free[slot] >= shares]
    roomy = [slot for slot in roomy if board.most(kind, slot)]
    if not roomy:
        return False
    board.put(kind, min(roomy, key=lambda slot: (memory[slot], board.node_cpu[board.slot_node[slot]])))
    return True


def repair(board: Board, work: Work) -> None:
    """Exchange placed pods for waiting ones, until none waits, no exchange helps, or the budget is used up."""
    insert(board)
    before = -1
    while work and board.unplaced() and before != (before := board.unplaced()):
        for kind in _largest_first(board):
            while work and board.left[kind] and _chain(board, kind, work):
                pass
        _take_in_two(board, work)
        # An exchange may leave room for other pods.
        insert(board)


def _take_in_two(board: Board, work: Work) -> None:
    """Replace pods wherever several smaller ones fit instead."""
    waiting = _largest_first(board)[::-1]
    for slot, inside in enumerate(board.inside):
        for kind in sorted(inside, key=lambda kind: (-board.size[kind], kind)):
            if board.unplaced() < 2 or not work:
                return
            smaller = [other for other in waiting if board.size[other] < board.size[kind]]
            work.spend(1 + len(smaller))
            if smaller and _swap(board, slot, kind, smaller):
                waiting = _largest_first(board)[::-1]


def _swap(board: Board, slot: int, kind: int, waiting: Sequence[int]) -> bool:
    """Replace a pod by smaller waiting ones and return True; if fewer than two fit, undo it and return False."""
    board.put(kind, slot, -1)
    taken = []
    for other in waiting:
        bare = slot in board.bare
        if board.on_card[other] != bare and (pods := min(board.left[other], board.most(other, slot))):
            board.put(other, slot, pods)
            taken.append((other, pods))
    if sum(pods for _, pods in taken) > 1:
        return True
    for other, pods in taken:
        board.put(other, slot, -pods)
    board.put(kind, slot)
    return False


def _chain(board: Board, kind: int, work: Work) -> bool:
    """Place a pod by evicting a smaller one, which evicts another in turn; return True if the last one finds room."""
    current = kind
    while work:
        found = _exchange(board, current, work)
        if found is None:
            return False
        slot, other, source = found
        board.put(other, source, -1)
        board.put(current, slot)
        work.spend(len(board.slot_node) // 4)
        if _insert_one(board, other):
            return True
        current = other
    return False


def _exchange(board: Board, kind: int, work: Work) -> tuple[int, int, int] | None:
    """Return the slot for a pod, the smallest class to evict for it, and the slot to evict that class from."""
    lowest, best = board.size[kind], None
    cpu, memory, gpu, shares = board.cpu[kind], board.memory[kind], board.gpu[kind], board.shares[kind]
    size, cpus, memories, gpus, all_shares = board.size, board.cpu, board.memory, board.gpu, board.shares
    for node, slots in enumerate(board.cards):
        cpu_lacks, memory_lacks = cpu - board.node_cpu[node], memory - board.node_memory[node]
        everywhere = [*slots, board.bare[node]]
        is_roomy = False
        for slot in slots if board.on_card[kind] else everywhere[-1:]:
            gpu_lacks, shares_lack = gpu - board.slot_memory[slot], shares - board.slot_shares[slot]
            sources: Sequence[int] = (slot,)
            if gpu_lacks <= 0 and shares_lack <= 0:
                # The card has room, so the node lacks CPU or memory, which any of its pods may free: examine them once.
                sources = () if is_roomy else everywhere
                is_roomy = True
            work.spend(1 + len(sources))
            for source in sources:
                work.spend(len(board.inside[source]))
                for other in board.inside[source]:
                    if (
                        size[other] < lowest
                        and cpus[other] >= cpu_lacks
                        and memories[other] >= memory_lacks
                        and (source != slot or (gpus[other] >= gpu_lacks and all_shares[other] >= shares_lack))
                    ):
                        lowest, best = size[other], (slot, other, source)
    return best
