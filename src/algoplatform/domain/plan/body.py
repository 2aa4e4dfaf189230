"""Parses the body of a plan."""

import json
from typing import Any, Final

from algoplatform.domain.record.json import parse_json, truncated, unique

_DECODER: Final = json.JSONDecoder(object_pairs_hook=unique, parse_constant=float, parse_int=truncated)


def parse_plan_body(data: bytes) -> Any:
    """Parse a body; raises BadRequest. NaN and infinities pass, so that the check can name their fields."""
    return parse_json(data, _DECODER.decode)
