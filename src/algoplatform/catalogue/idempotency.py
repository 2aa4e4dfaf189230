"""Idempotent writes: retries with the same Idempotency-Key get the first response."""

from collections.abc import Awaitable, Callable

from algoplatform.domain.answer import Answer
from algoplatform.domain.errors import BadRequest, RequestRunning
from algoplatform.storage import idempotency
from algoplatform.storage.postgres.pool import Connection, Database
from algoplatform.storage.postgres.transactions import transaction


async def once(
    database: Database,
    key: str,
    caller: str,
    fingerprint: bytes,
    hours: int,
    action: Callable[[Connection], Awaitable[Answer]],
) -> Answer:
    """Run the action and store its response in one transaction, or return the response of the first request.

    The action returns refusals as responses and raises only what must not be stored. The number of stored
    refusals is limited per `caller`, and responses expire after `hours`. Raises RequestRunning while another
    request holds the key, and BadRequest if `fingerprint` differs from that of the first request.
    """
    async with database.connection(write=True) as connection, transaction(connection):
        if not await idempotency.lock(connection, key):
            raise RequestRunning
        kept = await idempotency.find(connection, key, hours)
        if kept is None:
            answer = await action(connection)
            if not await idempotency.keep(connection, key, caller, fingerprint, answer, hours):
                # A process of another version, with other locks, has stored a response: roll back.
                raise RequestRunning
            return answer
    if kept[0] != fingerprint:
        raise BadRequest("此Idempotency-Key已用于另一个请求", malformed=False)
    return kept[1]
