"""One function links images to their dependencies; edges are repaired to match records; refusals by caller"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# A record is compact JSON, whose strings escape every quotation mark, so the quoted key occurs once. Names
# and tags contain no comma, quotation mark or backslash, and tags no colon.
NEEDS = """
CREATE FUNCTION image_needs(record text) RETURNS TABLE (name text, tag text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 2
AS $$
    SELECT left(item, length(item) - strpos(reverse(item), ':')), right(item, strpos(reverse(item), ':') - 1)
    FROM string_to_table(
        nullif(split_part(split_part(record, '"dependencyServiceId":"', 2), '"', 1), ''), ',') AS item
$$
"""

# Called by a writer that holds the row locks of these images. Each statement of the function has its own
# snapshot, so it sees the edges that earlier writers have committed, whereas the calling statement sees only
# those committed before it began. Images are looked up in scalar subqueries, and the settings force index
# scans for these and for the foreign key checks: a plan cached while the tables were small could be a
# sequential scan, and stay one while they grow. Each record is parsed once, however many edges it has.
LINK = """
CREATE FUNCTION image_link(ids uuid[]) RETURNS boolean
LANGUAGE plpgsql
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    lost text;
BEGIN
    WITH wanted AS MATERIALIZED (
        SELECT dependent.image_id AS dependent_id, need.name, need.tag, (
            SELECT dependency.image_id FROM image AS dependency
            WHERE dependency.image_name = need.name AND dependency.image_tag = need.tag AND dependency.live
        ) AS dependency_id
        FROM unnest(ids) AS changed (image_id)
        CROSS JOIN LATERAL (
            SELECT image_id, image_name, image_tag, record FROM image
            WHERE image.image_id = changed.image_id AND live LIMIT 1
        ) AS dependent
        CROSS JOIN LATERAL image_needs(dependent.record) AS need
        WHERE (need.name, need.tag) <> (dependent.image_name, dependent.image_tag)
    ), unlinked AS (
        DELETE FROM image_dependency
        WHERE dependent_id = ANY (ids) AND (dependent_id, dependency_id) NOT IN (
            SELECT wanted.dependent_id, wanted.dependency_id FROM wanted WHERE wanted.dependency_id IS NOT NULL
        )
    ), linked AS (
        INSERT INTO image_dependency (dependent_id, dependency_id)
        SELECT dependent_id, dependency_id FROM wanted WHERE dependency_id IS NOT NULL
        ON CONFLICT DO NOTHING
    )
    SELECT min(name || ':' || tag) INTO lost FROM wanted WHERE dependency_id IS NULL;
    IF lost IS NOT NULL THEN
        RAISE foreign_key_violation USING MESSAGE = format('%s is not registered any more', lost);
    END IF;
    RETURN true;
END
$$
"""

# An edge is correct if the record of its live dependent names its live dependency.
UNLINK_SURPLUS = """
DELETE FROM image_dependency AS edge
USING image AS dependent, image AS dependency
WHERE dependent.image_id = edge.dependent_id AND dependency.image_id = edge.dependency_id AND NOT EXISTS (
    SELECT FROM image_needs(dependent.record) AS need
    WHERE need.name = dependency.image_name AND need.tag = dependency.image_tag
)
"""

# A named image that is no longer registered gets no edge; `algoplatform check` reports it.
LINK_MISSING = """
INSERT INTO image_dependency (dependent_id, dependency_id)
SELECT dependent.image_id, dependency.image_id
FROM image AS dependent
CROSS JOIN LATERAL image_needs(dependent.record) AS need
JOIN image AS dependency ON dependency.image_name = need.name AND dependency.image_tag = need.tag AND dependency.live
WHERE dependent.live AND dependency.image_id <> dependent.image_id
ON CONFLICT DO NOTHING
"""


def upgrade() -> None:
    # Writers of images wait until the edges are repaired; readers do not.
    op.execute("LOCK TABLE image, image_dependency IN SHARE ROW EXCLUSIVE MODE")
    op.execute(NEEDS)
    op.execute(LINK)
    op.execute(UNLINK_SURPLUS)
    op.execute(LINK_MISSING)
    op.add_column("idempotency_key", sa.Column("caller", sa.Text(collation="C"), comment="who was refused"))
    op.create_index(
        "idempotency_key_refused_idx",
        "idempotency_key",
        ["caller", "created_at"],
        postgresql_where=sa.text("http_status <> 200"),
    )


def downgrade() -> None:
    """Keep the edges: they are correct for every version."""
    op.drop_index("idempotency_key_refused_idx", table_name="idempotency_key")
    op.drop_column("idempotency_key", "caller")
    op.execute("DROP FUNCTION image_link(uuid[])")
    op.execute("DROP FUNCTION image_needs(text)")
