"""The body of a plan: JSON that may also contain numbers for the check to refuse with their fields."""

import pytest

from algoplatform.domain.errors import BadRequest
from algoplatform.domain.plan.body import parse_plan_body


def test_numbers() -> None:
    """NaN and integers of any length are parsed, as the check refuses them."""
    found = parse_plan_body(b'{"a": NaN, "b": -Infinity, "c": 1%b}' % (b"0" * 5000))
    assert found["a"] != found["a"]
    assert found["b"] == float("-inf")
    assert found["c"] > 2**31


@pytest.mark.parametrize("body", [b"{", b'{"a": 1, "a": 2}', b"\xff", b"[" * 10**5])
def test_what_is_no_json(body: bytes) -> None:
    """Invalid JSON is refused as in all other operations."""
    with pytest.raises(BadRequest):
        parse_plan_body(body)
