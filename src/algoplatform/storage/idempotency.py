"""Responses stored for Idempotency-Key, in the same transaction as the write they answer."""

import hashlib
import json
from typing import Final

from algoplatform.domain.answer import Answer
from algoplatform.storage.postgres.pool import Connection
from algoplatform.storage.schema import sql
from algoplatform.storage.schema.tables import idempotency_key as table

# The latest refusals stored per caller: a caller without write permission must not fill the database.
_REFUSALS: Final = 1000

_KEY, *_ANSWER = (column for column in table.columns if column.server_default is None)
_NAMES: Final = sql.names([_KEY, *_ANSWER])

# Another transaction may have deleted the expired key without having committed: the upsert overwrites the
# key, and waits only for that commit. $1: how long a key lasts, in hours.
_KEEP: Final = f"""
INSERT INTO idempotency_key AS kept ({sql.listed([_KEY, *_ANSWER])})
VALUES ({", ".join(sql.arguments([_KEY, *_ANSWER], 2))})
ON CONFLICT (key) DO UPDATE SET {sql.excluded(_ANSWER)}, created_at = now()
WHERE kept.created_at <= now() - make_interval(hours => $1)
RETURNING true
"""

# Deletes a batch of the excess rows. SKIP LOCKED skips rows that another transaction has locked, so cleanups never
# wait for each other.
_DROP: Final = """
DELETE FROM idempotency_key WHERE key = ANY (ARRAY(
    SELECT key FROM idempotency_key WHERE {} LIMIT 100 FOR UPDATE SKIP LOCKED
))
"""
_DROP_OLD: Final = _DROP.format("created_at <= now() - make_interval(hours => $1)")
_DROP_REFUSALS: Final = _DROP.format(f"caller = $1 AND http_status <> 200 ORDER BY created_at DESC OFFSET {_REFUSALS}")


async def lock(connection: Connection, key: str) -> bool:
    """Lock the key until the transaction ends; return False if another transaction holds it."""
    # SHA-256, because collisions of PostgreSQL's own hash can be computed.
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], signed=True)
    return bool(await connection.fetchval("SELECT pg_try_advisory_xact_lock($1::bigint)", number))


async def find(connection: Connection, key: str, hours: int) -> tuple[bytes, Answer] | None:
    """Return the fingerprint and the response stored for the key; None if none was stored within `hours`."""
    # FOR UPDATE makes this a write: PostgreSQL does not wait for a synchronous standby after plain reads, so
    # a repeat could acknowledge a write that only the primary has.
    row = await connection.fetchrow(
        "SELECT fingerprint, http_status, headers, body FROM idempotency_key"
        " WHERE key = $1 AND created_at > now() - make_interval(hours => $2) FOR UPDATE",
        key,
        hours,
    )
    if row is None:
        return None
    return row["fingerprint"], Answer(row["http_status"], row["body"], json.loads(row["headers"]))


async def keep(connection: Connection, key: str, caller: str, fingerprint: bytes, answer: Answer, hours: int) -> bool:
    """Store a response, and delete a batch of expired or excess ones.

    Return False if the key holds another response, committed after this transaction looked it up.
    """
    refused = answer.http_status != 200
    values = {
        "key": key,
        "fingerprint": fingerprint,
        "http_status": answer.http_status,
        "headers": json.dumps(answer.headers),
        "body": answer.body,
        "caller": caller if refused else None,
    }
    if not await connection.fetchval(_KEEP, hours, *(values[name] for name in _NAMES)):
        return False
    await connection.execute(_DROP_OLD, hours)
    if refused:
        await connection.execute(_DROP_REFUSALS, caller)
    return True
