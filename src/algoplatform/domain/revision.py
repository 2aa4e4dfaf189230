"""One change in the history of an image."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Revision:
    """One change of an image: its actor, and the record before and after.

    Both records are None if those of the page are too large to be read at once.
    """

    version: int
    operation: str
    actor: str | None
    request_id: str | None
    made_at: datetime
    before: str | None
    after: str | None
