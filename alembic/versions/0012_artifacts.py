"""What registries said of the images: beside the records, and gone with them"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

BYTEWISE = sa.Text(collation="C")

GONE = """
CREATE FUNCTION image_artifact_gone() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM image_artifact WHERE image_id = OLD.image_id;
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    op.create_table(
        "image_artifact",
        sa.Column("image_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False, comment="the version of the image when it was verified"),
        sa.Column("state", BYTEWISE, nullable=False),
        sa.Column("digest", BYTEWISE, comment="the last one seen"),
        sa.Column("first_digest", BYTEWISE, comment="the first one seen of this version of the image"),
        sa.Column("media_type", BYTEWISE),
        sa.Column("message", BYTEWISE),
        sa.Column("platforms", BYTEWISE, comment="as the interface answers them: compact JSON"),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("image_id", name="image_artifact_pkey"),
        sa.ForeignKeyConstraint(["image_id"], ["image.image_id"], name="image_artifact_image_fkey"),
        sa.CheckConstraint(
            "state IN ('present', 'missing', 'denied', 'unreachable', 'not-configured', 'unsupported')",
            name="image_artifact_state_check",
        ),
    )
    op.execute(GONE)
    # Fires only for statements that set `live`, which deletes alone do.
    op.execute(
        "CREATE TRIGGER image_artifact_gone AFTER UPDATE OF live ON image FOR EACH ROW"
        " WHEN (OLD.live AND NOT NEW.live) EXECUTE FUNCTION image_artifact_gone()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER image_artifact_gone ON image")
    op.execute("DROP FUNCTION image_artifact_gone()")
    op.drop_table("image_artifact")
