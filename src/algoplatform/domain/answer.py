"""An answer to a client, ready to send and to keep."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Answer:
    """An HTTP answer; `brief` replaces a long body where the answer is kept for an Idempotency-Key."""

    http_status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    brief: bytes | None = None
