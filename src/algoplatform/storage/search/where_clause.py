"""Search conditions as SQL: a WHERE clause made of fixed pieces, with numbered arguments."""

import re
from collections.abc import Sequence
from typing import Any, Final

from algoplatform.domain.search import DEFAULT_PAGE_SIZE, GRAM, Conditions, fold
from algoplatform.storage.search.filter_indexes import LONG_COLUMNS, WIDTH, Lead, cut, has_filters, values_of

_IMAGE_ID: Final = re.compile(r"[0-9a-f]{32}")

# One index holds the texts that fit into an entry, another finds the longer ones. The latter's condition is
# an equation, because PostgreSQL estimates few rows for one, but a third of the table for an inequality.
SHORT_TEXT: Final = "octet_length(search) <= 2000"
LONG_TEXT: Final = "LEAST(octet_length(search), 2001) = 2001"

# Not LIKE: in a generic plan PostgreSQL would estimate a handful of matches, and sort them all for a page.
_CONTAINS: Final = "strpos(search, $1) > 0"
# Conditions that the text index can check.
_IN_TEXT_INDEX: Final = ("live", _CONTAINS, "algo_type = ", "useable_flag = ")
# In a sample of 1,000 images, this many matches mean that a scan in result order fills its page soon.
_SAMPLED, DENSE = 1000, 10
_ORDER: Final = "ORDER BY image_name, image_tag"
_COLUMNS: Final = "image_name, image_tag, image_id, record"


class Filter:
    """The images that meet the conditions, and a plan to find them; `arguments[0]` is $1 of its SQL.

    The plans: the index of a filter, the text index, the index of grams, lookups by id, and otherwise a scan
    of all images in result order. Each is written so that PostgreSQL plans it as intended, even without
    statistics.
    """

    def __init__(
        self,
        conditions: Conditions,
        grams: Sequence[str] = (),
        lead: Lead | None = None,
        *,
        by_text: bool = False,
    ) -> None:
        self.arguments: list[Any] = []
        self._lead = lead
        self._by_text = by_text
        # Results of an unordered index are sorted in an outer query: PostgreSQL could plan a single query as a scan.
        self._apart = bool(grams or conditions.image_id or by_text)
        self.walks = not lead and not self._apart
        self._pieces = ["live"]
        self._text(conditions.search_condition, grams)
        if conditions.image_id:
            self._pieces.append(f"image_id = ANY ({self._add(list(conditions.image_id))}::uuid[])")
        if has_filters(conditions):
            for column, value in values_of(conditions).items():
                self._filter(column, value)
        if conditions.after:
            self.go_on_after(str(conditions.after.name), str(conditions.after.tag))
        if conditions.before:
            self._beyond("<", str(conditions.before.name), str(conditions.before.tag))
        self._backward = conditions.before is not None
        self._led = lead.where_is(self._add(lead.value)) if lead else ""
        self._keys = f"unnest(${len(self.arguments)}::text[]) AS key" if lead and not lead.column else ""

    def go_on_after(self, name: str, tag: str) -> None:
        """Exclude the images up to this one, and list those after it in result order, even for a page before a key."""
        self._backward = False
        self._beyond(">", name, tag)

    @property
    def where(self) -> str:
        """The finished WHERE clause."""
        return " AND ".join(self._pieces)

    @property
    def total(self) -> str:
        """SQL that counts all matches."""
        if self._lead:
            return f"(SELECT count(*) FROM {self._source('', 'OFFSET 0')})"
        if _CONTAINS in self._pieces and all(piece.startswith(_IN_TEXT_INDEX) for piece in self._pieces):
            return f"(SELECT count(*) FROM ({self._in_text_index('')}) AS found)"
        return f"(SELECT count(*) FROM image WHERE {self.where})"

    @property
    def sampled(self) -> str:
        """SQL that counts the matches in a sample: ids are random, so the first images by id are a sample."""
        some = f"(SELECT * FROM image ORDER BY image_id LIMIT {_SAMPLED}) AS image"
        return f"(SELECT count(*) FROM {some} WHERE {self.where})"

    def rows(self, expression: str, limit: int | None, offset: int = 0) -> str:
        """Return SQL that selects an expression of the columns in result order.

        A page before a key consists of the last rows before that key.
        """
        backward = self._backward and limit
        order = "ORDER BY image_name DESC, image_tag DESC" if backward else _ORDER
        part = f"{order} LIMIT {limit} OFFSET {offset}" if limit else order
        source = self._source(_COLUMNS, f"{order} LIMIT {limit + offset}" if limit else "")
        if backward:
            return f"SELECT {expression} FROM (SELECT {_COLUMNS} FROM {source} {part}) AS page {_ORDER}"
        return f"SELECT {expression} FROM {source} {part}"

    def _source(self, columns: str, ordered: str) -> str:
        if self._keys:
            each = f"SELECT {columns} FROM image WHERE {self.where} AND {self._led} {ordered}"
            return f"{self._keys}, LATERAL ({each}) AS found"
        if self._by_text:
            ids = f"image_id = ANY (ARRAY({self._in_text_index('image_id')}))"
            return f"(SELECT {columns} FROM image WHERE live AND {ids} OFFSET 0) AS found"
        where = f"{self.where} AND {self._led}" if self._led else self.where
        end = "OFFSET 0" if self._apart else ordered
        return f"(SELECT {columns} FROM image WHERE {where} {end}) AS found"

    def _in_text_index(self, column: str) -> str:
        found = f"SELECT {column} FROM image WHERE {self.where}"
        return f"{found} AND {SHORT_TEXT} UNION ALL {found} AND {LONG_TEXT}"

    def _add(self, value: object) -> str:
        self.arguments.append(value)
        return f"${len(self.arguments)}"

    def _filter(self, column: str, value: object) -> None:
        self._pieces.append(f"{column} = {self._add(value)}")
        if self._lead and self._lead.has_others and column in LONG_COLUMNS and column != self._lead.column:
            self._pieces.append(f"{cut(column, WIDTH)} = {self._add(str(value)[:WIDTH])}")

    def _beyond(self, comparison: str, name: str, tag: str) -> None:
        self._pieces.append(f"(image_name, image_tag) {comparison} ({self._add(name)}, {self._add(tag)})")

    def _text(self, text: str | None, grams: Sequence[str]) -> None:
        if text is None:
            return
        folded = fold(text)
        self.arguments.append(folded)
        piece = _CONTAINS
        if grams:
            piece = f"image_grams(search) @@ {self._add(tsquery(grams))}::tsquery AND {piece}"
        if _IMAGE_ID.fullmatch(folded):
            piece = f"({piece} OR image_id = {self._add(folded)}::uuid)"
        self._pieces.append(piece)


def part_of(conditions: Conditions) -> tuple[int | None, int]:
    """Return the page size, if any, and the number of images before the page."""
    size = conditions.page_size or (DEFAULT_PAGE_SIZE if conditions.page else None)
    return size, (conditions.page - 1) * size if conditions.page and size else 0


def tsquery(grams: Sequence[str]) -> str:
    """Build a query for all of these grams; one shorter than a gram matches by prefix."""
    # Not translate, which takes ten times as long for so few characters.
    return " & ".join(
        ["'" + gram.replace("\\", r"\\").replace("'", "''") + ("'" if len(gram) >= GRAM else "':*") for gram in grams]
    )
