"""Sets pods aside where demands exceed the capacity: the largest, so that they are the fewest."""

from collections import Counter
from collections.abc import Iterator, Sequence

from algoplatform.planning.capacity.packing.board import Board


def shed(board: Board, load: float) -> Counter[int]:
    """Remove pods from `left` until the rest needs at most this part of each dimension; return those by class."""
    aside: Counter[int] = Counter()
    for amounts, have in _dimensions(board):
        for kind, pods in _largest(board, amounts, load * have):
            board.left[kind] -= pods
            aside[kind] += pods
    return aside


def least_left(board: Board) -> int:
    """Return a lower bound of the pods that any placement leaves, from the totals of each dimension."""
    return max(sum(pods for _, pods in _largest(board, amounts, have)) for amounts, have in _dimensions(board))


def _dimensions(board: Board) -> list[tuple[Sequence[int], int]]:
    return [*board.dimensions(), ([1] * len(board.left), sum(board.node_pods))]


def _largest(board: Board, amounts: Sequence[int], most: float) -> Iterator[tuple[int, int]]:
    """Yield (class, number) of the fewest pods to remove so that the rest needs at most `most`."""
    excess = sum(amount * left for amount, left in zip(amounts, board.left, strict=True)) - most
    for kind in sorted(range(len(amounts)), key=lambda kind: (-amounts[kind], -board.size[kind], kind)):
        if excess <= 0:
            return
        if amounts[kind]:
            pods = min(board.left[kind], int(-(-excess // amounts[kind])))
            excess -= pods * amounts[kind]
            yield kind, pods
