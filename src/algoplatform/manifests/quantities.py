"""Amounts, paths and texts in the form that Kubernetes expects."""

import re
from posixpath import basename, splitext
from typing import Any, Final

from algoplatform.domain.grammar.paths import canonical
from algoplatform.domain.record.model import Image
from algoplatform.manifests.options import Options

_FILES: Final = frozenset(["/etc/localtime", "/etc/timezone"])
# Kubernetes expands `$(NAME)` and turns `$$` into `$`; of a non-ASCII character after `$`, it drops a byte.
_EXPANDED = re.compile(r"\$(?:[$(]|[^\x00-\x7f])")


def literal(text: str) -> str:
    """Escape a text so that Kubernetes passes it to the container unchanged."""
    return text.replace("$", "$$") if "$" in text and _EXPANDED.search(text) else text


def requests(image: Image, options: Options) -> dict[str, str]:
    """Return the CPU and memory requests; a record's 0 counts as empty."""
    cpu = image.cpu_requests or options.default_cpu
    memory = image.mem_requests or options.default_memory
    found = {"cpu": f"{cpu}m"} if cpu else {}
    return found | ({"memory": f"{memory}Mi"} if memory else {})


def resources(image: Image, options: Options, gpu: dict[str, int | str]) -> dict[str, Any]:
    """Return a container's resources: requests, and the limits on GPUs and, on request, memory."""
    asked = requests(image, options)
    memory = {"memory": asked["memory"]} if options.limits == "memory" and "memory" in asked else {}
    found = {"requests": asked, "limits": memory | gpu}
    return {kind: amounts for kind, amounts in found.items() if amounts}


def file_type(source: str) -> str | None:
    """Return `File` if the name of a source on the node looks like that of a file."""
    # Without a type, the node would create a missing file as a directory.
    name = basename(source)
    return "File" if ".so" in name or splitext(name)[1] else None


def host_type(source: str, target: str) -> str | None:
    """Return the type of a hostPath volume: `File`, `Directory`, or None for sockets and devices."""
    place = canonical(source)
    if place.endswith(".sock") or f"{place}/".startswith("/dev/"):
        return None
    # A time zone such as Asia/Shanghai, mounted as /etc/localtime, is a file too.
    return "File" if _FILES & {place, canonical(target)} else file_type(source) or "Directory"
