"""Lists the changes an upload would make, image by image, from the staging table."""

from typing import Final

from algoplatform.domain.uploads import Change, OnConflict
from algoplatform.storage.postgres.pool import Connection
from algoplatform.storage.upload.staging import REST

_MOST: Final = 1000

# Updates first, as they are what users check before they import. Fields in the order of the record.
_CHANGES: Final = f"""
SELECT image, action, ARRAY(
    SELECT old.key
    FROM json_each(before::json) WITH ORDINALITY AS old (key, value, ordinality)
    JOIN json_each(after::json) AS new ON new.key = old.key
    WHERE action = 'update' AND old.key <> 'imageId' AND old.value::text <> new.value::text
    ORDER BY old.ordinality
) AS fields
FROM (
    SELECT staging.image_name || ':' || staging.image_tag AS image, image.record AS before, staging.record AS after,
           CASE WHEN image.image_id IS NULL THEN 'create' WHEN $1 THEN 'skip' ELSE 'update' END AS action
    FROM staging LEFT JOIN image
      ON image.image_name = staging.image_name AND image.image_tag = staging.image_tag AND image.live
    WHERE $1 OR image.image_id IS NULL OR substr(image.record, {REST}) <> substr(staging.record, {REST})
    ORDER BY (image.image_id IS NULL OR $1), staging.image_name, staging.image_tag LIMIT {_MOST}
) AS changed
"""


async def find(connection: Connection, on_conflict: OnConflict) -> list[Change]:
    """Return the changes that writing the staged images would make; unchanged images have none."""
    rows = await connection.fetch(_CHANGES, on_conflict is OnConflict.SKIP)
    return [Change(row["image"], row["action"], row["fields"]) for row in rows]
