"""The faults of a record: their texts, statuses and order."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from algoplatform.domain.errors import clip
from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.grammar.reference import ImageReference
from algoplatform.domain.record.check import absent_frames, check
from algoplatform.domain.record.wording import (
    code_of,
    exists_fault,
    identity_fault,
    label_of,
    missing_fault,
    missing_faults,
)
from tests.support import record_fields as table
from tests.support.checks import ADVICE, BLANKS, RULES, checked, faults
from tests.support.images import minimal


@pytest.mark.parametrize("field", table.ALL)
def test_code_of_a_field(field: str) -> None:
    """Each field has the status of the contract's table."""
    assert code_of(field).value == table.code_of(field)


def test_faults_stand_in_the_documents_order() -> None:
    """Faults have the order of the document's input table, not of the record."""
    wrong: dict[str, Any] = {"zz": 1, **{name: [] for name in reversed(table.ALL)}}
    assert [name for name, _, _ in faults(wrong)] == [*table.ALL, "zz"]


def test_several_faults_of_one_field_keep_their_order() -> None:
    """Faults of a list have the order of its items."""
    found = [message for _, _, message in faults(minimal(dependencyServiceId="1,,a:1,a:1"))]
    assert found == [
        f"{ADVICE}（第1项“1”缺少标签名，须写作“镜像名:标签名”）",
        f"{ADVICE}（第2项为空）",
        f"{ADVICE}（第4项“a:1”与第3项重复）",
    ]


def test_words_for_what_only_the_registry_knows() -> None:
    """Missing dependencies and taken names have their messages and statuses."""
    long = "a" * 100
    found = [missing_fault(2, ImageReference.parse("algo/b:1")), missing_fault(None, ImageReference.parse(f"{long}:1"))]
    assert found == [
        Fault("dependencyServiceId", Code.DEPENDENCY, f"{ADVICE}（“algo/b:1”未注册）", 2),
        Fault("dependencyServiceId", Code.DEPENDENCY, f"{ADVICE}（“{'a' * 63}…:1”未注册）"),
    ]
    image = checked(minimal("algo/a", "1", dependencyServiceId="algo/a:1,algo/b:1,algo/c:1"))
    [missing] = missing_faults(image, [2])
    assert (missing.position, missing.message) == (3, f"{ADVICE}（“algo/c:1”未注册）")
    assert exists_fault("algo/a:1") == Fault("imageName", Code.IMAGE_EXISTS, "镜像已注册：algo/a:1")
    assert exists_fault(f"{long}:{long}").message == f"镜像已注册：{'a' * 63}…:{'a' * 63}…"


def test_label_of_a_record() -> None:
    """A record's label is name and tag, each truncated to 64 characters, or else its position."""
    assert label_of(3, "algo/a", "1.0") == "algo/a1.0"
    assert label_of(3, "a" * 65, "b" * 65) == f"{'a' * 63}…{'b' * 63}…"
    assert label_of(3, 7, "1.0") == "1.0"
    assert label_of(3, None, "") == "第3条记录"


def test_unknown_fields() -> None:
    """Unknown fields with non-blank values are reported after all others; long names are truncated."""
    for blank in BLANKS:
        assert faults(minimal(colour=blank, other=None)) == []
    assert faults(minimal(colour="red", image_ports=0, imageID="x")) == [
        ("colour", "202", "colour不是已知字段"),
        ("image_ports", "202", "image_ports不是已知字段"),
        ("imageID", "202", "imageID不是已知字段"),
    ]
    long, shown = "k" * 1000, "k" * 63 + "…"
    assert faults(minimal() | {long: 1}) == [(shown, "202", f"{shown}不是已知字段")]
    assert faults({"zz": 1} | minimal(useableFlag="9")) == [
        ("useableFlag", "202", "useableFlag须为0、1之一，不能为“9”"),
        ("zz", "202", "zz不是已知字段"),
    ]
    strange = ("\\ud800", "202", "\\ud800不是已知字段")
    assert faults(minimal() | {"\ud800": 1}) == [strange]
    assert faults({"\ud800": 1, "zz": 1} | minimal(algoType="0", pics=-1), partial=True) == [
        ("pics", "202", "pics须为0至2147483647的整数"),
        strange,
        ("zz", "202", "zz不是已知字段"),
    ]
    assert faults(minimal() | {"\ud800": None, "a": None, "b": " "}) == []
    assert faults(minimal() | {"": 1, " ": 2}) == [
        ("“”", "202", "“”不是已知字段"),
        ("“ ”", "202", "“ ”不是已知字段"),
    ]


