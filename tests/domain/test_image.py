"""Each rule of a record: the field, status and message of its fault."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings

from algoplatform.domain.errors import clip
from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.grammar.reference import ImageReference
from algoplatform.domain.record.image import (
    RECORD_FIELDS,
    Image,
    Rules,
    absent_frames,
    check,
    check_registration,
    check_update,
    code_of,
    exists_fault,
    identity_fault,
    is_blank,
    label_of,
    missing_fault,
    missing_faults,
    render,
)
from tests.support import record_fields as table
from tests.support.images import document_examples, minimal
from tests.support.strategies import image_records

RULES = Rules()
IMAGE_ID = "c675e74e1bc211ea9f600242ac110002"
BLANKS = [None, "", " ", "\t\n", "\u3000"]
ADVICE = "请检查依赖算法是否正确：镜像名:标签名,镜像名:标签名"


def faults(data: Any, **options: Any) -> list[tuple[str, str, str]]:
    found = check(data, RULES, **options)
    assert (found.image is None) == bool(found.faults)
    return [(fault.field, fault.code.value, fault.message) for fault in found.faults]


def checked(data: Any) -> Image:
    found = check(data, RULES)
    assert found.image is not None, found.faults
    return found.image


def test_record_fields_are_those_of_the_document() -> None:
    """The 29 keys have the order of the document's `_search` example."""
    assert list(RECORD_FIELDS) == list(json.loads(document_examples()[3])["res"]["data"][0])
    assert sorted(RECORD_FIELDS) == sorted(table.ALL)


@pytest.mark.parametrize("field", table.ALL)
def test_code_of_a_field(field: str) -> None:
    """Each field has the status of the contract's table."""
    assert code_of(field).value == table.code_of(field)


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


@pytest.mark.parametrize("field", table.INTEGERS)
def test_integer_field(field: str) -> None:
    """Integers are accepted as numbers or strings of digits, and stored as numbers."""
    for given_, stored in ((0, 0), (2**31 - 1, 2**31 - 1), ("0", 0), ("0" * 5000 + "7", 7), ("2147483647", 2**31 - 1)):
        value = checked(minimal() | {field: given_}).values()[field]
        assert (value, type(value)) == (stored, int)
    wrong: Any
    for wrong in (True, False, 1.0, 0.5, float("inf"), "1e3", "1.0", " 1", "+1", "-1", "１", "1_0", [], {}, [1]):
        assert faults(minimal() | {field: wrong}) == [(field, "202", f"{field}须为整数")]
    for wrong in (-1, 2**31, 10**400, "2147483648", "10000000000", "9" * 33, "9" * 5000, "0" * 40 + "2147483648"):
        assert faults(minimal() | {field: wrong}) == [(field, "202", f"{field}须为0至2147483647的整数")]


@pytest.mark.parametrize("field", [name for name in table.STRINGS if name not in table.CHOICES])
def test_string_field(field: str) -> None:
    """Strings have no control characters or lone surrogates, and a length limit; all faults are reported."""
    lead = f"{ADVICE}（" if field == "dependencyServiceId" else field
    tail = "）" if field == "dependencyServiceId" else ""
    code = table.code_of(field)

    def told(value: object) -> list[str]:
        found = faults(minimal() | {field: value})
        assert {(name, status) for name, status, _ in found} == {(field, code)}
        return [message.removeprefix(lead).removesuffix(tail) for _, _, message in found]

    for wrong in (1, 1.5, True, False, [], {}, ["a"], {"a": "b"}):
        assert told(wrong) == ["须为字符串"]
    for control in "\x00\x01\x08\x0b\x0c\r\x1b\x1f\x7f\x80\x9f" + ("" if field == "algoDesc" else "\t\n"):
        assert told(f"/a{control}b") == [f"第3个字符是控制字符（U+{ord(control):04X}）"]
    assert told("/\ud800") == told("/\udfff") == ["第2个字符不是合法的Unicode字符"]
    limit = {"imageName": 255, "imageTag": 128}.get(field, 4096)
    assert told("\ud83d" + "\x07" * limit) == [
        f"长度不能超过{limit}个字符，实际为{limit + 1}个",
        "第2个字符是控制字符（U+0007）",
        "第1个字符不是合法的Unicode字符",
    ]


@pytest.mark.parametrize("field", ["factory", "algoName", "algoDesc", "incidentId"])
def test_free_text_is_stored_as_sent(field: str) -> None:
    """Text of up to 4,096 characters is stored without trimming, normalisation or escaping."""
    for text in (" e\u0301 ", "\u3000易华录\u2028", "𠀀😀", '"\\/<&>%', "x" * 4096):
        assert checked(minimal() | {field: text}).values()[field] == text


