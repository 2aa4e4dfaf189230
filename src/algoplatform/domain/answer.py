"""An HTTP response as bytes, ready to be sent and to be stored for idempotent retries."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Answer:
    """An HTTP response; do not change it, as caches share it. A frozen class takes three times as long to build."""

    http_status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
