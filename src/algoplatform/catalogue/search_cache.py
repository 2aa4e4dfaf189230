"""Answers that are given again while nothing is committed: PostgreSQL is asked that each time, never trusted to be told."""

from typing import Final

from algoplatform.domain.answer import Answer
from algoplatform.storage.bounded_cache import BoundedCache
from algoplatform.storage.postgres.snapshot import Stamps

_MOST_BYTES: Final = 32 * 1024 * 1024


class KeptAnswers:
    """The latest answers to what was asked, each with the stamp of the state that it was read in."""

    def __init__(self, stamps: Stamps, most: int = _MOST_BYTES) -> None:
        self._stamps = stamps
        self._answers: BoundedCache[tuple[str, Answer]] = BoundedCache(most)

    async def fresh(self, asked: str) -> Answer | None:
        """Return the answer if it is what would be read now."""
        if asked not in self._answers:
            return None
        stamp = await self._stamps.now()
        kept = self._answers.take(asked)
        if kept is None or not stamp or kept[0] != stamp:
            return None
        # The one given latest goes last.
        self.keep(asked, *kept)
        return kept[1]

    def keep(self, asked: str, stamp: str, answer: Answer) -> None:
        """Keep an answer with the stamp that was read in the same statement; a later one would make it pass for newer than it is."""
        if stamp:
            self._answers.put(asked, (stamp, answer), len(answer.body) + len(stamp))
