"""Accept (RFC 9110, 12.5.1): the media types that a client names, and their qualities."""

import re
from typing import Final

from starlette.requests import Request

_QUALITY: Final = re.compile(r"(?:^|;)\s*[qQ]=([01](?:\.[0-9]{0,3})?)\s*(?:$|;)", re.ASCII)


def qualities(request: Request) -> dict[str, float]:
    """Return the named media types in lower case with their quality, 0 to 1; ranges such as */* are kept as they are."""
    wishes: dict[str, float] = {}
    for item in ",".join(request.headers.getlist("accept")).split(","):
        media, _, parameters = item.partition(";")
        quality = _QUALITY.search(parameters)
        wishes[media.strip().lower()] = float(quality[1]) if quality else 1
    return wishes
