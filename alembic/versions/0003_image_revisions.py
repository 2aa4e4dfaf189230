"""The history of images: every state, with the actor that made it"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

BYTEWISE = sa.Text(collation="C")

# The row is the latest revision; a trigger stores the state before any update, whatever statement makes it.
KEEP = """
CREATE FUNCTION image_keep_revision() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO image_revision (image_id, version, operation, actor, request_id, made_at, record)
    VALUES (OLD.image_id, OLD.version, OLD.operation, OLD.actor, OLD.request_id, OLD.updated_at, OLD.record);
    RETURN NULL;
END
$$
"""

REFUSE = """
CREATE FUNCTION image_revision_refuse() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'image_revision is append-only';
END
$$
"""


def upgrade() -> None:
    op.add_column("image", sa.Column("operation", BYTEWISE, server_default=sa.text("'register'"), nullable=False))
    op.add_column("image", sa.Column("actor", BYTEWISE))
    op.add_column("image", sa.Column("request_id", BYTEWISE))
    op.execute("UPDATE image SET operation = CASE WHEN live THEN 'update' ELSE 'delete' END WHERE version > 1")
    op.create_table(
        "image_revision",
        sa.Column("image_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("operation", BYTEWISE, nullable=False),
        sa.Column("actor", BYTEWISE),
        sa.Column("request_id", BYTEWISE),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("record", BYTEWISE, nullable=False),
        sa.PrimaryKeyConstraint("image_id", "version", name="image_revision_pkey"),
    )
    op.execute(KEEP)
    op.execute(
        "CREATE TRIGGER image_keep_revision AFTER UPDATE ON image FOR EACH ROW EXECUTE FUNCTION image_keep_revision()"
    )
    op.execute(REFUSE)
    op.execute(
        "CREATE TRIGGER image_revision_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON image_revision"
        " FOR EACH STATEMENT EXECUTE FUNCTION image_revision_refuse()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER image_keep_revision ON image")
    op.execute("DROP FUNCTION image_keep_revision()")
    op.drop_table("image_revision")
    op.execute("DROP FUNCTION image_revision_refuse()")
    op.drop_column("image", "request_id")
    op.drop_column("image", "actor")
    op.drop_column("image", "operation")
