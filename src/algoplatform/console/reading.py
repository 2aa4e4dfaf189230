"""Reading forms, in bounded size."""

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from algoplatform.api.http.request import read_body
from algoplatform.catalogue.parsing import off_loop
from algoplatform.domain.errors import BadRequest, MediaTypeRefused

if TYPE_CHECKING:
    from algoplatform.console.site import Visit

# Percent-encoding triples a text.
_GROWTH: Final = 3
_MOST: Final = 20_000

Pairs = list[tuple[str, str]]


async def read_form(visit: "Visit") -> Pairs:
    """Return the fields of a form in their order; raises BadRequest if it is malformed."""
    content_type = visit.request.headers.get("content-type", "")
    content = await read_body(visit.request, _GROWTH * visit.settings.max_body_bytes, visit.request.app.state.bodies)
    if content and not content_type.lower().startswith("application/x-www-form-urlencoded"):
        raise MediaTypeRefused("请求体须为表单：Content-Type须为application/x-www-form-urlencoded")
    return await off_loop(lambda: _parsed(content)) if len(content) > 32 * 1024 else _parsed(content)


def _parsed(content: bytes) -> Pairs:
    try:
        return parse_qsl(content.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST)
    except ValueError:
        raise BadRequest("表单格式错误") from None
