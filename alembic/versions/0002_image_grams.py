"""An index of the pieces of the searched text, so that a search for any substring need not read every image"""

from collections.abc import Sequence

from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Pairs of characters, single ones that are not ASCII, and fours of ASCII ones: `grams` in domain/search.py asks for them.
# PL/pgSQL appends to an array in place, which takes half of the time of aggregating one in SQL.
GRAMS = """
CREATE FUNCTION image_grams(folded text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    a text := '';
    b text := '';
    c text := '';
    d text;
    grams text[] := '{}';
BEGIN
    FOREACH d IN ARRAY string_to_array(folded, NULL) LOOP
        grams := grams || (c || d);
        IF octet_length(d) > 1 THEN
            grams := grams || d;
        ELSIF octet_length(a || b || c) = 3 THEN
            grams := grams || (a || b || c || d);
        END IF;
        a := b;
        b := c;
        c := d;
    END LOOP;
    RETURN grams;
END
$$
"""


def upgrade() -> None:
    op.execute(GRAMS)
    op.execute(
        "CREATE INDEX image_grams_idx ON image USING gin (image_grams(search))"
        " WITH (gin_pending_list_limit = 1024) WHERE live"
    )
    # The sample by which a search chooses its way (storage/search.py).
    op.execute("ALTER TABLE image ALTER COLUMN search SET STATISTICS 300")


def downgrade() -> None:
    op.execute("ALTER TABLE image ALTER COLUMN search SET STATISTICS -1")
    op.drop_index("image_grams_idx", table_name="image")
    op.execute("DROP FUNCTION image_grams(text)")