def test_very_many_unknown_fields() -> None:
    """The first 200 unknown fields are listed and others counted, and the known fields are still checked."""
    names = [f"\ud800{number:x}" if number % 2 else f"k{number}" for number in range(50_000)]
    found = check(dict.fromkeys(names, 1) | minimal(pics="x", factory=""), RULES)
    first, second, *unknown = [fault.message for fault in found.faults]
    assert (first, second) == ("factory不能为空", "pics须为整数")
    assert unknown == [f"{clip(name)}不是已知字段" for name in names[:200]]
    assert found.more == 10_000
    assert check(dict.fromkeys(names[:5000], 1) | minimal(), RULES).more == 4_800
    assert check(dict.fromkeys(names[:200], 1) | minimal(), RULES).more == 0
    assert faults(dict.fromkeys(names) | minimal()) == []


def test_names_cost_no_more_than_their_number(cost: Callable[[Callable[[], object]], float]) -> None:
    """The cost of unknown names grows linearly with their number, with lone surrogates too."""
    for pattern in ("{:x}", "\ud800{:x}"):
        few, many = ({pattern.format(number): 1 for number in range(count)} for count in (5_000, 50_000))
        assert cost(partial(check, many, RULES)) < 40 * cost(partial(check, few, RULES)) + 0.01


@pytest.mark.parametrize("field", sorted(set(table.STRINGS) - set(table.CHOICES) - {"imageTag", "command", "args"}))
def test_very_many_faults_of_a_field(field: str) -> None:
    """At most 20 faults of a field are listed, plus a note that there are more."""
    found = check(minimal() | {field: ("/" * 255 if field == "imageName" else "," * 4000)}, RULES)
    assert len(found.faults) <= 21
    assert found.cut == (len(found.faults) == 21)
    if found.cut:
        assert found.faults[-1].message.removesuffix("）").endswith("还有更多错误，只列出前20处")
        assert found.faults[-1].position is None
        assert [fault.position for fault in found.faults[:-1]] == [
            None if field == "imageName" else n + 1 for n in range(20)
        ]


@pytest.mark.parametrize(
    ("field", "value", "positions"),
    [
        ("imagePorts", "a:1,B:2,,a:3", [2, 3, 4]),
        ("imageMount", "/a,b,/a", [2, 3]),
        ("config", " /a", [1]),
        ("hostPath", "/a:/b,/c:/b", [2]),
        ("subPath", "/a,/b:/c", [1]),
        ("env", "A:1,1:2", [2]),
        ("dependencyServiceId", "a:1,b", [2]),
        ("workingDir", "x", [None]),
        ("imageName", "A", [None]),
        ("imageMount", 7, [None]),
    ],
)
def test_positions_of_faults(field: str, value: Any, positions: list[int | None]) -> None:
    """Faults of list items have a position, all others have none."""
    assert [fault.position for fault in check(minimal() | {field: value}, RULES).faults] == positions


def test_words_for_what_only_the_stored_image_knows() -> None:
    """The checks against the stored image cover omitted frame fields, and changes of name or tag."""
    assert absent_frames({"algoType": "0", "frameNumber": 1}) == ["frameInterval"]
    assert absent_frames({"algoType": "1"}) == []
    assert identity_fault() == Fault("imageName", Code.IDENTITY_CHANGED, "更新不能修改imageName或imageTag")
