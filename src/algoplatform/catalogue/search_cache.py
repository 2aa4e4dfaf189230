"""A cache of search responses; each hit asks PostgreSQL whether any transaction has ended since."""

from typing import Final

from algoplatform.domain.answer import Answer
from algoplatform.storage.bounded_cache import BoundedCache
from algoplatform.storage.postgres.snapshot import Stamps

_MOST_BYTES: Final = 32 * 1024 * 1024


class KeptAnswers:
    """The most recently used responses, each with the stamp of the database state that it shows."""

    def __init__(self, stamps: Stamps, most: int = _MOST_BYTES) -> None:
        self._stamps = stamps
        self._answers: BoundedCache[tuple[str, Answer]] = BoundedCache(most)

    async def fresh(self, asked: bytes | str) -> Answer | None:
        """Return the cached response if it is still current, else None."""
        if asked not in self._answers:
            return None
        stamp = await self._stamps.now()
        kept = self._answers.get(asked)
        if kept is None:
            return None
        if kept[0] == stamp:
            return kept[1]
        self._answers.take(asked)
        return None

    def keep(self, asked: bytes | str, stamp: str, answer: Answer) -> None:
        """Cache a response with the stamp that the same statement returned.

        With a later stamp, a stale response would pass as current.
        """
        if stamp:
            self._answers.put(asked, (stamp, answer), len(answer.body) + len(stamp))
