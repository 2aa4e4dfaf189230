"""Who may change what: an authority may act everywhere, in its own namespaces, or nowhere."""

from dataclasses import dataclass
from typing import Final

from algoplatform.domain.errors import Forbidden, clip
from algoplatform.domain.faults import Code, Fault

# The namespaces in which a caller may act; None is everywhere, images without a namespace included.
Scope = frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and by which request; `trusted` is one whom something in front has let in, or an operator at the database."""

    authority: int | None
    namespaces: frozenset[str]
    subject: str | None = None
    trusted: bool = False
    request_id: str | None = None


TRUSTED: Final = Caller(None, frozenset(), trusted=True)
# The command line, at the database.
OPERATOR: Final = Caller(None, frozenset(), "cli", trusted=True)


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """Which authorities may act anywhere and which only inside their own namespaces."""

    platform_authorities: frozenset[int]
    namespace_authorities: frozenset[int]

    def scope(self, caller: Caller) -> Scope:
        """Tell where the caller may act; Forbidden where nowhere."""
        if caller.trusted or caller.authority in self.platform_authorities:
            return None
        if caller.authority in self.namespace_authorities and caller.namespaces:
            return caller.namespaces
        raise Forbidden("当前用户权限不足，不能执行此操作")

    def claimed_scope(self, caller: Caller, claim: Caller) -> Scope:
        """Tell where a caller may act under a userResult, which may claim less than the caller has and never more."""
        held, claimed = self.scope(caller), self.scope(claim)
        if held is None or (claimed is not None and claimed <= held):
            return claimed
        raise Forbidden("userResult超出当前用户的权限")

    def require(self, caller: Caller, namespace: str | None) -> None:
        """Refuse a caller who may not act in the namespace."""
        if not covers(self.scope(caller), namespace):
            raise refuse_namespace(namespace)


def covers(scope: Scope, namespace: str | None) -> bool:
    """Tell whether an image of the namespace is one to act on."""
    return scope is None or namespace in scope


def refuse_namespace(namespace: str | None) -> Forbidden:
    """Word the refusal of an image of another namespace."""
    return Forbidden(_outside(namespace))


def outside_fault(namespace: str | None) -> Fault:
    """Word the same as the fault of one record of a file."""
    return Fault("imageName", Code.FORBIDDEN, _outside(namespace))


def _outside(namespace: str | None) -> str:
    return (
        f"当前用户不能操作命名空间“{clip(namespace)}”的镜像"
        if namespace
        else "当前用户不能操作不属于任何命名空间的镜像"
    )
