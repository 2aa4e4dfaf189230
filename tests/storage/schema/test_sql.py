"""Parts of statements list a table's columns in its order, with their types."""

from sqlalchemy import ARRAY, BigInteger, Column, MetaData, Table, Text, Uuid

from algoplatform.storage.schema import sql

TABLE = Table(
    "thing",
    MetaData(),
    Column("id", Uuid, nullable=False),
    Column("name", Text(collation="C")),
    Column("size", BigInteger),
    Column("parts", ARRAY(Text)),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DROP",
)
COLUMNS = (TABLE.c.name, TABLE.c.size)


def test_lists() -> None:
    """Column names, plain and qualified."""
    assert sql.names(COLUMNS) == ["name", "size"]
    assert sql.listed(COLUMNS) == "name, size"
    assert sql.listed(COLUMNS, "thing") == "thing.name, thing.size"


def test_arguments() -> None:
    """Arguments are numbered from the given one and cast to the column's type."""
    assert sql.arguments(COLUMNS, 3) == ["$3::text", "$4::bigint"]
    assert sql.arrays(COLUMNS, 1) == "$1::text[], $2::bigint[]"


def test_assignments() -> None:
    """UPDATE, upsert and comparison pair each column with its value."""
    assert sql.assigned(COLUMNS, sql.arguments(COLUMNS, 1)) == "name = $1::text, size = $2::bigint"
    assert sql.excluded(COLUMNS) == "name = excluded.name, size = excluded.size"
    assert sql.same(COLUMNS, ["'a'", "1"]) == "name IS NOT DISTINCT FROM 'a' AND size IS NOT DISTINCT FROM 1"


def test_create() -> None:
    """A temporary table has types, collations and its ON COMMIT action."""
    assert " ".join(sql.create(TABLE).split()) == (
        'CREATE TEMPORARY TABLE thing ( id UUID NOT NULL, name TEXT COLLATE "C", size BIGINT, parts TEXT[] )'
        " ON COMMIT DROP"
    )
