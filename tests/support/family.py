"""A process and its descendants."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def family(pid: int) -> list[int]:
    """Return the pids of a process and its descendants, parents first."""
    found = [pid]
    for member in found:
        with suppress(OSError):
            for task in Path(f"/proc/{member}/task").iterdir():
                with suppress(OSError):
                    found += map(int, (task / "children").read_text().split())
    return found


def commands(pid: int) -> dict[int, str]:
    """Return the command lines of a process and its descendants, by pid."""
    found = {}
    for member in family(pid):
        with suppress(OSError):
            found[member] = Path(f"/proc/{member}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


@contextmanager
def tracked(pid: int) -> Iterator[list[int]]:
    """Yield the pids of a process and its descendants; kill what is left if the test fails."""
    pids = family(pid)
    try:
        yield pids
    except BaseException:
        for member in {*pids, *family(pid)}:
            with suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        raise
