"""A covering index of the search text, so that counting matches of common text need not read the images"""

from collections.abc import Sequence

from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# A B-tree entry is limited to about 2,700 bytes.
SHORT = "CREATE INDEX image_text_idx ON image (live) INCLUDE (search) WHERE live AND octet_length(search) <= 2000"
LONG = "CREATE INDEX image_long_text_idx ON image (live) WHERE live AND LEAST(octet_length(search), 2001) = 2001"


def upgrade() -> None:
    op.execute(SHORT)
    op.execute(LONG)


def downgrade() -> None:
    op.drop_index("image_long_text_idx", table_name="image")
    op.drop_index("image_text_idx", table_name="image")
