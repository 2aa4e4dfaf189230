"""The next start removes metrics folders that a killed service has left, and no others."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from algoplatform.api.http.metrics import PREFIX
from algoplatform.cli.metrics_folders import held, remove_abandoned


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def made(folder: Path, *files: str) -> Path:
    """Make a folder that is an hour old."""
    folder.mkdir()
    for name in files:
        (folder / name).touch()
    hour_ago = time.time() - 3600
    os.utime(folder, (hour_ago, hour_ago))
    return folder


def gone() -> int:
    """Return the pid of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_abandoned(temporary: Path) -> None:
    """A folder whose owner and workers have ended is removed."""
    folder = made(temporary / f"{PREFIX}a", f"histogram_{gone()}.db", f"gauge_livesum_{gone()}.db")
    remove_abandoned()
    assert not folder.exists()


def test_owner_alive(temporary: Path) -> None:
    """A locked folder stays, even if no worker has written yet."""
    folder = made(temporary / f"{PREFIX}a")
    with held(folder):
        remove_abandoned()
        assert folder.exists()
    remove_abandoned()
    assert not folder.exists()


def test_worker_alive(temporary: Path) -> None:
    """The folder of a worker that is still draining stays."""
    folder = made(temporary / f"{PREFIX}a", f"histogram_{os.getpid()}.db")
    remove_abandoned()
    assert folder.exists()


def test_new_folder(temporary: Path) -> None:
    """A new folder, which another start is about to lock, stays."""
    folder = temporary / f"{PREFIX}a"
    folder.mkdir()
    remove_abandoned()
    assert folder.exists()


def test_links_and_files(temporary: Path) -> None:
    """Links are not followed, and files are ignored."""
    other = made(temporary / "other", "histogram_1.txt")
    (temporary / f"{PREFIX}link").symlink_to(other)
    (temporary / f"{PREFIX}file").touch()
    inside = made(temporary / f"{PREFIX}a")
    (inside / "link").symlink_to(other)
    os.utime(inside, (0, 0))
    remove_abandoned()
    assert [path.name for path in other.iterdir()] == ["histogram_1.txt"]
    assert (temporary / f"{PREFIX}link").is_symlink()
    assert (temporary / f"{PREFIX}file").exists()
    assert not inside.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make folders of another user")
def test_another_users(temporary: Path) -> None:
    """Another user's folder stays, although root could remove it."""
    folder = made(temporary / f"{PREFIX}a")
    os.chown(folder, 65534, 65534)
    remove_abandoned()
    assert folder.exists()
