"""Keyset pagination: a page of images, and whether there are images before and after it."""

from typing import Any, NamedTuple

import orjson

from algoplatform.catalogue.search import Searches
from algoplatform.domain.grammar.reference import ImageReference
from algoplatform.domain.record.model import reference_of
from algoplatform.domain.search import DEFAULT_PAGE_SIZE, Conditions


class Listed(NamedTuple):
    """A page of records, and the references that select the previous and the next page, None at the ends."""

    records: list[dict[str, Any]]
    previous: str | None = None
    following: str | None = None


async def listed(searches: Searches, conditions: Conditions) -> Listed:
    """Return the page after `after` or before `before`, else the first; very large records make shorter pages."""
    # One more record than shown tells whether there is another page.
    size = conditions.page_size or DEFAULT_PAGE_SIZE
    while (found := await searches.find(conditions.model_copy(update={"page_size": size + 1}))).left_out and size > 1:
        size = max(1, size // 4)
    has_more, is_backward = len(found.records) > size, conditions.before is not None
    records = [orjson.loads(record) for record in found.records]
    records = records[-size:] if is_backward else records[:size]
    if not records:
        return Listed([])
    first, last = reference_of(records[0]), reference_of(records[-1])
    is_first = conditions.after is None
    has_previous = has_more if is_backward else not is_first and await _has_any(searches, conditions, before=first)
    has_following = await _has_any(searches, conditions, after=last) if is_backward else has_more
    return Listed(records, first if has_previous else None, last if has_following else None)


async def _has_any(searches: Searches, conditions: Conditions, **place: str) -> bool:
    at: dict[str, Any] = {"page_size": 1, "after": None, "before": None}
    at |= {side: ImageReference.parse(text) for side, text in place.items()}
    return bool((await searches.find(conditions.model_copy(update=at))).records)
