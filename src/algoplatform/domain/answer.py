"""An HTTP response as bytes, ready to be sent and to be stored for idempotent retries."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Answer:
    """An HTTP response; not to be changed, as caches share it. Frozen, it would take three times as long to make."""

    http_status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
