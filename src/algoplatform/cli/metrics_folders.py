"""The folders in which workers share metrics: a lock marks those in use, and a start removes the others.

A service that is killed cannot remove its folder. Others can create any name in the temporary folder, so only
folders of this user are touched, and no link is followed.
"""

import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

PREFIX: Final = "algoplatform-metrics-"
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITER: Final = re.compile(r"_([0-9]+)\.db")
# Seconds that a new folder may take until its owner has locked it.
_GRACE: Final = 10


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Mark a folder as in use: the lock ends with this process, however it ends."""
    descriptor = os.open(folder, _FOLDER)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def remove_abandoned() -> None:
    """Remove this user's folders that no process uses any more."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            _remove_if_abandoned(folder)


def _remove_if_abandoned(folder: Path) -> None:
    descriptor = os.open(folder, _FOLDER)
    try:
        state = os.fstat(descriptor)
        if state.st_uid != os.geteuid() or time.time() - state.st_mtime < _GRACE:
            return
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Workers of a killed owner may still finish their requests.
        if not any(map(_is_alive, _writers(descriptor))):
            shutil.rmtree(folder)
    finally:
        os.close(descriptor)


def _writers(descriptor: int) -> list[int]:
    return [int(found[1]) for name in os.listdir(descriptor) if (found := _WRITER.search(name))]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:  # gone, or a later process of another user
        return False
    return True
