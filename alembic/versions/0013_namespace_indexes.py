"""An index of the pairs of algoType and useableFlag within each namespace"""

from collections.abc import Sequence

from alembic import op

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

NAMESPACE = (
    "CREATE INDEX {} ON image (left(namespace, 128), image_name, image_tag{})"
    " INCLUDE (namespace) WHERE live AND namespace IS NOT NULL"
)
OTHERS = ", event_type, left(incident_id, 16), left(factory, 16), algo_type, useable_flag"
KINDS = (
    "CREATE INDEX image_namespace_kind_idx ON image"
    " ((algo_type || COALESCE(useable_flag, '-') || left(namespace, 128)), image_name, image_tag)"
    " INCLUDE (namespace, algo_type, useable_flag) WHERE live AND namespace IS NOT NULL"
)


def upgrade() -> None:
    op.execute(KINDS)
    # Skipped for an empty table: PostgreSQL would plan for an empty one.
    if op.get_bind().exec_driver_sql("SELECT EXISTS (SELECT FROM image)").scalar():
        op.execute("ANALYZE image")
    # No search needs the other columns of image_namespace_idx any more.
    _replace("")


def downgrade() -> None:
    _replace(OTHERS)
    op.drop_index("image_namespace_kind_idx", table_name="image")


def _replace(others: str) -> None:
    # Searches wait from the moment an index is dropped, so the new one is built before.
    op.execute(NAMESPACE.format("image_namespace_new", others))
    op.drop_index("image_namespace_idx", table_name="image")
    op.execute("ALTER INDEX image_namespace_new RENAME TO image_namespace_idx")
