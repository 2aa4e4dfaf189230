r"""The environment variables of a container.

    environment     = variable {"," variable}                     (* each key once *)
    variable        = key ":" [value]
    key             = /[-._a-zA-Z][-._a-zA-Z0-9]*/                (* not ".", and not beginning with ".." *)
    value           = {character | "\,"}                          (* neither begins nor ends in white space *)
    character       = any character but ","

Source of the key: IsEnvVarName of Kubernetes. The first colon ends the key, so values may contain colons. A
backslash escapes a comma and is then dropped; any other backslash is literal. So the mapping of texts to
values is one to one: `\\,` is a backslash and a comma. In return, only the last value can end in a backslash, as
elsewhere that backslash would escape the comma after it.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from algoplatform.domain.errors import clip
from algoplatform.domain.grammar.items import SPACE_AROUND, Items, Key, ListGrammar, before_colon

_ITEM: Final = r"(?!\.\.|\.:)[-._a-zA-Z][-._a-zA-Z0-9]*+:(?!\s)(?:[^\\,]++|\\,?+)*(?<!\s)"
_SEPARATOR: Final = re.compile(r"(?<!\\),")
_NOT_IN_KEY: Final = re.compile(r"[^-._a-zA-Z0-9]")
_COMMA: Final = "\\,"


class EnvironmentVariable(NamedTuple):
    """An environment variable; the value is unescaped, as the container sees it."""

    key: str
    value: str

    def __str__(self) -> str:
        return f"{self.key}:{self.value.replace(',', _COMMA)}"


def _built(item: str) -> EnvironmentVariable:
    key, _, value = item.partition(":")
    return EnvironmentVariable(key, value.replace(_COMMA, ","))


def _variable_faults(item: str) -> Iterator[str]:
    key, colon, value = item.partition(":")
    if not colon:
        yield f"缺少“:”，须写作“键:值”（值中的逗号写作“{_COMMA}”）"
        return
    yield from (f"的键{fault}" for fault in _key_faults(key))
    if value != value.strip():
        yield f"的值{SPACE_AROUND}"


def _key_faults(key: str) -> Iterator[str]:
    if not key:
        yield "为空"
        return
    foreign = _NOT_IN_KEY.search(key)
    if foreign:
        yield f"含有不允许的字符“{clip(foreign[0])}”，只能用字母、数字及“_”“-”“.”"
    if key[0] in "0123456789":
        yield "不能以数字开头"
    if key == "." or key.startswith(".."):
        yield "不能为“.”，也不能以“..”开头"


class Environment(Items[EnvironmentVariable]):
    """Environment variables: `CVSIP:172.38.90.52,CVSPORT:11112`."""

    __slots__ = ()
    # Full-width separators are ordinary characters in a value.
    grammar = ListGrammar(
        _ITEM, _built, _variable_faults, Key("的键", before_colon), separator=_SEPARATOR, full_width=None
    )
