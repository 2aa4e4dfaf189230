"""Exchanging pods on nodes with very many cards."""

from algoplatform.planning.capacity.model import Amounts, Card, Cluster, Node, Reserve
from algoplatform.planning.capacity.packing.board import Board
from algoplatform.planning.capacity.packing.repair import Work, repair
from algoplatform.planning.capacity.room import rooms

CARDS = 300


class Counted(list[dict[int, int]]):
    """The pods of each slot; counts the accesses to slots."""

    looks = 0

    def __getitem__(self, at):  # type: ignore[no-untyped-def]  # as that of a list
        self.looks += 1
        return super().__getitem__(at)


def test_a_node_with_many_cards_and_little_cpu() -> None:
    """Every card has room but CPU is short, so pods of any slot may move: slots are scanned once, not for each card."""
    node = Node("n", "n", 10, 10, 110, (Card(1_000, 10),) * CARDS)
    board = Board(rooms(Cluster((node,)), Reserve(0)), [Amounts(6, 1, 10, 1), Amounts(5, 1, 10, 1)], [1, 2])
    board.put(1, 0)
    board.put(1, 1)
    board.inside = Counted(board.inside)  # type: ignore[misc]  # to count
    work = Work(1_000_000)
    repair(board, work)
    assert board.left == [1, 0]
    assert board.inside.looks < 20 * CARDS
