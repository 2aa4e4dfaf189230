"""The rules of a record as a whole."""

import pytest

from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.record.check import Rules, check, check_registration, check_update
from tests.support import record_fields as table
from tests.support.checks import BLANKS, IMAGE_ID, RULES, checked, faults
from tests.support.images import minimal


@pytest.mark.parametrize("field", table.REQUIRED)
def test_required_field(field: str) -> None:
    """An absent, null or blank required field is reported as empty, and nothing else is reported."""
    expected = [(field, table.code_of(field), f"{field}不能为空")]
    data = minimal()
    del data[field]
    assert faults(data) == expected
    assert faults(data, partial=True) == expected
    for blank in BLANKS:
        assert faults(minimal() | {field: blank}) == expected


@pytest.mark.parametrize("field", [*table.OPTIONAL, "deleteFlag", "imageId"])
def test_blank_optional_field_is_null(field: str) -> None:
    """A blank optional field is stored as null."""
    for blank in BLANKS:
        image = checked(minimal() | {field: blank})
        assert image.values().get(field) is None


def test_what_is_no_object() -> None:
    """All checks reject records that are not JSON objects."""
    for wrong in (None, 1, "x", [], [minimal()], True):
        for found in (check(wrong, RULES), check_registration(wrong, RULES), check_update(wrong, RULES)):
            assert found.image is None
            assert [(fault.field, fault.code, fault.message) for fault in found.faults] == [
                ("", "-1", "镜像信息须为JSON对象")
            ]


def test_alias_of_ports() -> None:
    """`imageports` is an alias of `imagePorts`; both may be sent if they are equal or one is blank."""
    for sent in (
        {"imageports": "a:1"},
        {"imageports": "a:1", "imagePorts": "a:1"},
        {"imageports": "a:1", "imagePorts": ""},
        {"imageports": " ", "imagePorts": "a:1"},
        {"imageports": None, "imagePorts": "a:1"},
    ):
        assert str(checked(minimal() | sent).image_ports) == "a:1"
    assert checked(minimal(imageports="")).image_ports is None
    different = "imagePorts与imageports不一致"
    assert faults(minimal(imageports="b:1", imagePorts="a:1")) == [("imagePorts", "208", different)]
    both = faults(minimal(imageports="b", imagePorts=1))
    assert both == [("imagePorts", "208", different), ("imagePorts", "208", "imagePorts须为字符串")]
    assert "imagePorts" in check(minimal(imageports=""), RULES).present


def test_node_ports_are_the_operators() -> None:
    """The rules set the range of node ports."""
    assert check(minimal(imagePorts="a:1:8080"), Rules(range(8000, 9000))).image is not None
    found = check(minimal(imagePorts="a:1:30000"), Rules(range(8000, 9000))).faults
    assert [fault.message for fault in found] == ["imagePorts第1项“a:1:30000”的节点端口须为8000至8999的整数"]


@pytest.mark.parametrize(("wide", "half"), [("，", ","), ("：", ":"), ("；", ","), ("、", ",")])
@pytest.mark.parametrize(
    ("field", "value", "item"),
    [
        ("imagePorts", "a:1{}b:2", "第1项"),
        ("imageMount", "/x,/a{}/b", "第2项"),
        ("config", "/a{} /b", "第1项"),
        ("hostPath", "/a:/b{}/c:/d", "第1项"),
        ("subPath", "/a{}/b", "第1项"),
        ("workingDir", "/a{}/b", ""),
        ("workingDir", "/a{}", ""),
        ("dependencyServiceId", "a:1{}b:2", "第1项"),
    ],
)
def test_full_width_separators(field: str, value: str, item: str, wide: str, half: str) -> None:
    """A full-width separator is the only fault, and its message names the half-width character to use."""
    text = value.format(wide)
    [(name, code, message)] = faults(minimal() | {field: text})
    assert (name, code) == (field, table.code_of(field))
    shown = text.split(",")[-1]
    assert f"{item}“{shown}”含有全角的“{wide}”，须改用半角的“{half}”" in message


def test_full_width_characters_that_separate_nothing() -> None:
    """Full-width characters are allowed within path segments and values of variables."""
    for sent in ({"imageMount": "/数据、备份/a，b,/c：d"}, {"env": "A:甲，乙：丙；丁、"}, {"workingDir": "/甲：乙"}):
        assert faults(minimal() | sent) == []


def test_frames_of_self_developed_algorithms() -> None:
    """algoType 0 needs both frame fields; an update may omit them but not clear them."""
    interval, number = ("frameInterval", "502", "frameInterval不能为空"), ("frameNumber", "503", "frameNumber不能为空")
    assert faults(minimal(algoType="0")) == [interval, number]
    assert faults(minimal(algoType="0", frameInterval=0)) == [number]
    assert faults(minimal(algoType="0", frameInterval="", frameNumber=1)) == [interval]
    assert faults(minimal(algoType="0"), partial=True) == []
    assert faults(minimal(algoType="0", frameInterval=None, frameNumber=1), partial=True) == [interval]
    assert faults(minimal(algoType="1")) == []
    wrong = faults(minimal(algoType="0", frameInterval="x", frameNumber=1))
    assert wrong == [("frameInterval", "202", "frameInterval须为整数")]


def test_registration_has_no_id() -> None:
    """Registering with an imageId has one fault for it, before all others."""
    assert check_registration(minimal(imageId=" "), RULES).image is not None
    for sent in (IMAGE_ID, "x", 7):
        found = check_registration(minimal(imageId=sent, imageTag="", zz=1), RULES)
        assert found.image is None
        assert [fault.message for fault in found.faults] == [
            "imageId由服务端生成，注册时须为空",
            "imageTag不能为空",
            "zz不是已知字段",
        ]


def test_update_needs_an_id() -> None:
    """An update needs an imageId; `present` names the fields that were sent."""
    for blank in BLANKS:
        found = check_update(minimal(imageId=blank, imageName="A"), RULES)
        assert found.image is None
        assert found.faults[0] == Fault("imageId", Code.FIELD, "imageId不能为空")
        assert found.faults[1].field == "imageName"
    found = check_update(minimal(imageId=IMAGE_ID, env=""), RULES)
    assert found.image is not None
    assert found.image.image_id == IMAGE_ID
    assert found.present == {"imageId", "imageName", "imageTag", "factory", "algoName", "algoType", "env"}
