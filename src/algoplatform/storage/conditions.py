"""Conditions as SQL: a WHERE clause of fixed pieces and its numbered arguments."""

import re
from collections.abc import Sequence
from typing import Any, Final

from algoplatform.domain.search import DEFAULT_PAGE_SIZE, GRAM, Conditions, fold, fold_exact
from algoplatform.storage.sample import TextSample

_QUOTED: Final = str.maketrans({"\\": r"\\", "'": "''"})
_IMAGE_ID: Final = re.compile(r"[0-9a-f]{32}")


class Filter:
    """The images that meet the conditions, for good: `where` for the clause, `arguments` for its $1, $2 ..."""

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
        # Not LIKE: of that, without the text, PostgreSQL expects a handful of images, and sorts them all for a page.
        piece = f"strpos(search, {self._add(folded)}) > 0"
        if grams := sample.choose(folded):
            self.indexed = True
            piece = f"image_grams(search) @@ {self._add(tsquery(grams))}::tsquery AND {piece}"
        if _IMAGE_ID.fullmatch(folded):
            piece = f"({piece} OR image_id = {self._add(folded)}::uuid)"
        self._pieces.append(piece)


def tsquery(grams: Sequence[str]) -> str:
    """Ask for all of these grams; a shorter one stands for all that begin with it."""
    return " & ".join(f"'{gram.translate(_QUOTED)}'{':*' if len(gram) < GRAM else ''}" for gram in grams)
