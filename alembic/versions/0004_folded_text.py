"""Fold stored text: tags and hosts in lower case, line breaks apart from spaces, incidentId in NFC"""

import unicodedata
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The corrections are not revisions of an image.
WITHOUT_TRIGGER = "ALTER TABLE image {} TRIGGER image_keep_revision"

# Names and tags are ASCII; each text starts with them.
LOWER = """
UPDATE image SET search = lower(split_part(search, E'\\n', 1)) || substr(search, strpos(search, E'\\n'))
WHERE split_part(search, E'\\n', 1) <> lower(split_part(search, E'\\n', 1))
"""

INCIDENT = """
UPDATE image SET incident_id = normalize(incident_id, NFC) WHERE incident_id IS NOT NFC NORMALIZED
"""

BROKEN = r"""
SELECT image_id, concat_ws(E'\n', split_part(search, E'\n', 1), split_part(search, E'\n', 2), split_part(search, E'\n', 3)),
       record::json ->> 'algoDesc'
FROM image WHERE record LIKE '%\\n%' AND record::json ->> 'algoDesc' LIKE E'%\n%'
"""


def upgrade() -> None:
    op.execute(WITHOUT_TRIGGER.format("DISABLE"))
    op.execute(LOWER)
    op.execute(INCIDENT)
    connection = op.get_bind()
    for image_id, before, description in connection.exec_driver_sql(BROKEN).all():
        connection.execute(
            sa.text("UPDATE image SET search = :text WHERE image_id = :image_id"),
            {"image_id": image_id, "text": f"{before}\n{_folded(description)}"},
        )
    op.execute(WITHOUT_TRIGGER.format("ENABLE"))


def downgrade() -> None:
    """Keep the folded text: the previous version finds more with it than with its own."""


def _folded(text: str) -> str:
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    return folded.replace("\n", "\x1e")
