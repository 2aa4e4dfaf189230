"""Access control: an authority may write everywhere, in its own namespaces only, or nowhere."""

from dataclasses import dataclass
from typing import Final

from algoplatform.domain.errors import Forbidden, clip
from algoplatform.domain.faults import Code, Fault

# The namespaces in which a caller may write; None means everywhere, including images without a namespace.
Scope = frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller and their request; `trusted` if authorised by a gateway or operating the database."""

    authority: int | None
    namespaces: frozenset[str]
    subject: str | None = None
    trusted: bool = False
    request_id: str | None = None


TRUSTED: Final = Caller(None, frozenset(), trusted=True)
# The command line, working directly on the database.
OPERATOR: Final = Caller(None, frozenset(), "cli", trusted=True)


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """The authorities that may write anywhere, and those that may write only in their own namespaces."""

    platform_authorities: frozenset[int]
    namespace_authorities: frozenset[int]

    def scope(self, caller: Caller) -> Scope:
        """Return where the caller may write; raises Forbidden if nowhere."""
        if caller.trusted or caller.authority in self.platform_authorities:
            return None
        if caller.authority in self.namespace_authorities and caller.namespaces:
            return caller.namespaces
        raise Forbidden("当前用户权限不足，不能执行此操作")

    def claimed_scope(self, caller: Caller, claim: Caller) -> Scope:
        """Return where the caller may write under a userResult, which can narrow the caller's scope.

        Raises Forbidden if the claim exceeds the scope.
        """
        held, claimed = self.scope(caller), self.scope(claim)
        if held is None or (claimed is not None and claimed <= held):
            return claimed
        raise Forbidden("userResult超出当前用户的权限")

    def require(self, caller: Caller, namespace: str | None) -> None:
        """Raise Forbidden if the caller may not write in the namespace."""
        require_covered(self.scope(caller), namespace)


def covers(scope: Scope, namespace: str | None) -> bool:
    return scope is None or namespace in scope


def require_covered(scope: Scope, *namespaces: str | None) -> None:
    """Raise Forbidden for the first of these namespaces that is outside of the scope."""
    for namespace in namespaces:
        if not covers(scope, namespace):
            raise refuse_namespace(namespace)


def refuse_namespace(namespace: str | None) -> Forbidden:
    """Build the error for an image outside of the caller's namespaces."""
    return Forbidden(outside_fault(namespace).message)


def outside_fault(namespace: str | None) -> Fault:
    """Build the same error as a fault of one record in a file."""
    outside = f"命名空间“{clip(namespace)}”的镜像" if namespace else "不属于任何命名空间的镜像"
    return Fault("imageName", Code.FORBIDDEN, f"当前用户不能操作{outside}")
