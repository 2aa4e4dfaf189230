"""An embedded PostgreSQL that cannot run gives one clear line and leaves nothing behind."""

import importlib.util
import os
import time
from pathlib import Path

import pytest

from algoplatform.embedded import EmbeddedPostgres, EmbeddedPostgresError, processes, server
from algoplatform.embedded.programs import wheel_programs
from tests.support.owners import owning


def _refusal(home: Path, programs: Path | None = None) -> str:
    """Try to start, and return the error line."""
    with pytest.raises(EmbeddedPostgresError) as refused, EmbeddedPostgres(home, programs, fast=True):
        pass
    line = str(refused.value)
    assert "\n" not in line
    return line


def test_second_owner(home: Path) -> None:
    """A folder has one owner at a time, across processes, and is free afterwards."""
    with EmbeddedPostgres(home, fast=True):
        assert _refusal(home) == f"{home} is in use by another algoplatform; stop it first"
    with owning(home):
        assert "in use by another" in _refusal(home)
    with EmbeddedPostgres(home, fast=True):
        pass


def test_data_of_another_major_version(home: Path) -> None:
    """Data of another major version stays unchanged."""
    version = home / "postgres" / "PG_VERSION"
    ours = version.read_text()
    try:
        version.write_text("14\n")
        assert "is of PostgreSQL 14, but" in _refusal(home)
    finally:
        version.write_text(ours)


def test_no_programs(home: Path, enterable: Path) -> None:
    """A folder without programs is named with its full path."""
    assert f"in {enterable}/nothing;" in _refusal(home, enterable / "nothing")
    assert "in /nothing/here;" in _refusal(home, Path("/nothing/here"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
def test_given_programs_are_not_copied(home: Path, tmp_path: Path) -> None:
    """An operator's programs are not copied to where others can read, as anything may be next to them."""
    (tmp_path / "bin").symlink_to(wheel_programs())
    (tmp_path / "secret").touch()
    tmp_path.chmod(0o700)
    assert "no PostgreSQL that the user" in _refusal(home, tmp_path / "bin")
    assert not list(home.rglob("secret"))


def test_extra_not_installed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the wheel the error says what to install or to set."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    line = _refusal(home)
    assert "algoplatform[embedded]" in line
    assert "ALGOPLATFORM_DATABASE_URL" in line


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
def test_folder_out_of_reach(tmp_path: Path) -> None:
    """A folder that only root can enter is rejected for a server of another user."""
    tmp_path.chmod(0o700)
    assert "cannot reach" in _refusal(tmp_path / "data")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
def test_nobody_to_run_as(enterable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL does not run as root."""
    monkeypatch.setattr(processes, "SERVER_USERS", ("no-such-user",))
    assert "there is no user no-such-user" in _refusal(enterable / "new")


def test_no_folder(enterable: Path) -> None:
    """A path that is not a folder is rejected."""
    (enterable / "file").touch()
    assert _refusal(enterable / "file" / "data").startswith(f"cannot use {enterable}/file/data: ")


def test_folder_with_other_content(enterable: Path) -> None:
    """A folder `postgres` with other content stays unchanged."""
    other = enterable / "foreign" / "postgres" / "notes"
    other.mkdir(parents=True)
    assert "cannot use" in _refusal(enterable / "foreign")
    assert other.exists()


def test_initdb_fails(enterable: Path) -> None:
    """The error contains the output of initdb."""
    programs = enterable / "failing"
    programs.mkdir()
    for name in ("postgres", "initdb"):
        script = '#!/bin/sh\n[ "$1" = --version ] && echo "postgres (PostgreSQL) 18.0" && exit\necho no space left >&2\nexit 1\n'
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    assert _refusal(enterable / "fresh", programs) == "initdb failed: no space left"


def test_server_does_not_start(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the server does not start, the error names the log."""
    monkeypatch.setattr(server, "START_SECONDS", 0.5)
    file = home / "postgres" / "postgresql.auto.conf"
    text = file.read_text()
    file.write_text("nonsense")
    try:
        assert _refusal(home) == f"PostgreSQL does not start; see {home / 'postgres.log'}"
    finally:
        file.write_text(text)


@pytest.mark.parametrize("name", ["postgres.log", "lock"])
def test_folder_in_the_place_of_a_file(home: Path, name: str) -> None:
    """A folder in the place of a file is reported at once."""
    (home / name).unlink()
    (home / name).mkdir()
    try:
        start = time.monotonic()
        assert _refusal(home) == f"{home / name} is a folder: remove it, or set ALGOPLATFORM_DATA_DIR"
        assert time.monotonic() - start < server.START_SECONDS / 4
    finally:
        (home / name).rmdir()
