"""Responses in other media types than the envelope's: content negotiation, ETags, file names.

The envelope is the default. `format=` in the query takes precedence, then a media type that Accept names with at
least the quality of JSON. Errors are never raw: they use the envelope or RFC 9457.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from urllib.parse import quote

import orjson
from starlette.requests import Request
from starlette.responses import Response

from algoplatform.api.http.accept import qualities
from algoplatform.api.http.envelope import JSON
from algoplatform.api.http.request import is_known
from algoplatform.domain.errors import Refused, clip
from algoplatform.domain.faults import Code, Fault


@dataclass(frozen=True, slots=True)
class Format:
    """A representation: its name in `format=` and file extension, and its media types, of which the first is sent."""

    name: str
    media_types: tuple[str, ...]


ENVELOPE: Final = Format("json", (JSON,))
# After the registered type, the older ones that RFC 9512 lists.
YAML: Final = Format("yaml", ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"))
SVG: Final = Format("svg", ("image/svg+xml",))
MERMAID: Final = Format("mermaid", ("text/vnd.mermaid",))
DOT: Final = Format("dot", ("text/vnd.graphviz",))
SARIF: Final = Format("sarif", ("application/sarif+json",))


def choose_format(request: Request, asked: str | None, *raw: Format) -> Format:
    """Return the envelope's format or one of the raw ones; `asked` is the query parameter `format`.

    Raises Refused if `asked` is none of these.
    """
    if asked:
        named = {each.name: each for each in (ENVELOPE, *raw)}
        if asked not in named:
            text = f"format须为{'、'.join(named)}之一，不能为“{clip(asked)}”"
            raise Refused([Fault("format", Code.FIELD, text)])
        return named[asked]
    wishes = qualities(request)
    best, quality = ENVELOPE, wishes.get(JSON, 0)
    for each in raw:
        wish = max(wishes.get(media, 0) for media in each.media_types)
        # At equal quality the raw type wins: many clients name JSON, but only those that want the raw type name it.
        if wish > quality or (wish == quality > 0 and best is ENVELOPE):
            best, quality = each, wish
    return best


def tag_of(*parts: object) -> str:
    """Return a strong ETag over parts that JSON can express: versions, options, renderer, and the format's name."""
    return f'"{sha256(orjson.dumps(parts)).hexdigest()[:32]}"'


def not_modified(request: Request, tag: str) -> Response | None:
    """Return a 304 if the client has the representation with this ETag, else None."""
    return Response(status_code=304, headers={"etag": tag}) if is_known(request, tag) else None


def representation(body: bytes, form: Format, tag: str, name: str | None = None) -> Response:
    """Return a raw body with its ETag; with a `name`, as a file of this name with the format's extension.

    Cache-Control and Vary are added to every response.
    """
    headers = {"etag": tag}
    if name is not None:
        headers["content-disposition"] = attachment(f"{name}.{form.name}")
    return Response(body, headers=headers | {"content-type": content_type(form)})


def content_type(form: Format) -> str:
    """Return the Content-Type of a raw body, which is UTF-8 text; only text/* has a charset."""
    media = form.media_types[0]
    return f"{media}; charset=utf-8" if media.startswith("text/") else media


def attachment(filename: str) -> str:
    """Return a Content-Disposition (RFC 6266) for a file name, which may hold any characters."""
    plain = "".join(char if _is_plain(char) else "_" for char in filename)
    if plain == filename:
        return f'attachment; filename="{plain}"'
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


def _is_plain(char: str) -> bool:
    return char.isascii() and char.isprintable() and char not in '"\\/%'
