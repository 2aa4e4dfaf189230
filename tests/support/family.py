"""The processes that one process has started, and those that they have."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def family(pid: int) -> list[int]:
    """List a process and its descendants, the elder first."""
    found = [pid]
    for member in found:
        with suppress(OSError):
            for task in Path(f"/proc/{member}/task").iterdir():
                with suppress(OSError):
                    found += map(int, (task / "children").read_text().split())
    return found


def commands(pid: int) -> dict[int, str]:
    """Give the command line of each of them."""
    found = {}
    for member in family(pid):
        with suppress(OSError):
            found[member] = Path(f"/proc/{member}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


@contextmanager
def tracked(pid: int) -> Iterator[list[int]]:
    """Give those of a family; where the test fails, none of them stays."""
    pids = family(pid)
    try:
        yield pids
    except BaseException:
        for member in {*pids, *family(pid)}:
            with suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        raise
