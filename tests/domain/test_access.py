"""Access control by authority and namespace."""

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
    """Platform authorities may write everywhere, others in their namespaces; the wider scope wins."""
    assert POLICY.scope(asking) == scope


@pytest.mark.parametrize(
    "asking", [caller(2), caller(0, "algo"), caller(4, "algo"), caller(None, "algo"), caller(2**31 - 1, "algo")]
)
def test_nowhere(asking: Caller) -> None:
    """Unknown authorities, and namespace authorities without a namespace, may write nowhere."""
    with pytest.raises(Forbidden) as caught:
        POLICY.scope(asking)
    assert (caught.value.code, str(caught.value)) == ("240", "当前用户权限不足，不能执行此操作")


def test_nobody_unless_named() -> None:
    """A policy without authorities forbids everything."""
    with pytest.raises(Forbidden):
        AccessPolicy(frozenset(), frozenset()).scope(caller(1, "algo"))


def test_a_claim_may_be_less_and_never_more() -> None:
    """A userResult can narrow the caller's scope but not widen it."""
    assert POLICY.claimed_scope(caller(1), caller(2, "a")) == frozenset({"a"})
    assert POLICY.claimed_scope(caller(1), caller(1)) is None
    assert POLICY.claimed_scope(caller(2, "a", "b"), caller(3, "a")) == frozenset({"a"})
    for claim in (caller(1), caller(2, "c"), caller(2, "a", "c")):
        with pytest.raises(Forbidden, match="userResult超出当前用户的权限"):
            POLICY.claimed_scope(caller(2, "a", "b"), claim)


def test_require() -> None:
    """Only callers with an unlimited scope may write images without a namespace."""
    POLICY.require(caller(1), None)
    POLICY.require(caller(2, "a"), "a")
    for namespace in ("b", None):
        with pytest.raises(Forbidden):
            POLICY.require(caller(2, "a"), namespace)
    assert covers(None, None)
    assert not covers(frozenset(), "a")


def test_words_of_a_refusal() -> None:
    """Errors and record faults name the namespace, truncated to 64 characters, or its absence."""
    for namespace, words in (
        ("algo", "命名空间“algo”"),
        ("a" * 65, f"命名空间“{'a' * 63}…”"),
        (None, "不属于任何命名空间"),
    ):
        assert str(refuse_namespace(namespace)) == f"当前用户不能操作{words}的镜像"
        fault = outside_fault(namespace)
        assert (fault.field, fault.code, fault.message) == ("imageName", "240", f"当前用户不能操作{words}的镜像")
