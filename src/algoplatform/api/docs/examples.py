"""The API document's examples, shown unchanged on the pages."""

from importlib.resources import files
from typing import Any, Final

import orjson

from algoplatform.domain.record.model import RECORD_FIELDS

_EXAMPLES: Final[dict[str, Any]] = orjson.loads(files("algoplatform.api.docs").joinpath("examples.json").read_bytes())
_EMPTY: Final = dict.fromkeys(RECORD_FIELDS)

REGISTER: Final = _EXAMPLES["register"]
DELETE: Final = _EXAMPLES["delete"]
SEARCH: Final = _EXAMPLES["search"]
LOAD: Final = {"searchCondition": ""}
FOUND: Final = _EMPTY | _EXAMPLES["found"]
LOADED: Final = _EMPTY | _EXAMPLES["loaded"]
IMAGE_ID: Final[str] = LOADED["imageId"]
UPDATE: Final = {"imageId": IMAGE_ID, **REGISTER, "imageName": "algo/posterize", "imageTag": "1.0"}
# For each record of the file, its image and its fault.
UPLOAD_FAULTS: Final = _EXAMPLES["uploadFaults"]
