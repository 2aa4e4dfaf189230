"""The folders in which workers share metrics: a lock marks those in use, and the others are removed at start.

A service that is killed cannot remove its folder. Others can create any name in the temporary folder, so only
folders of this user are touched, and no link is followed.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from algoplatform.api.http.metrics import PREFIX, is_alive, writers

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
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
        if not any(map(is_alive, writers(entry.name for entry in os.scandir(descriptor)))):
            shutil.rmtree(folder)
    finally:
        os.close(descriptor)
