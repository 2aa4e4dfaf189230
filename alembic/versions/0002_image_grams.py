"""A GIN index of the grams of the searched text, so that a substring search need not read every image"""

from collections.abc import Sequence

from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# All sequences of four characters, and the shorter ones at the end: a shorter pattern is matched by prefix.
# Regular expressions at four offsets take a third of the time of a PL/pgSQL loop.
GRAMS = r"""
CREATE FUNCTION image_grams(folded text) RETURNS tsvector
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN array_to_tsvector(array_remove(string_to_array(
    regexp_replace(folded, '(....)', E'\\1\x1f', 'g') || E'\x1f' ||
    regexp_replace(substr(folded, 2), '(....)', E'\\1\x1f', 'g') || E'\x1f' ||
    regexp_replace(substr(folded, 3), '(....)', E'\\1\x1f', 'g') || E'\x1f' ||
    regexp_replace(substr(folded, 4), '(....)', E'\\1\x1f', 'g'),
E'\x1f'), ''))
"""


def upgrade() -> None:
    op.execute(GRAMS)
    op.execute(
        "CREATE INDEX image_grams_idx ON image USING gin (image_grams(search))"
        " WITH (gin_pending_list_limit = 1024) WHERE live"
    )
    # The sample from which a search chooses its plan (storage/search/selectivity.py).
    op.execute("ALTER TABLE image ALTER COLUMN search SET STATISTICS 300")


def downgrade() -> None:
    op.execute("ALTER TABLE image ALTER COLUMN search SET STATISTICS -1")
    op.drop_index("image_grams_idx", table_name="image")
    op.execute("DROP FUNCTION image_grams(text)")
