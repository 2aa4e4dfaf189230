"""The status table: what each code means over HTTP."""

from typing import Final

from algoplatform.domain.faults import Code

HTTP_STATUS: Final = {
    Code.SUCCESS: 200,
    Code.IMAGE_EXISTS: 409,
    Code.IMAGE_NOT_FOUND: 404,
    Code.IDENTITY_CHANGED: 409,
    Code.IMAGE_IN_USE: 409,
    Code.FORBIDDEN: 403,
    **{code: -int(code) for code in Code if int(code) < -1},
}


def http_status(code: Code) -> int:
    return HTTP_STATUS.get(code, 422)
