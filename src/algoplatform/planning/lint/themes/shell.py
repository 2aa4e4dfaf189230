"""The rule on shell syntax in command and args, which no shell runs unless they start one."""

import re
from collections.abc import Iterator
from typing import Final

from algoplatform.planning.lint.findings import Flaw
from algoplatform.planning.lint.record import words

_SYNTAX: Final = re.compile(r"&&|\|\|?|\$\(")
_QUOTED: Final = re.compile(r"""'[^']*'|"(?:[^"\\]|\\.)*"|\\.""")
_SHELLS: Final = frozenset({"sh", "bash", "ash", "dash", "zsh", "ksh"})
_RUNS: Final = re.compile(r"-[a-z]*c[a-z]*")


def flaws(command: str | None, args: str | None) -> list[Flaw]:
    line = f"{command} {args}"
    if "|" not in line and "&&" not in line and "$(" not in line:
        return []
    found = [flaw for field, text in (("command", command), ("args", args)) if text for flaw in _syntax(field, text)]
    return found if found and not _starts_shell([*words(command), *words(args)]) else []


def _syntax(field: str, text: str) -> Iterator[Flaw]:
    bare = _QUOTED.sub(_kept, text)
    for found in dict.fromkeys(_SYNTAX.findall(bare)):
        yield Flaw("shell-syntax", field, found, f"{field}中的“{found}”是Shell语法，但没有Shell执行它")


def _starts_shell(line: list[str]) -> bool:
    return line[0].rpartition("/")[2] in _SHELLS and any(map(_RUNS.fullmatch, line[1:]))


def _kept(quoted: re.Match[str]) -> str:
    """Return the part of quoted text that a shell treats as syntax: only `$(` within double quotes."""
    return "$(" if quoted[0][0] == '"' and "$(" in quoted[0] else ""
