"""Additions to the OpenAPI document for ALGOPLATFORM_AUTH=token."""

from typing import Any, Final

from algoplatform.api.docs.components import COMPONENTS, header, refusal, refusals
from algoplatform.domain.errors import Unauthenticated

_CHALLENGE: Final = {
    "description": "须以Authorization: Bearer出示令牌",
    "schema": {"type": "string"},
    "example": 'Bearer realm="algoplatform"',
}
_UNAUTHENTICATED: Final = refusal(
    "没有令牌，或令牌无效（-401）", Unauthenticated("未认证：缺少请求头Authorization: Bearer", token_given=False)
)
_UNAUTHENTICATED["headers"]["WWW-Authenticate"] = header("Challenge")
_COMPONENTS: Final = {
    **COMPONENTS,
    "headers": {**COMPONENTS["headers"], "Challenge": _CHALLENGE},
    "responses": {**COMPONENTS["responses"], "Unauthenticated": _UNAUTHENTICATED},
    "securitySchemes": {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "JWT令牌"}
    },
}


def with_token(document: dict[str, Any]) -> dict[str, Any]:
    """Declare for every operation that it requires a token, and its response without one."""
    for path in document["paths"].values():
        for operation in path.values():
            operation["security"] = [{"bearer": []}]
            operation["responses"] = _with_refusals(operation["responses"])
    return document | {"components": _COMPONENTS}


def _with_refusals(responses: dict[str, Any]) -> dict[str, Any]:
    # A copy, as the argument may be shared between applications.
    unauthenticated = {"401": {"$ref": "#/components/responses/Unauthenticated"}}
    return dict(sorted({**refusals("Forbidden"), **unauthenticated, **responses}.items()))
