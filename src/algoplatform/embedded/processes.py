"""The user that the server runs as, and ending child processes together with their parent."""

import ctypes
import os
import pwd
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
SERVER_USERS: Final = ("postgres", "nobody")


class EmbeddedPostgresError(RuntimeError):
    """The embedded PostgreSQL cannot run; the message is for the operator."""


def server_user(owner: int) -> pwd.struct_passwd | None:
    """Choose the user that the server runs as, None for this process's own.

    PostgreSQL runs neither as root nor on data of another user.
    """
    if os.geteuid() != 0:
        return None
    with suppress(KeyError):
        if owner:
            return pwd.getpwuid(owner)
    for name in SERVER_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise EmbeddedPostgresError(f"PostgreSQL does not run as root, and there is no user {' or '.join(SERVER_USERS)}")


def die_with_parent() -> Callable[[], None]:
    """Return a preexec_fn that makes the child receive SIGINT when the thread that started it ends."""
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def arrange() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:
            os._exit(1)

    return arrange


def end_with_parent(parent: int) -> None:
    """Make this process receive SIGTERM when its parent dies, at once if it already has."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        signal.raise_signal(signal.SIGTERM)
