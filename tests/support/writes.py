"""Idempotency for writes in tests of use cases."""

from typing import Any

from algoplatform.catalogue.idempotency import Idempotency
from algoplatform.domain.answer import Answer
from algoplatform.domain.errors import AlgoplatformError


def once(key: str = "k", fingerprint: bytes = b"") -> Idempotency[Any]:
    """Return an idempotency for writes, whose stored responses hold the result or the message."""
    return Idempotency(key, fingerprint, _done, _refused)


def _done(result: object) -> Answer:
    return Answer(200, str(result).encode())


def _refused(error: AlgoplatformError) -> Answer:
    return Answer(422, error.message.encode())
