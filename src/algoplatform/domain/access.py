"""Who may change what: an authority may act everywhere, in its own namespace, or nowhere."""

from dataclasses import dataclass

from algoplatform.domain.errors import Forbidden


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the document's userResult."""

    authority: int
    namespace: str


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """Which authorities may act anywhere and which only inside their own namespace."""

    platform_authorities: frozenset[int]
    namespace_authorities: frozenset[int]

    def scope(self, caller: Caller) -> str | None:
        """Tell the one namespace in which the caller may act; None is everywhere, Forbidden nowhere."""
        if caller.authority in self.platform_authorities:
            return None
        if caller.authority in self.namespace_authorities and caller.namespace:
            return caller.namespace
        raise Forbidden("当前用户权限不足，不能执行此操作")

    @staticmethod
    def refuse_namespace(namespace: str | None) -> Forbidden:
        """Word the refusal of an image of another namespace."""
        return Forbidden(
            f"当前用户不能操作命名空间“{namespace}”的镜像" if namespace else "当前用户不能操作不属于任何命名空间的镜像"
        )
