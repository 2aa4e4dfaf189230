"""The table is the only place that lists the columns of an image."""

import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest

from algoplatform.storage.images.columns import CALLER, CHANGING, FIXED, STORED
from algoplatform.storage.schema.tables import image as table
from tests.support.owners import ask, environment
from tests.support.postgres import execute

SOURCE = Path(__file__).parents[3] / "src" / "algoplatform"
STATEMENTS = sorted(
    path
    for folder in ("images", "upload")
    for path in (SOURCE / "storage" / folder).glob("*.py")
    if path.name != "columns.py"
)

# Writes an image in every way, in a copy of the package that has one more column.
WRITES = """
import asyncio, io, json, sys
from uuid import uuid4
from algoplatform.domain.access import TRUSTED
from algoplatform.domain.record.check import Rules, check_registration, check_update
from algoplatform.domain.uploads import OnConflict
from algoplatform.storage.images import register, revisions, single
from algoplatform.storage.postgres.pool import Database
from algoplatform.storage.upload import bulk, staging

def image(name, check=check_registration, **fields):
    body = {"imageName": f"algo/{name}", "imageTag": "1.0", "factory": "f", "algoName": "n", "algoType": "1"}
    found = check(body | fields, Rules()).image
    assert found is not None, fields
    return found

async def rows(*images):
    for position, one in enumerate(images, 1):
        yield staging.row(position, one, uuid4().hex)

async def staged(connection, one):
    async with connection.transaction():
        await staging.fill(connection, rows(one))
        await staging.write(connection, TRUSTED, OnConflict.UPDATE)
        await staging.link(connection)

async def main():
    async with Database.open(sys.argv[1], size=2) as database, database.connection() as connection:
        async with connection.transaction():
            await bulk.fill(connection, TRUSTED, rows(image("copied", algoDesc="copied")))
        await staged(connection, image("staged", algoDesc="staged"))
        await staged(connection, image("upserted", algoDesc="before"))
        await staged(connection, image("upserted", algoDesc="upserted"))
        ids = {}
        for name in ("registered", "updated", "kept", "restored"):
            ids[name] = uuid4()
            new = register.Registration(TRUSTED, image(name, algoDesc=name), ids[name])
            await register.insert_alone(connection, new)
        for name, present in (("updated", {"algoDesc"}), ("kept", {"factory"})):
            changed = image(name, check_update, algoDesc="changed", imageId=ids[name].hex)
            await single.update(connection, TRUSTED, changed, frozenset(present), None, ())
        again = image("restored", algoDesc="again")
        await revisions.restore(connection, TRUSTED, again, ids["restored"].hex, 1)

asyncio.run(main())
"""


def test_every_column_has_one_origin() -> None:
    """A column is computed from the record, names the caller, or is set by each statement itself."""
    by_statements = {"version", "live", "created_at", "updated_at", "operation"}
    named = [column.name for column in (*STORED, *CALLER)]
    assert len(named) == len(set(named))
    assert set(named) | by_statements == set(table.columns.keys())
    assert all(table.c[name].server_default is not None for name in by_statements)
    assert (*FIXED, *CHANGING) == STORED[1:-1]


@pytest.mark.parametrize("path", STATEMENTS, ids=lambda path: path.stem)
def test_no_statement_lists_columns(path: Path) -> None:
    """No module with statements names a column that an update may change, apart from the text it searches."""
    text = path.read_text()
    assert [column.name for column in CHANGING if column.name != "search" and column.name in text] == []


def test_a_new_column_is_two_lines(database_url: str, tmp_path: Path) -> None:
    """A line in the table and one that computes the value are enough for every statement to write the column."""
    package = tmp_path / "algoplatform"
    copytree(SOURCE, package)
    _insert(
        package / "storage/schema/tables.py",
        '    sa.Column("updated_at", ',
        '    sa.Column("extra", sa.Text, info=_of("algoDesc")),\n',
    )
    _insert(
        package / "storage/images/columns.py",
        '    "search": ',
        '    "extra": lambda image: image.values().get("algoDesc"),\n',
    )
    execute(database_url, "ALTER TABLE image ADD COLUMN extra text")
    done = subprocess.run(
        [sys.executable, "-c", WRITES, database_url],
        env=environment(PYTHONPATH=str(tmp_path)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = ask(database_url, "SELECT string_agg(image_name || '=' || extra, ' ' ORDER BY image_name) FROM image")
    assert found.replace("algo/", "") == (
        "copied=copied kept=kept registered=registered restored=again staged=staged updated=changed upserted=upserted"
    )


def _insert(path: Path, before: str, line: str) -> None:
    """Insert a line before the only one that begins so."""
    text = path.read_text()
    assert text.count(f"\n{before}") == 1
    path.write_text(text.replace(f"\n{before}", f"\n{line}{before}"))
