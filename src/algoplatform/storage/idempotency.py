"""Answers kept for Idempotency-Key, in the transaction of the write that they answer."""

import hashlib
import json
from typing import Final

from algoplatform.domain.answer import Answer
from algoplatform.storage.postgres.pool import Connection

# Refusals kept of each caller, the latest: whoever may write nothing must not fill the database.
_REFUSALS: Final = 1000

# A key that others have dropped as too old may still be there: it is taken over, which waits for no more than their commit.
_KEEP: Final = """
INSERT INTO idempotency_key AS kept (key, caller, fingerprint, http_status, headers, body)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (key) DO UPDATE SET caller = excluded.caller, fingerprint = excluded.fingerprint,
    http_status = excluded.http_status, headers = excluded.headers, body = excluded.body, created_at = now()
WHERE kept.created_at <= now() - make_interval(hours => $7)
RETURNING true
"""

# Some of those that are too many. What another transaction has locked is left to it, so none waits for another.
_DROP: Final = """
DELETE FROM idempotency_key WHERE key = ANY (ARRAY(
    SELECT key FROM idempotency_key WHERE {} LIMIT 100 FOR UPDATE SKIP LOCKED
))
"""
_DROP_OLD: Final = _DROP.format("created_at <= now() - make_interval(hours => $1)")
_DROP_REFUSALS: Final = _DROP.format(f"caller = $1 AND http_status <> 200 ORDER BY created_at DESC OFFSET {_REFUSALS}")


async def lock(connection: Connection, key: str) -> bool:
    """Hold the key until the transaction ends; False where another transaction does."""
    # A digest of which nobody can compute another key, as they could of PostgreSQL's own hash.
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], signed=True)
    return bool(await connection.fetchval("SELECT pg_try_advisory_xact_lock($1::bigint)", number))


async def find(connection: Connection, key: str, hours: int) -> tuple[bytes, Answer] | None:
    """Read the answer kept for the key and the fingerprint of what was asked; None where there is none of these hours."""
    # What is only read PostgreSQL does not hold back until a standby has it: a repeat could acknowledge what the primary alone has.
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
    """Keep an answer, and drop some that are too old or too many; False where another is kept that this one did not see."""
    body = answer.body if answer.brief is None else answer.brief
    refused = answer.http_status != 200
    given = (key, caller if refused else None, fingerprint, answer.http_status, json.dumps(answer.headers), body)
    if not await connection.fetchval(_KEEP, *given, hours):
        return False
    await connection.execute(_DROP_OLD, hours)
    if refused:
        await connection.execute(_DROP_REFUSALS, caller)
    return True
