"""Make the index of grams cheaper to write: its function can be inlined, and uploads choose its batches"""

from collections.abc import Sequence

from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Not STRICT, although NULL still gives NULL: PostgreSQL inlines a strict function only if its body is strict,
# and array_remove is not. Otherwise it plans the body for each statement and starts an executor for each row.
# The grams are those of 0002.
GRAMS = r"""
CREATE OR REPLACE FUNCTION image_grams(folded text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN array_to_tsvector(array_remove(string_to_array(
    regexp_replace(folded, '....', E'\\&\x1f', 'g') || E'\x1f' ||
    regexp_replace(substr(folded, 2), '....', E'\\&\x1f', 'g') || E'\x1f' ||
    regexp_replace(substr(folded, 3), '....', E'\\&\x1f', 'g') || E'\x1f' ||
    regexp_replace(substr(folded, 4), '....', E'\\&\x1f', 'g'),
E'\x1f'), ''))
"""

STRICT_GRAMS = r"""
CREATE OR REPLACE FUNCTION image_grams(folded text) RETURNS tsvector
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
    # Sessions set the limit instead. ALTER INDEX also makes open sessions inline the function in their copy of
    # the index's definition; otherwise it would not match the condition of a search that they plan later.
    op.execute("ALTER INDEX image_grams_idx RESET (gin_pending_list_limit)")


def downgrade() -> None:
    op.execute(STRICT_GRAMS)
    op.execute("ALTER INDEX image_grams_idx SET (gin_pending_list_limit = 1024)")
