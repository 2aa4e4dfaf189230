"""Writes: each in a session of its own and, if the client sends an Idempotency-Key, at most once."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from algoplatform.domain.access import AccessPolicy, Caller
from algoplatform.domain.answer import Answer
from algoplatform.domain.errors import AlgoplatformError, BadRequest, Repeated, RequestRunning, Unavailable
from algoplatform.domain.faults import Code
from algoplatform.storage import idempotency
from algoplatform.storage.postgres.pool import Connection, Database
from algoplatform.storage.postgres.transactions import transaction

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Idempotency(Generic[Result]):
    """The key of a write, and how to word its outcome for repeats.

    Requests with equal `fingerprint` are repeats of each other; a key cannot be used for a different request.
    """

    key: str
    fingerprint: bytes
    done: Callable[[Result], Answer]
    refused: Callable[[AlgoplatformError], Answer]


@dataclass(frozen=True, slots=True)
class Writes:
    """Runs writes, each in a session of its own; stored responses expire after the given hours."""

    _database: Database
    _access: AccessPolicy
    _hours: int

    async def run(
        self, caller: Caller, once: Idempotency[Result] | None, write: Callable[[Connection], Awaitable[Result]]
    ) -> Result:
        """Run a write; with a key, in one transaction with the response that repeats get.

        A repeat raises Repeated. Raises RequestRunning while another request holds the key, and BadRequest
        if the key belongs to a different request.
        """
        if once is None:
            async with self._database.connection(write=True) as connection:
                return await write(connection)
        # A caller without permission to write must not cause any write, not even of a stored refusal.
        self._access.scope(caller)
        async with self._database.connection(write=True) as connection, transaction(connection):
            if not await idempotency.lock(connection, once.key):
                raise RequestRunning
            kept = await idempotency.find(connection, once.key, self._hours)
            if kept is None:
                outcome, answer = await _settled(once, write(connection))
                subject = caller.subject or ""
                if not await idempotency.keep(connection, once.key, subject, once.fingerprint, answer, self._hours):
                    # A process of another version, with other locks, has stored a response: roll back.
                    raise RequestRunning
        # Raised only now: an error inside the block would roll back what was stored or, in a repeat, skip the
        # wait for the standby.
        if kept is not None:
            fingerprint, answer = kept
            if fingerprint != once.fingerprint:
                raise BadRequest("此Idempotency-Key已用于另一个请求", malformed=False)
            raise Repeated(answer)
        if isinstance(outcome, AlgoplatformError):
            raise outcome
        return outcome


async def _settled(
    once: Idempotency[Result], write: Awaitable[Result]
) -> tuple[Result, Answer] | tuple[AlgoplatformError, Answer]:
    """Return the result or the refusal of a write, with its response; raise what must not be stored."""
    try:
        result = await write
    except AlgoplatformError as error:
        if isinstance(error, Unavailable) or error.code == Code.FORBIDDEN:
            raise
        return error, once.refused(error)
    return result, once.done(result)
