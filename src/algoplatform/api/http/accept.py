"""Accept and Accept-Language (RFC 9110, 12.5): the media types or languages in a header, with their qualities."""

import re
from typing import Final

from starlette.requests import Request

_QUALITY: Final = re.compile(r"(?:^|;)\s*[qQ]=([01](?:\.[0-9]{0,3})?)\s*(?:$|;)", re.ASCII)


def qualities(request: Request) -> dict[str, float]:
    """Return the named media types in lower case with their quality, 0 to 1; ranges such as */* are kept as they are."""
    return wishes_of(",".join(request.headers.getlist("accept")))


def wishes_of(header: str) -> dict[str, float]:
    """Return the media types or languages of a header in lower case with their quality, 0 to 1."""
    wishes: dict[str, float] = {}
    for item in header.split(","):
        name, _, parameters = item.partition(";")
        quality = _QUALITY.search(parameters)
        wishes[name.strip().lower()] = float(quality[1]) if quality else 1
    return wishes
