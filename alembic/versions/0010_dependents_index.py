"""A covering index of the dependents of an image, so that walking up the graph need not read the edges"""

from collections.abc import Sequence

from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

NAME = "image_dependency_dependency_idx"


def upgrade() -> None:
    _replace("dependency_id", "dependent_id")


def downgrade() -> None:
    _replace("dependency_id")


def _replace(*columns: str) -> None:
    # Built before the other is dropped: reads wait for the drop alone.
    op.create_index("replacement", "image_dependency", columns)
    op.drop_index(NAME, table_name="image_dependency")
    op.execute(f"ALTER INDEX replacement RENAME TO {NAME}")
