"""Doing a write once, however often it is asked for under one Idempotency-Key."""

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
    """Run the action and keep its answer in one transaction, or give the answer of the first time.

    The action turns refusals into answers itself and raises only what must not be kept. `caller` is whose refusals are
    counted together.
    """
    async with database.connection(write=True) as connection, transaction(connection):
        if not await idempotency.lock(connection, key):
            raise RequestRunning
        kept = await idempotency.find(connection, key, hours)
        if kept is None:
            answer = await action(connection)
            if not await idempotency.keep(connection, key, caller, fingerprint, answer, hours):
                # A process of a version with other locks has answered meanwhile: this write is undone.
                raise RequestRunning
            return answer
    if kept[0] != fingerprint:
        raise BadRequest("此Idempotency-Key已用于另一个请求", malformed=False)
    return kept[1]
