"""Who may act where."""

import pytest

from algoplatform.domain.access import TRUSTED, AccessPolicy, Caller, covers, outside_fault, refuse_namespace
from algoplatform.domain.errors import Forbidden

POLICY = AccessPolicy(frozenset({1, 9}), frozenset({2, 3, 9}))


def caller(authority: int | None, *namespaces: str) -> Caller:
    return Caller(authority, frozenset(namespaces))


@pytest.mark.parametrize(
    ("asking", "scope"),
    [
        (caller(1), None),
        (caller(1, "algo"), None),
        (caller(9, "algo"), None),
        (caller(2, "algo"), frozenset({"algo"})),
        (caller(3, "a", "b"), frozenset({"a", "b"})),
        (TRUSTED, None),
    ],
)
def test_scope(asking: Caller, scope: frozenset[str] | None) -> None:
    """Platform authorities act everywhere, the others in their own namespaces; the wider of two holds."""
    assert POLICY.scope(asking) == scope


@pytest.mark.parametrize(
    "asking", [caller(2), caller(0, "algo"), caller(4, "algo"), caller(None, "algo"), caller(2**31 - 1, "algo")]
)
def test_nowhere(asking: Caller) -> None:
    """Others, and those without a namespace to act in, act nowhere."""
    with pytest.raises(Forbidden) as caught:
        POLICY.scope(asking)
    assert (caught.value.code, str(caught.value)) == ("240", "当前用户权限不足，不能执行此操作")


def test_nobody_unless_named() -> None:
    """A policy that names no authority lets nobody act."""
    with pytest.raises(Forbidden):
        AccessPolicy(frozenset(), frozenset()).scope(caller(1, "algo"))


def test_a_claim_may_be_less_and_never_more() -> None:
    """A userResult narrows what its caller may do, and widens nothing."""
    assert POLICY.claimed_scope(caller(1), caller(2, "a")) == frozenset({"a"})
    assert POLICY.claimed_scope(caller(1), caller(1)) is None
    assert POLICY.claimed_scope(caller(2, "a", "b"), caller(3, "a")) == frozenset({"a"})
    for claim in (caller(1), caller(2, "c"), caller(2, "a", "c")):
        with pytest.raises(Forbidden, match="userResult超出当前用户的权限"):
            POLICY.claimed_scope(caller(2, "a", "b"), claim)


def test_require() -> None:
    """An image without a namespace is for those alone who act everywhere."""
    POLICY.require(caller(1), None)
    POLICY.require(caller(2, "a"), "a")
    for namespace in ("b", None):
        with pytest.raises(Forbidden):
            POLICY.require(caller(2, "a"), namespace)
    assert covers(None, None)
    assert not covers(frozenset(), "a")


def test_words_of_a_refusal() -> None:
    """The refusal names the image's namespace, of which it echoes 64 characters at most, or says that it has none; a file's record says the same."""
    for namespace, words in (
        ("algo", "命名空间“algo”"),
        ("a" * 65, f"命名空间“{'a' * 63}…”"),
        (None, "不属于任何命名空间"),
    ):
        assert str(refuse_namespace(namespace)) == f"当前用户不能操作{words}的镜像"
        fault = outside_fault(namespace)
        assert (fault.field, fault.code, fault.message) == ("imageName", "240", f"当前用户不能操作{words}的镜像")
