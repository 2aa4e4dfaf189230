"""Rules on env. Values may be secrets, so a flaw names only the key."""

import re
from collections.abc import Iterator
from typing import Final

from algoplatform.domain.errors import clip
from algoplatform.planning.lint.findings import Flaw
from algoplatform.planning.lint.record import variables

_SECRET: Final = re.compile(
    r"PASSWORD|PASSWD|TOKEN(?![A-Z])|(?:ACCESS|SECRET)[-._]?KEY|(?:^|[-._])[AS]K(?=$|[-._])", re.IGNORECASE
)
_RESERVED: Final = {
    "LD_PRELOAD": "会改变动态链接",
    "NVIDIA_VISIBLE_DEVICES": "会绕过显卡的分配",
}
# Each key that _SECRET or _RESERVED matches contains one of these.
_SIGNS: Final = ("PASSW", "TOKEN", "KEY", "AK", "SK", "LD_PRE", "NVIDIA_V")
# Searched in a text with a comma in front: that is faster than the alternative (?:^|,).
_MAYBE_HOST: Final = re.compile(r",[a-z][a-z0-9.-]*+:[1-9]")
_HOST: Final = re.compile(r"[a-z][a-z0-9-]*+(?:\.[a-z0-9-]++)*")
_PORT: Final = re.compile(r"[1-9][0-9]{1,4}(?:/.*)?", re.DOTALL)
_ENDS_IN_PORT: Final = re.compile(r":[1-9][0-9]{1,4}\Z")
_PLAIN_HOST: Final = re.compile(r"[a-z]+")
_WIDE: Final = re.compile("[，：]")


def flaws(text: str) -> list[Flaw]:
    return list(_flaws(text)) if _may_be_flawed(text) else []


def _may_be_flawed(text: str) -> bool:
    """Test the whole text at once, as most texts have no flaw."""
    if "$" in text or not text.isascii() or _MAYBE_HOST.search(f",{text}"):
        return True
    upper = text.upper()
    # A list takes less than half the time of any() or of a regular expression.
    return bool([sign for sign in _SIGNS if sign in upper])


def _flaws(text: str) -> Iterator[Flaw]:
    before = ""
    ascii_only = text.isascii()
    for key, value in variables(text):
        if value and _SECRET.search(key):
            yield Flaw("env-secret", "env", key, f"环境变量“{clip(key)}”像是密码或密钥，所有能查询的人都能看到")
        if key in _RESERVED:
            yield Flaw("env-reserved", "env", key, f"环境变量{key}{_RESERVED[key]}")
        if "$" in value:
            yield Flaw("env-dollar", "env", key, f"环境变量“{clip(key)}”的值含有“$”，将按原样传入容器")
        if value and _is_rest(key, value, before):
            yield Flaw("env-split", "env", key, f"“{clip(key)}”像是主机名，前一个值可能被未转义的逗号截断")
        elif not ascii_only and _WIDE.search(value):
            yield Flaw("env-split", "env", key, f"环境变量“{clip(key)}”的值含有全角的“，”或“：”，可能本应为半角")
        before = value


def _is_rest(key: str, value: str, before: str) -> bool:
    """Return whether key and value look like a host and its port, the rest of a value that was cut at a comma.

    A key of letters only counts as a host if the value before it ends in a port: `port:8080` alone is an ordinary
    variable.
    """
    if not (value[0] in "123456789" and _PORT.fullmatch(value) and _HOST.fullmatch(key)):
        return False
    return _PLAIN_HOST.fullmatch(key) is None or _ENDS_IN_PORT.search(before) is not None
