"""Images, their dependencies, and responses stored for Idempotency-Key"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

BYTEWISE = sa.Text(collation="C")

# An update changes only the fields it names: their values in `record` are replaced by those in `patch`, and
# the order and bytes of the rest stay.
MERGE = """
CREATE FUNCTION image_merge(record text, patch text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT '{' || string_agg('"' || old.key || '":' || coalesce(new.value, old.value)::text, ',' ORDER BY old.ordinality) || '}'
    FROM json_each(record::json) WITH ORDINALITY AS old (key, value, ordinality)
    LEFT JOIN json_each(patch::json) AS new ON new.key = old.key
)
"""


def upgrade() -> None:
    op.create_table(
        "image",
        sa.Column("image_id", sa.Uuid(), nullable=False),
        sa.Column("image_name", BYTEWISE, nullable=False),
        sa.Column("image_tag", BYTEWISE, nullable=False),
        sa.Column("namespace", BYTEWISE),
        sa.Column("factory", BYTEWISE, nullable=False),
        sa.Column("algo_type", BYTEWISE, nullable=False),
        sa.Column("event_type", sa.Integer()),
        sa.Column("incident_id", BYTEWISE),
        sa.Column("useable_flag", BYTEWISE),
        sa.Column(
            "search", BYTEWISE, nullable=False, comment="name:tag, factory, algoName, algoDesc, folded, a line each"
        ),
        sa.Column("record", BYTEWISE, nullable=False, comment="the record as the interface answers it: compact JSON"),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False, comment="the ETag"),
        sa.Column("live", sa.Boolean(), server_default=sa.text("true"), nullable=False, comment="false once deleted"),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("image_id", name="image_pkey"),
        sa.UniqueConstraint("image_id", "live", name="image_live_key"),
        sa.CheckConstraint("algo_type IN ('0', '1', '2')", name="image_algo_type_check"),
        sa.CheckConstraint("useable_flag IN ('0', '1')", name="image_useable_flag_check"),
        sa.CheckConstraint("event_type >= 0", name="image_event_type_check"),
        sa.CheckConstraint("substr(record, 13, 32) = replace(image_id::text, '-', '')", name="image_record_check"),
    )
    op.create_index(
        "image_reference_key", "image", ["image_name", "image_tag"], unique=True, postgresql_where=sa.text("live")
    )
    op.create_table(
        "image_dependency",
        sa.Column("dependent_id", sa.Uuid(), nullable=False),
        sa.Column("dependency_id", sa.Uuid(), nullable=False),
        sa.Column("live", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.PrimaryKeyConstraint("dependent_id", "dependency_id", name="image_dependency_pkey"),
        sa.ForeignKeyConstraint(
            ["dependent_id", "live"], ["image.image_id", "image.live"], name="image_dependency_dependent_fkey"
        ),
        sa.ForeignKeyConstraint(
            ["dependency_id", "live"], ["image.image_id", "image.live"], name="image_dependency_dependency_fkey"
        ),
        sa.CheckConstraint("live", name="image_dependency_live_check"),
        sa.CheckConstraint("dependent_id <> dependency_id", name="image_dependency_self_check"),
    )
    op.create_index("image_dependency_dependency_idx", "image_dependency", ["dependency_id"])
    op.create_table(
        "idempotency_key",
        sa.Column("key", BYTEWISE, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False, comment="SHA-256 of the operation and the body"),
        sa.Column("http_status", sa.SmallInteger(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False, comment="JSON object"),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("key", name="idempotency_key_pkey"),
    )
    op.create_index("idempotency_key_created_idx", "idempotency_key", ["created_at"])
    op.execute(MERGE)


def downgrade() -> None:
    op.execute("DROP FUNCTION image_merge(text, text)")
    op.drop_table("idempotency_key")
    op.drop_table("image_dependency")
    op.drop_table("image")
