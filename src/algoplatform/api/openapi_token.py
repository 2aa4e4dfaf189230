"""What the OpenAPI document says more where ALGOPLATFORM_AUTH=token."""

from typing import Any

from fastapi import FastAPI

from algoplatform.api.openapi import failures


def declare_token(app: FastAPI) -> None:
    """Say of every operation that it needs a token, and what it answers without."""
    plain = app.openapi

    def with_token() -> dict[str, Any]:
        document = plain()
        scheme = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
        document["components"] = document.get("components", {}) | {"securitySchemes": {"bearer": scheme}}
        refusals = failures(401, 403)
        for path in document["paths"].values():
            for operation in path.values():
                operation["security"] = [{"bearer": []}]
                for code in (401, 403):
                    operation["responses"].setdefault(str(code), refusals[code])
        return document

    app.openapi = with_token  # type: ignore[method-assign]  # FastAPI's own way to extend the document
