"""An HTTP response as bytes, ready to be sent and to be stored for idempotent retries."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Answer:
    """An HTTP response; `brief` replaces a long body when the response is stored for an Idempotency-Key."""

    http_status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    brief: bytes | None = None
