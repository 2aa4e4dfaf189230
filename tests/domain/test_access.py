"""Who may act where."""

import pytest

from algoplatform.domain.access import AccessPolicy, Caller
from algoplatform.domain.errors import Forbidden

POLICY = AccessPolicy(frozenset({1, 9}), frozenset({2, 3, 9}))


@pytest.mark.parametrize(
    ("authority", "namespace", "scope"),
    [(1, "", None), (1, "algo", None), (9, "algo", None), (2, "algo", "algo"), (3, " ", " ")],
)
def test_scope(authority: int, namespace: str, scope: str | None) -> None:
    """Platform authorities act everywhere, the others in their own namespace; the wider of two holds."""
    assert POLICY.scope(Caller(authority, namespace)) == scope


@pytest.mark.parametrize(("authority", "namespace"), [(2, ""), (0, "algo"), (4, "algo"), (-1, ""), (2**31 - 1, "algo")])
def test_nowhere(authority: int, namespace: str) -> None:
    """Others, and those without a namespace to act in, act nowhere."""
    with pytest.raises(Forbidden) as caught:
        POLICY.scope(Caller(authority, namespace))
    assert (caught.value.code, str(caught.value)) == ("240", "当前用户权限不足，不能执行此操作")


def test_nobody_unless_named() -> None:
    """A policy that names no authority lets nobody act."""
    with pytest.raises(Forbidden):
        AccessPolicy(frozenset(), frozenset()).scope(Caller(1, "algo"))


def test_words_of_a_refusal() -> None:
    """The refusal names the image's namespace, or says that it has none."""
    assert str(POLICY.refuse_namespace("algo")) == "当前用户不能操作命名空间“algo”的镜像"
    assert str(POLICY.refuse_namespace(None)) == "当前用户不能操作不属于任何命名空间的镜像"
