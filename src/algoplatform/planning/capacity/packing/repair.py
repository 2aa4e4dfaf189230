"""Place what is left by moving what is placed."""

from algoplatform.planning.capacity.packing.board import Board


class Work:
    """A bound in steps, some millions a second: unlike a deadline, it gives the same result each time."""

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def spend(self, steps: int) -> None:
        """Take off steps that were made."""
        self._steps -= steps

    def __bool__(self) -> bool:
        return self._steps > 0


def insert(board: Board) -> None:
    """Put every pod that still fits somewhere into the fullest slot that holds it, the largest first."""
    for kind in _largest_first(board):
        _insert(board, kind)


def _largest_first(board: Board) -> list[int]:
    return sorted((kind for kind, left in enumerate(board.left) if left), key=lambda kind: (-board.size[kind], kind))


def _insert(board: Board, kind: int, most: int | None = None) -> int:
    """Put in as many pods of a class as fit, `most` at the most; return their number."""
    wanted = board.left[kind] if most is None else most
    begun = wanted
    fitting = [slot for slot in board.slots_for(kind) if board.most(kind, slot)]
    fitting.sort(key=lambda slot: (board.slot_memory[slot], board.node_cpu[board.slot_node[slot]]))
    for slot in fitting:
        pods = min(wanted, board.most(kind, slot))
        if pods:
            board.put(kind, slot, pods)
            wanted -= pods
        if not wanted:
            break
    return begun - wanted


def repair(board: Board, work: Work) -> None:
    """Place pods in exchange for smaller ones, and those likewise, until the last of the chain fits or none helps.

    Each exchange makes the pods without a slot smaller, never more.
    """
    insert(board)
    before = None
    while work and board.unplaced() and before != (before := list(board.left)):
        for kind in _largest_first(board):
            while work and board.left[kind] and _chain(board, kind, work):
                pass


def _chain(board: Board, kind: int, work: Work) -> bool:
    """Place one pod of a class in exchange for a smaller one, and so on; True if that placed a pod more."""
    current = kind
    while work:
        found = _exchange(board, current, work)
        if found is None:
            return False
        slot, other, source = found
        board.put(other, source, -1)
        board.put(current, slot)
        if _insert(board, other, 1):
            return True
        current = other
    return False


def _exchange(board: Board, kind: int, work: Work) -> tuple[int, int, int] | None:
    """Return the slot for a pod, and the smallest class that has to leave for it with the slot that it leaves."""
    lowest, best = board.size[kind], None
    cpu, memory, gpu, shares = board.cpu[kind], board.memory[kind], board.gpu[kind], board.shares[kind]
    size, cpus, memories, gpus, all_shares = board.size, board.cpu, board.memory, board.gpu, board.shares
    for node, slots in enumerate(board.cards):
        cpu_lacks, memory_lacks = cpu - board.node_cpu[node], memory - board.node_memory[node]
        everywhere = [*slots, board.bare[node]]
        for slot in slots if board.on_card[kind] else everywhere[-1:]:
            gpu_lacks, shares_lack = gpu - board.slot_memory[slot], shares - board.slot_shares[slot]
            # With room on the card, any pod of the node may leave for its CPU or memory.
            sources = everywhere if gpu_lacks <= 0 and shares_lack <= 0 else (slot,)
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
