"""An HTTP response as bytes, ready to be sent and to be stored for idempotent retries."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response."""

    http_status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
