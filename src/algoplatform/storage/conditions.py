"""Conditions as SQL: a WHERE clause of fixed pieces and its numbered arguments."""

import re
from collections.abc import Sequence
from typing import Any, Final

from algoplatform.domain.search import DEFAULT_PAGE_SIZE, GRAM, Conditions, fold, fold_exact
from algoplatform.storage.sample import TextSample

_QUOTED: Final = str.maketrans({"\\": r"\\", "'": "''"})
_IMAGE_ID: Final = re.compile(r"[0-9a-f]{32}")

# An index holds the searched texts that fit into an entry, another finds the others. The latter is an equation because
# PostgreSQL expects few rows to meet one, where it expects a third of them to meet a comparison.
SHORT_TEXT: Final = "octet_length(search) <= 2000"
LONG_TEXT: Final = "LEAST(octet_length(search), 2001) = 2001"

# Not LIKE: of that, without the text, PostgreSQL expects a handful of images, and sorts them all for a page.
_CONTAINS: Final = "strpos(search, $1) > 0"


class Filter:
    """The images that meet the conditions, for good: `where` for the clause, `total` to count them, `arguments` for their $1, $2 ..."""

    def __init__(self, conditions: Conditions, sample: TextSample) -> None:
        self.arguments: list[Any] = []
        self._pieces = ["live"]
        self.indexed = False
        self._text(conditions.search_condition, sample)
        self._equal("namespace", conditions.namespace)
        self._equal("algo_type", conditions.algo_type)
        self._equal("event_type", conditions.event_type)
        self._equal("factory", fold_exact(conditions.factory))
        self._equal("incident_id", fold_exact(conditions.incident_id))
        self._equal("useable_flag", conditions.useable_flag)
        self.where = " AND ".join(self._pieces)
        count = f"SELECT count(*) FROM image WHERE {self.where}"
        self.total = f"({count})"
        if self._pieces == ["live", _CONTAINS]:
            self.total = f"(({count} AND {SHORT_TEXT}) + ({count} AND {LONG_TEXT}))"
        size = conditions.page_size or DEFAULT_PAGE_SIZE
        self.limit = size if conditions.page else None
        self.offset = (conditions.page - 1) * size if conditions.page else 0

    def _add(self, value: object) -> str:
        self.arguments.append(value)
        return f"${len(self.arguments)}"

    def _equal(self, column: str, value: object) -> None:
        if value is not None:
            self._pieces.append(f"{column} = {self._add(value)}")

    def _text(self, text: str | None, sample: TextSample) -> None:
        if text is None:
            return
        folded = fold(text)
        self.arguments.append(folded)
        piece = _CONTAINS
        if grams := sample.choose(folded):
            self.indexed = True
            piece = f"image_grams(search) @@ {self._add(tsquery(grams))}::tsquery AND {piece}"
        if _IMAGE_ID.fullmatch(folded):
            piece = f"({piece} OR image_id = {self._add(folded)}::uuid)"
        self._pieces.append(piece)


def tsquery(grams: Sequence[str]) -> str:
    """Ask for all of these grams; a shorter one stands for all that begin with it."""
    return " & ".join(f"'{gram.translate(_QUOTED)}'{':*' if len(gram) < GRAM else ''}" for gram in grams)
