"""Correct the namespace of images stored when `[abc]` was taken for one instead of a registry host"""

from collections.abc import Sequence

from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The corrections are not revisions of an image, and keep its version.
WITHOUT_TRIGGERS = "ALTER TABLE image {0} TRIGGER image_keep_revision, {0} TRIGGER image_next_version"

# The namespace is the first of several components behind the host.
CORRECT = """
UPDATE image
SET namespace = CASE WHEN image_name LIKE '%/%/%' THEN split_part(image_name, '/', 2) END
WHERE namespace LIKE '[%'
"""


def upgrade() -> None:
    op.execute(WITHOUT_TRIGGERS.format("DISABLE"))
    op.execute(CORRECT)
    op.execute(WITHOUT_TRIGGERS.format("ENABLE"))


def downgrade() -> None:
    """Keep the namespaces: the previous version assigns the same."""
