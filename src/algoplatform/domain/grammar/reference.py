r"""Image names, tags and references.

    reference       = name ":" tag
    name            = [host "/"] path                             (* at most 255 characters *)
    path            = component {"/" component}
    component       = alphanumeric {separator alphanumeric}
    alphanumeric    = /[a-z0-9]+/
    separator       = "." | "_" | "__" | "-" {"-"}
    host            = (domain | "[" /[0-9a-fA-F:]+/ "]") [":" /[0-9]+/]
    domain          = label {"." label}
    label           = /[a-zA-Z0-9]+/ {"-" {"-"} /[a-zA-Z0-9]+/}
    tag             = /[A-Za-z0-9_][A-Za-z0-9._-]{0,127}/

Source: github.com/distribution/reference, without digests. As in Docker, the part before the first "/" is a
host if it contains a ".", a ":" or an upper-case letter, is `localhost` or begins with "[", and a path
component otherwise. A part that looks like a host but is not a valid one (`a_b.c/d`) is rejected, as parsers
would disagree on the namespace.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

from algoplatform.domain.errors import clip, too_long
from algoplatform.domain.grammar.items import EMPTY, Text, malformed

MAX_NAME: Final = 255
MAX_TAG: Final = 128

# Possessive quantifiers (`++`, `*+`) keep every match linear in the length of hostile text. All grammars
# apply them to single characters only: applied to groups, Python before 3.11.5 matches wrongly (gh-106052),
# and Python before 3.12.8 fails if the group contains a capturing group (gh-101955).
_LABEL = r"[a-zA-Z0-9]++(?:-++[a-zA-Z0-9]++)*"
_UPPER = rf"(?=[a-z0-9-]*+[A-Z]){_LABEL}"
_HOST = rf"(?:localhost|{_LABEL}(?:\.{_LABEL})+|{_LABEL}(?=:)|{_UPPER}|\[[0-9a-fA-F:]++\])(?::[0-9]++)?"
_COMPONENT = r"[a-z0-9]++(?:(?:\.|__?+|-++)[a-z0-9]++)*"
_LIKE_HOST = r"[^/,.:]*+[.:][^/,]*+/"
NAME_PATTERN: Final = rf"(?:{_HOST}/|(?!{_LIKE_HOST})){_COMPONENT}(?:/{_COMPONENT})*"
TAG_PATTERN: Final = rf"[A-Za-z0-9_][A-Za-z0-9._-]{{0,{MAX_TAG - 1}}}+"

_NAME_RE = re.compile(NAME_PATTERN)
_TAG_RE = re.compile(TAG_PATTERN)
_REFERENCE_RE = re.compile(f"({NAME_PATTERN}):({TAG_PATTERN})")
_HOST_RE = re.compile(_HOST)
_COMPONENT_RE = re.compile(_COMPONENT)
_NOT_IN_COMPONENT = re.compile(r"[^a-z0-9._-]")
_NOT_IN_TAG = re.compile(r"[^A-Za-z0-9._-]")


class ImageName(Text):
    """The name of an image: `algo/posterize`, `harbor.local:5000/algo/posterize`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a name; raises Malformed."""
        if len(text) <= MAX_NAME and _NAME_RE.fullmatch(text):
            return cls(text)
        raise malformed(text, _name_faults(text))

    @property
    def host(self) -> str | None:
        """The registry's host, with its port; None if the name has none."""
        first, slash, _ = self.text.partition("/")
        return first if slash and _is_host(first) else None

    @property
    def path(self) -> str:
        """The name without the registry's host."""
        return self.text.partition("/")[2] if self.host else self.text

    @property
    def namespace(self) -> str | None:
        """The first component of the path, or None if the path has only one."""
        first, slash, _ = self.path.partition("/")
        return first if slash else None


class ImageTag(Text):
    """The tag of an image: `latest`, `1.0`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a tag; raises Malformed."""
        if _TAG_RE.fullmatch(text):
            return cls(text)
        raise malformed(text, _tag_faults(text))


@dataclass(frozen=True, slots=True)
class ImageReference:
    """An image by name and tag: `algo/posterize:1.0`."""

    name: ImageName
    tag: ImageTag

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a reference, whose tag follows the last colon; raises Malformed."""
        match = _REFERENCE_RE.fullmatch(text)
        if match and len(match[1]) <= MAX_NAME:
            return cls(ImageName(match[1]), ImageTag(match[2]))
        raise malformed(text, reference_faults(text))

    def __str__(self) -> str:
        return f"{self.name.text}:{self.tag.text}"


def reference_faults(text: str) -> Iterator[str]:
    """Yield the faults of a reference, as Chinese predicates."""
    if not text:
        yield EMPTY
        return
    name, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        yield from (f"的镜像名{fault}" for fault in _name_faults(text))
        yield "缺少标签名，须写作“镜像名:标签名”"
        return
    yield from (f"的镜像名{fault}" for fault in _name_faults(name))
    yield from (f"的标签名{fault}" for fault in _tag_faults(tag))


def _name_faults(text: str) -> Iterator[str]:
    if not text:
        yield EMPTY
        return
    if len(text) > MAX_NAME:
        yield too_long(text, MAX_NAME)
        return
    host, slash, path = text.partition("/")
    if not (slash and _is_host(host)):
        path = text
    elif not _HOST_RE.fullmatch(host):
        yield f"的仓库地址“{clip(host)}”须为主机名或IP地址，可带“:端口”"
    for position, component in enumerate(path.split("/"), 1):
        if not _COMPONENT_RE.fullmatch(component):
            yield f"的路径第{position}段{_component_fault(component)}"


def _component_fault(component: str) -> str:
    if not component:
        return "为空"
    foreign = _NOT_IN_COMPONENT.search(component)
    if foreign:
        allowed = "只能用小写字母、数字及“.”“_”“-”"
        return f"“{clip(component)}”含有不允许的字符“{clip(foreign[0])}”，{allowed}"
    return f"“{clip(component)}”须以小写字母或数字开头和结尾，其间只能用单个“.”、一至两个“_”或若干“-”分隔"


def _tag_faults(text: str) -> Iterator[str]:
    if not text:
        yield EMPTY
        return
    if len(text) > MAX_TAG:
        yield too_long(text, MAX_TAG)
    foreign = _NOT_IN_TAG.search(text)
    if foreign:
        yield f"含有不允许的字符“{clip(foreign[0])}”，只能用字母、数字及“_”“.”“-”"
    if text[0] in ".-":
        yield f"不能以“{text[0]}”开头"


def _is_host(component: str) -> bool:
    return (
        "." in component
        or ":" in component
        or component == "localhost"
        or component.startswith("[")
        or component != component.lower()
    )
