"""An index per filter, which returns the images of a value in result order"""

from collections.abc import Sequence

from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# INCLUDE columns allow index-only scans for counting. Long values do not fit into an entry.
INDEXES = {
    "image_kind_idx": "((algo_type || COALESCE(useable_flag, '-')), image_name, image_tag)"
    " INCLUDE (algo_type, useable_flag) WHERE live",
    "image_event_type_idx": "(left(event_type::text, 128), image_name, image_tag,"
    " left(incident_id, 16), left(factory, 16), namespace, algo_type, useable_flag)"
    " INCLUDE (event_type) WHERE live AND event_type IS NOT NULL",
    "image_incident_id_idx": "(left(incident_id, 128), image_name, image_tag,"
    " event_type, left(factory, 16), namespace, algo_type, useable_flag)"
    " INCLUDE (incident_id) WHERE live AND octet_length(incident_id) <= 256",
    "image_factory_idx": "(left(factory, 128), image_name, image_tag,"
    " event_type, left(incident_id, 16), namespace, algo_type, useable_flag)"
    " INCLUDE (factory) WHERE live AND octet_length(factory) <= 256",
    "image_namespace_idx": "(left(namespace, 128), image_name, image_tag,"
    " event_type, left(incident_id, 16), left(factory, 16), algo_type, useable_flag)"
    " INCLUDE (namespace) WHERE live AND namespace IS NOT NULL",
    "image_long_incident_id_idx": "(left(incident_id, 128), image_name, image_tag)"
    " WHERE live AND octet_length(incident_id) > 256",
    "image_long_factory_idx": "(left(factory, 128), image_name, image_tag) WHERE live AND octet_length(factory) > 256",
}
TEXT = "CREATE INDEX image_text_idx ON image (live) INCLUDE ({}) WHERE live AND octet_length(search) <= 2000"


def upgrade() -> None:
    for name, definition in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON image {definition}")
    # Adds the columns that a search for common text also filters by or returns.
    op.drop_index("image_text_idx", table_name="image")
    op.execute(TEXT.format("search, image_id, algo_type, useable_flag"))
    # Skipped for an empty table: PostgreSQL would plan for an empty one.
    if op.get_bind().exec_driver_sql("SELECT EXISTS (SELECT FROM image)").scalar():
        op.execute("ANALYZE image")


def downgrade() -> None:
    for name in INDEXES:
        op.drop_index(name, table_name="image")
    op.drop_index("image_text_idx", table_name="image")
    op.execute(TEXT.format("search"))
