"""Chooses the plan of a text search.

Rare text is found through the GIN index of grams, common text by scanning the images in result order until a
page is full. PostgreSQL cannot estimate which applies, as it multiplies the selectivities of grams that
always occur together. So we count matches in a sample of the texts. The sample of ANALYZE would not do, as it lacks
imported images for a minute or two. An outdated sample costs time and never changes a result.
"""

import asyncio
import time
from collections import Counter
from typing import Final

from algoplatform.domain.search import GRAM, grams
from algoplatform.storage.postgres.pool import Connection

_TEXTS: Final = 300
# Ids are random, so the first ones are a sample.
_READ: Final = f"""
    SELECT ARRAY(SELECT left(search, 400) FROM image WHERE live ORDER BY image_id LIMIT {_TEXTS})
"""
# Seconds between refreshes; a small registry may grow fast.
_SECONDS, _SECONDS_SMALL = 60, 5
# Matches among about 300 texts: with fewer, the GIN index finds the images sooner than the scan fills a page.
_COMMON: Final = 3
# Each further gram costs a lookup for each image that contains the rarest one.
_GRAMS: Final = 3
_CONSIDERED: Final = 32


class TextSample:
    """A sample of the searched texts, refreshed every 60 s, in a small registry every 5 s.

    It has up to 300 texts of up to 400 characters, and takes at most 20 MiB with their grams.
    """

    def __init__(self) -> None:
        self._text = ""
        self._grams: Counter[str] = Counter()
        self._until = float("-inf")

    def is_old(self) -> bool:
        """Return whether the sample is due for a refresh."""
        return time.monotonic() > self._until

    async def refresh(self, connection: Connection) -> None:
        """Read the sample."""
        # So that concurrent searches do not read it as well.
        before, self._until = self._until, time.monotonic() + _SECONDS_SMALL
        try:
            texts = await connection.fetchval(_READ)
            text = "\n\n".join(texts)
            # In a thread: there are tens of thousands of grams, and more if texts are long.
            counted = await asyncio.to_thread(lambda: Counter(grams(text)))
        except BaseException:
            # Also if the search is cancelled: otherwise there would be no sample until the next refresh.
            self._until = before
            raise
        if len(texts) == _TEXTS:
            self._until = time.monotonic() + _SECONDS
        self._text, self._grams = text, counted

    def choose(self, folded: str) -> list[str]:
        """Return the grams to look up in the index; none if the text is too common for that to help."""
        if len(folded) < GRAM:
            return [] if self._text.count(folded) >= _COMMON else [folded]
        considered = grams(folded)[:_CONSIDERED]
        # No gram is rarer than one that the sample lacks: with enough of these, no sorting is needed.
        lacking = [gram for gram in considered if gram not in self._grams][:_GRAMS]
        if len(lacking) == _GRAMS:
            return lacking
        rarest = sorted(considered, key=self._grams.__getitem__)[:_GRAMS]
        # A text is at most as common as its rarest gram.
        if self._grams[rarest[0]] >= _COMMON and self._text.count(folded) >= _COMMON:
            return []
        return rarest
