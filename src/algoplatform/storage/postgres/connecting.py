"""Opening sessions, and what is asked of PostgreSQL for them."""

from typing import Any, Final

import asyncpg

from algoplatform.storage.postgres import dsn
from algoplatform.storage.postgres.session import Session

# How long a single write waits for a lock that another transaction holds.
LOCK_TIMEOUT: Final = "2s"
# Settings that the database's address may say otherwise.
_OPERATORS: Final = frozenset({"lock_timeout", "idle_in_transaction_session_timeout"})


def _settings(statement_timeout: float) -> dict[str, str]:
    return {
        "statement_timeout": str(int(statement_timeout * 1000)),
        "lock_timeout": LOCK_TIMEOUT,
        # Of a client that is gone without a word the locks would stay.
        "idle_in_transaction_session_timeout": "60s",
        "tcp_keepalives_idle": "30",
        "tcp_keepalives_interval": "10",
        "tcp_keepalives_count": "3",
        # Compiling a plan, or starting helpers to walk an index, takes longer than a search.
        "jit": "off",
        "min_parallel_index_scan_size": "1TB",
        # A plan made while a table was small would scan it, and be kept while it grows.
        "enable_seqscan": "off",
        # Each statement is written for one plan; making another for the values takes as long as running it.
        "plan_cache_mode": "force_generic_plan",
        # A few entries of an index in order cost less than all of them sorted.
        "random_page_cost": "1",
    }


class Connect:
    """Opens sessions.

    A pooler may hand out another session for each transaction, so nothing is asked of those but their name: the settings of a
    session have to be the database role's.
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
        """Open one."""
        session: Session = await asyncpg.connect(**self._options)
        session.prepare_use(self._limit, pooled=self._pooled, lock_timeout_given=self._lock_timeout_given)
        dsn.set_socket_options(session, self._address)
        return session
