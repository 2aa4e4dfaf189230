"""Opens sessions with their settings."""

from typing import Any, Final

import asyncpg

from algoplatform.storage.postgres import dsn
from algoplatform.storage.postgres.session import Session

# How long a write of a single image waits for a lock.
LOCK_TIMEOUT: Final = "2s"
# Session settings that the database URL may override.
_OPERATORS: Final = frozenset({"lock_timeout", "idle_in_transaction_session_timeout"})


def _settings(statement_timeout: float) -> dict[str, str]:
    return {
        "statement_timeout": str(int(statement_timeout * 1000)),
        "lock_timeout": LOCK_TIMEOUT,
        # Otherwise a client that vanished would keep its locks.
        "idle_in_transaction_session_timeout": "60s",
        "tcp_keepalives_idle": "30",
        "tcp_keepalives_interval": "10",
        "tcp_keepalives_count": "3",
        # JIT compilation or starting parallel workers for an index scan takes longer than a search.
        "jit": "off",
        "min_parallel_index_scan_size": "1TB",
        # A plan cached while a table was small could be a sequential scan, and stay one as the table grows.
        "enable_seqscan": "off",
        # Each statement is written for one plan; planning it again for each call would take as long as running it.
        "plan_cache_mode": "force_generic_plan",
        # Reading a few index entries in order costs less than sorting all matching rows.
        "random_page_cost": "1",
        # Each text search scans the whole pending list of the GIN index: 0.4 ms per megabyte.
        "gin_pending_list_limit": "1MB",
    }


class Connect:
    """Opens sessions.

    With `pooled`, a transaction pooler may assign another server session to each transaction. Then no setting
    but application_name is sent, and the settings have to be configured on the database role.
    """

    def __init__(
        self, url: str, timeout: float, statement_timeout: float, limit: float | None, *, pooled: bool
    ) -> None:
        self._limit = limit
        self._pooled = pooled
        self._address = dsn.parse(url)
        given = self._address.settings
        self._lock_timeout_given = "lock_timeout" in given
        own = {} if pooled else _settings(statement_timeout)
        session = {name: value for name, value in own.items() if name not in _OPERATORS or name not in given}
        self._options: dict[str, Any] = {
            **self._address.arguments({"application_name": "algoplatform"} | session, timeout),
            "connection_class": Session,
            "statement_cache_size": 0 if pooled else 100,
        }

    async def __call__(self) -> Session:
        session: Session = await asyncpg.connect(**self._options)
        session.prepare_use(self._limit, pooled=self._pooled, lock_timeout_given=self._lock_timeout_given)
        dsn.set_socket_options(session, self._address)
        return session
