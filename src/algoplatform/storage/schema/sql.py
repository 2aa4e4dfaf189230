"""Parts of SQL statements, built from the columns of a table.

Modules call these functions once, at import, so that no statement repeats a list of columns and a request
pays nothing for it. Arguments are numbered: where a statement takes one argument per column, these come last,
and `first` is the number of the first of them.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Column, Table
from sqlalchemy.engine import make_url
from sqlalchemy.schema import CreateTable

Columns = Sequence[Column[Any]]

_DIALECT: Final = make_url("postgresql+asyncpg://").get_dialect()()


def names(columns: Columns) -> list[str]:
    return [column.name for column in columns]


def listed(columns: Columns, table: str = "") -> str:
    """Return `a, b`, or `table.a, table.b`."""
    return ", ".join(f"{table}.{name}" if table else name for name in names(columns))


def arguments(columns: Columns, first: int) -> list[str]:
    """Return one argument per column, cast to its type: `$3::text`, `$4::integer`."""
    types = [column.type.compile(dialect=_DIALECT).partition(" COLLATE")[0].lower() for column in columns]
    return [f"${number}::{type_}" for number, type_ in enumerate(types, first)]


def arrays(columns: Columns, first: int) -> str:
    """Return one array argument per column, as `unnest` takes them: `$3::text[], $4::integer[]`."""
    return ", ".join(f"{argument}[]" for argument in arguments(columns, first))


def assigned(columns: Columns, values: Iterable[str]) -> str:
    """Return the assignments of an UPDATE: `a = value, b = value`."""
    return ", ".join(f"{name} = {value}" for name, value in zip(names(columns), values, strict=True))


def excluded(columns: Columns) -> str:
    """Return the assignments of an upsert: `a = excluded.a, b = excluded.b`."""
    return assigned(columns, (f"excluded.{name}" for name in names(columns)))


def same(columns: Columns, values: Iterable[str]) -> str:
    """Return the condition that the columns have these values, NULL included."""
    return " AND ".join(
        f"{name} IS NOT DISTINCT FROM {value}" for name, value in zip(names(columns), values, strict=True)
    )


def create(table: Table) -> str:
    return str(CreateTable(table).compile(dialect=_DIALECT)).strip()
