"""Classifies errors of PostgreSQL and its connections: after which ones may a retry succeed?"""

from typing import Final

import asyncpg

# SQLSTATEs: connection failure, rejected login, rollback by the server, resources, operator intervention;
# also a database that does not exist (yet), a read-only standby, and a lock not acquired within the role's
# lock_timeout.
_PASSING: Final = ("08", "28", "40", "53", "57", "3D000", "25006", "55P03")
# Those caused by concurrent writes to the same rows: deadlock and lock timeout.
_CONTENTION: Final = ("40P01", "55P03")

# InternalClientError is raised if none of several hosts is the primary, and by a connection that has just
# been notified of a server crash.
IN_THE_WAY: Final = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError)


def is_passing(error: BaseException) -> bool:
    """Return whether an error is transient: not caused by the request, which may succeed later."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "").startswith(_PASSING)
    return isinstance(error, IN_THE_WAY)


def is_outage(error: asyncpg.PostgresError) -> bool:
    """Return whether an error would hit any statement, not only concurrent writes of the same rows."""
    return is_passing(error) and error.sqlstate not in _CONTENTION