def test_description_may_hold_tabs_and_newlines() -> None:
    """algoDesc may contain tabs, LF and CRLF, but no lone CR."""
    for text in ("a\tb\nc", "a\r\nb\r\n\r\nc", "\r\n a"):
        assert checked(minimal(algoDesc=text)).values()["algoDesc"] == text
    for text, place in (("a\rb", 2), ("a\r\r\nb", 2), ("a\n\rb", 3), ("a\r", 2)):
        assert faults(minimal(algoDesc=text)) == [("algoDesc", "202", f"algoDesc第{place}个字符是控制字符（U+000D）")]


@pytest.mark.parametrize(
    ("field", "allowed", "words"),
    [("algoType", "012", "0、1、2之一"), ("useableFlag", "01", "0、1之一"), ("deleteFlag", "0", "0")],
)
def test_choices(field: str, allowed: str, words: str) -> None:
    """A choice accepts only the listed strings; the fault echoes a wrong string."""
    code = table.code_of(field)
    wrong: Any
    for value in allowed:
        assert checked(minimal(frameInterval=1, frameNumber=1) | {field: value}).values()[field] == value
    for wrong in ("3", "00", " 0", "０", "x" * 65):
        shown = wrong if len(wrong) < 65 else "x" * 63 + "…"
        assert faults(minimal() | {field: wrong}) == [(field, code, f"{field}须为{words}，不能为“{shown}”")]
    for wrong in (0, 1, True, 0.0, [], {}):
        assert faults(minimal() | {field: wrong}) == [(field, code, f"{field}须为{words}（字符串）")]


@pytest.mark.parametrize(
    "wrong", ["1", IMAGE_ID.upper(), IMAGE_ID + "0", IMAGE_ID[:-1] + "g", IMAGE_ID + "\n", 7, True, []]
)
def test_image_id(wrong: object) -> None:
    """An imageId has exactly 32 lower-case hexadecimal digits."""
    assert faults(minimal(imageId=wrong)) == [("imageId", "202", "imageId须为32位小写十六进制字符串")]


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


def test_reference_and_dependencies() -> None:
    """The dependencies of an image do not include itself."""
    image = checked(minimal("algo/a", "1", dependencyServiceId="algo/b:1,algo/a:1,h:5000/c:2"))
    assert str(image.reference) == "algo/a:1"
    assert [str(item) for item in image.dependencies] == ["algo/b:1", "h:5000/c:2"]
    assert checked(minimal()).dependencies == ()


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


def test_words_for_what_only_the_stored_image_knows() -> None:
    """The checks against the stored image cover omitted frame fields, and changes of name or tag."""
    assert absent_frames({"algoType": "0", "frameNumber": 1}) == ["frameInterval"]
    assert absent_frames({"algoType": "1"}) == []
    assert identity_fault() == Fault("imageName", Code.IDENTITY_CHANGED, "更新不能修改imageName或imageTag")


def test_label_of_a_record() -> None:
    """A record's label is name and tag, each truncated to 64 characters, or else its position."""
    assert label_of(3, "algo/a", "1.0") == "algo/a1.0"
    assert label_of(3, "a" * 65, "b" * 65) == f"{'a' * 63}…{'b' * 63}…"
    assert label_of(3, 7, "1.0") == "1.0"
    assert label_of(3, None, "") == "第3条记录"


def test_blank() -> None:
    """Null and strings of white space are blank; other falsy values are not."""
    assert all(map(is_blank, BLANKS))
    assert not any(map(is_blank, [0, False, [], {}, "0", "\u200b"]))


@pytest.mark.parametrize("field", table.ALL)
def test_separators_are_not_blank(field: str) -> None:
    """U+001C to U+001F are rejected as control characters, though Python counts them as white space."""
    for wrong in ("\x1c", "\x1d\x1e", " \x1f", "\x1f\n"):
        assert not is_blank(wrong)
        assert {(name, code) for name, code, _ in faults(minimal() | {field: wrong})} == {(field, table.code_of(field))}
    assert faults(minimal(algoDesc=" \x1f")) == [("algoDesc", "202", "algoDesc第2个字符是控制字符（U+001F）")]
    assert faults(minimal(factory="\x1c")) == [("factory", "202", "factory第1个字符是控制字符（U+001C）")]


@settings(max_examples=40)
@given(image_records())
def test_what_is_rendered_passes_and_renders_alike(record: dict[str, Any]) -> None:
    """A rendered record equals the one sent, is valid again, and renders the same."""
    text = render(checked(record), IMAGE_ID)
    written = json.loads(text)
    assert list(written) == list(RECORD_FIELDS)
    assert {name: value for name, value in written.items() if value is not None} == record | {
        "imageId": IMAGE_ID,
        "deleteFlag": "0",
    }
    assert render(checked(written), IMAGE_ID) == text
    assert text == json.dumps(written, ensure_ascii=False, separators=(",", ":"))
