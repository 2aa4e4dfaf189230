"""Answers kept for Idempotency-Key, in the transaction of the write that they answer."""

import json
from dataclasses import dataclass, field

from algoplatform.storage.database import Connection


@dataclass(slots=True)
class Answer:
    """An answer as it went out."""

    http_status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


async def lock(connection: Connection, key: str) -> bool:
    """Hold the key until the transaction ends; False where another transaction does."""
    return bool(await connection.fetchval("SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))", key))


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


async def keep(connection: Connection, key: str, fingerprint: bytes, answer: Answer, hours: int) -> None:
    """Keep an answer, and drop some of those that nobody may ask for any more."""
    await connection.execute(
        "DELETE FROM idempotency_key WHERE key = $1 OR key IN (SELECT key FROM idempotency_key"
        " WHERE created_at <= now() - make_interval(hours => $2) LIMIT 100 FOR UPDATE SKIP LOCKED)",
        key,
        hours,
    )
    await connection.execute(
        "INSERT INTO idempotency_key (key, fingerprint, http_status, headers, body) VALUES ($1, $2, $3, $4, $5)",
        key,
        fingerprint,
        answer.http_status,
        json.dumps(answer.headers),
        answer.body,
    )
