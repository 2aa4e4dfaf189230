"""No image is lost: a state is only replaced by the next version, and the database rejects everything else"""

from collections.abc import Sequence

from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

REFUSE = """
CREATE FUNCTION image_refuse() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'image keeps its history: it is changed by updates that set version = version + 1, and by nothing else';
END
$$
"""

# An update without a new version would make two states of one version, and the history could not hold the
# second.
NEXT_VERSION = """
CREATE TRIGGER image_next_version BEFORE UPDATE ON image FOR EACH ROW
WHEN (NEW.version <> OLD.version + 1 OR NEW.image_id <> OLD.image_id) EXECUTE FUNCTION image_refuse()
"""

NO_LOSS = """
CREATE TRIGGER image_refuse_loss BEFORE DELETE OR TRUNCATE ON image FOR EACH STATEMENT EXECUTE FUNCTION image_refuse()
"""


def upgrade() -> None:
    op.execute(REFUSE)
    op.execute(NEXT_VERSION)
    op.execute(NO_LOSS)


def downgrade() -> None:
    op.execute("DROP TRIGGER image_refuse_loss ON image")
    op.execute("DROP TRIGGER image_next_version ON image")
    op.execute("DROP FUNCTION image_refuse()")
