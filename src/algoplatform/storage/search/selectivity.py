"""Which way to send PostgreSQL in search of text.

Text that few images hold is found through the index of grams; text that many hold, by walking the images in the order
of the answer until a page is full. PostgreSQL cannot tell them apart by itself, since it multiplies the shares of grams
that always come together; so a sample of the texts, which its own ANALYZE keeps, is asked. A sample that is out of date
costs time and never changes an answer.
"""

import asyncio
import time
from collections import Counter
from typing import Final

from algoplatform.domain.search import GRAM, grams
from algoplatform.storage.postgres.pool import Connection

_READ: Final = """
    SELECT ARRAY(SELECT left(text, 400) FROM unnest(histogram_bounds::text::text[]) AS text) FROM pg_stats
    WHERE schemaname = current_schema() AND tablename = 'image' AND attname = 'search'
"""
_SECONDS: Final = 60
# Of some 300 texts: below this share the index finds the images sooner than the walk fills a page.
_COMMON: Final = 3
# Each gram more costs a lookup for each image that has the rarest.
_GRAMS: Final = 3
_CONSIDERED: Final = 32


class TextSample:
    """Some of the searched texts, read again once a minute: up to 300 times 400 characters, with their grams at most 20 MiB."""

    def __init__(self) -> None:
        self._text = ""
        self._grams: Counter[str] = Counter()
        self._read_at = float("-inf")

    def is_old(self) -> bool:
        """Tell whether to read it again."""
        return time.monotonic() - self._read_at > _SECONDS

    async def refresh(self, connection: Connection) -> None:
        """Read the sample."""
        self._read_at = time.monotonic()
        text = "\n\n".join(await connection.fetchval(_READ) or [])
        # In a thread: there are tens of thousands, and more where texts are long.
        counted = await asyncio.to_thread(lambda: Counter(grams(text)))
        self._text, self._grams = text, counted

    def choose(self, folded: str) -> list[str]:
        """Choose the grams by which to look for the text; none where so many images hold it that they are of no use."""
        if len(folded) < GRAM:
            return [] if self._text.count(folded) >= _COMMON else [folded]
        rarest = sorted(grams(folded)[:_CONSIDERED], key=self._grams.__getitem__)[:_GRAMS]
        # No text is more common than its rarest gram.
        if self._grams[rarest[0]] >= _COMMON and self._text.count(folded) >= _COMMON:
            return []
        return rarest
