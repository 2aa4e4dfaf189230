"""The response to bytes that are no complete request, with the same envelope and headers as all others."""

from http import HTTPStatus

from algoplatform.api.http.envelope import REQUEST_ID, EnvelopeResponse, cache_headers, failure, lenient_status
from algoplatform.domain.errors import BadRequest


def raw_refusal(status: int, message: str, request_id: bytes, *, always_200: bool) -> bytes:
    """Return a whole HTTP/1.1 response that closes the connection: an envelope, as Accept has not been read."""
    response = EnvelopeResponse(failure(BadRequest(message), problem=False, status=status))
    headers = [*response.raw_headers, (REQUEST_ID, request_id), *cache_headers(), (b"connection", b"close")]
    sent = HTTPStatus(lenient_status(status, headers) if always_200 else status)
    lines = [b"HTTP/1.1 %d %b" % (sent, sent.phrase.encode()), *(b": ".join(header) for header in headers)]
    return b"\r\n".join([*lines, b"", bytes(response.body)])
