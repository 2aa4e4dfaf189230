"""Answers that are given again while nothing is committed: PostgreSQL is asked that each time, never trusted to be told."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from algoplatform.storage.idempotency import Answer
from algoplatform.storage.stamps import Stamps

_MOST_BYTES: Final = 32 * 1024 * 1024
# What an answer takes beside its body.
_FRAME: Final = 1024


class KeptAnswers:
    """The latest answers to what was asked, each with a stamp of the database from before it was read."""

    def __init__(self, stamps: Stamps, most: int = _MOST_BYTES) -> None:
        self._stamps = stamps
        self._most = most
        # Not a dict, which looks for its first item among all that were removed before it.
        self._answers: OrderedDict[Hashable, tuple[str, Answer]] = OrderedDict()
        self._bytes = 0

    async def fresh(self, asked: Hashable) -> Answer | None:
        """Give the answer where it is what would be read now."""
        if asked not in self._answers:
            return None
        stamp = await self._stamps.now()
        kept = self._drop(asked)
        if kept is None or not stamp or kept[0] != stamp:
            return None
        # The one given latest goes last.
        self._put(asked, kept)
        return kept[1]

    def keep(self, asked: Hashable, stamp: str, answer: Answer) -> None:
        """Keep an answer with a stamp taken before it was read: a later one would make it pass for newer than it is."""
        self._drop(asked)
        if not stamp or len(answer.body) > self._most // 4:
            return
        self._put(asked, (stamp, answer))
        while self._bytes > self._most:
            self._drop(next(iter(self._answers)))

    def _put(self, asked: Hashable, kept: tuple[str, Answer]) -> None:
        self._answers[asked] = kept
        self._bytes += len(kept[1].body) + _FRAME

    def _drop(self, asked: Hashable) -> tuple[str, Answer] | None:
        kept = self._answers.pop(asked, None)
        if kept is not None:
            self._bytes -= len(kept[1].body) + _FRAME
        return kept
