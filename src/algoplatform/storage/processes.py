"""What the embedded PostgreSQL needs of the operating system: whom to run as, and how to end with its parent."""

import ctypes
import os
import pwd
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_SERVER_USERS: Final = ("postgres", "nobody")


class EmbeddedPostgresError(RuntimeError):
    """The embedded PostgreSQL cannot run; the message is for the operator."""


def server_user(data: Path) -> pwd.struct_passwd | None:
    """Choose whom the server runs as: PostgreSQL refuses to be root, and data of another user than its own."""
    if os.geteuid() != 0:
        return None
    with suppress(OSError, KeyError):
        if uid := data.stat().st_uid:
            return pwd.getpwuid(uid)
    for name in _SERVER_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise EmbeddedPostgresError(f"PostgreSQL does not run as root, and there is no user {' or '.join(_SERVER_USERS)}")


def die_with_parent() -> Callable[[], None]:
    """Make what a child calls to be stopped in order when its parent dies, however that happens."""
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def arrange() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:
            os._exit(1)

    return arrange
