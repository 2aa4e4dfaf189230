"""Search conditions, and how text is compared: NFC-normalised and case-insensitive."""

import unicodedata
from functools import partial
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError
from pydantic.alias_generators import to_camel

from algoplatform.domain.errors import Malformed, Refused
from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.grammar.reference import MAX_NAME, MAX_TAG, ImageReference
from algoplatform.domain.record import fields
from algoplatform.domain.record.fields import is_blank
from algoplatform.domain.record.model import Image
from algoplatform.domain.record.wording import field_faults, unknown_faults

DEFAULT_PAGE_SIZE: Final = 50
MAX_PAGE_SIZE: Final = 1000
MAX_IDS: Final = 1000
# The most items in a list of ids, including blank items and duplicates.
_MOST_GIVEN: Final = 10 * MAX_IDS
# In the worst case PostgreSQL's substring search takes time proportional to the product of both lengths.
MAX_PATTERN: Final = 255


# Searchable texts are stored one per line, so a line break within one is replaced by this control
# character, which valid texts cannot contain.
_BREAK: Final = "\x1e"


_nfc: Final = partial(unicodedata.normalize, "NFC")


def fold(text: str) -> str:
    """Normalise text for comparison: NFC, case-folded, on one line."""
    text = text.lower() if text.isascii() else _nfc(_nfc(text).casefold())
    return text.replace("\r\n", _BREAK).replace("\n", _BREAK) if "\n" in text else text


def fold_exact(text: str | None) -> str | None:
    """Normalise text for the exact filters: NFC, case-sensitive."""
    return text if text is None or text.isascii() else _nfc(text)


GRAM: Final = 4


def grams(folded: str) -> list[str]:
    """Return the 4-grams of folded text, or the text itself if shorter; a text that contains it contains them all."""
    return [folded[at : at + GRAM] for at in range(max(1, len(folded) - GRAM + 1))]


def search_text(image: Image) -> str:
    """Return the text to search in: name:tag, factory, algoName and algoDesc, folded, one per line."""
    texts = (str(image.reference), image.factory, image.algo_name, image.algo_desc or "")
    return "\n".join(map(fold, texts))


def check_positive(value: object, *, limit: int) -> int:
    return fields.check_range(fields.check_integer(value), 1, limit)


def _positive(limit: int) -> PlainValidator:
    check = partial(check_positive, limit=limit)
    return PlainValidator(check, json_schema_input_type=Annotated[int, Field(ge=1, le=limit)])


def check_ids(value: object) -> tuple[str, ...]:
    """Validate an imageId or a list of them; ignores blank items and duplicates, and sorts the rest."""
    given = value if isinstance(value, list) else [value]
    # A list that is too long is rejected by its length alone.
    ids = given if len(given) > _MOST_GIVEN else {fields.check_id(item) for item in given if not is_blank(item)}
    if not 1 <= len(ids) <= MAX_IDS:
        raise Malformed(f"须为1至{MAX_IDS}个，实际为{len(ids)}个")
    return tuple(sorted(ids))


def check_reference(value: object) -> ImageReference:
    return ImageReference.parse(fields.check_text(value, limit=MAX_NAME + 1 + MAX_TAG))


_check_pattern = partial(fields.check_text, multiline=True, limit=MAX_PATTERN)
_PATTERN = Annotated[str, Field(max_length=MAX_PATTERN, pattern=fields.NO_CONTROL_IN_LINES)]
_IDS = Annotated[list[fields.HexId], Field(min_length=1, max_length=MAX_IDS)]
_REFERENCE = Annotated[str, Field(pattern="^[A-Za-z0-9._:/\\[\\]-]{0,254}[a-z0-9]:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$")]
Reference = Annotated[ImageReference, PlainValidator(check_reference, json_schema_input_type=_REFERENCE)]


class Conditions(BaseModel):
    """The conditions of a search or an export, all optional, combined with AND."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=False)

    search_condition: Annotated[str, PlainValidator(_check_pattern, json_schema_input_type=_PATTERN)] | None = Field(
        None,
        description="搜索条件：imageName、imageTag、imageName:imageTag、factory、algoName、algoDesc中的子串，不区分大小写；"
        "也可以是imageId",
        examples=["structure_new"],
    )
    image_id: (
        Annotated[tuple[str, ...], PlainValidator(check_ids, json_schema_input_type=_IDS | fields.HexId)] | None
    ) = Field(None, description=f"镜像编号，可以有多个（至多{MAX_IDS}个）：其中之一")
    namespace: fields.Text | None = Field(None, description="命名空间：镜像名称的第一段路径", examples=["algo"])
    algo_type: fields.AlgoType | None = Field(None, description="算法类别")
    event_type: fields.Integer | None = Field(None, description="算法编号（事件类型）")
    factory: fields.Text | None = Field(None, description="厂商名称（完全匹配）")
    incident_id: fields.Text | None = Field(None, description="算法分类")
    useable_flag: fields.UseableFlag | None = Field(None, description="对外展示")
    page: Annotated[int, _positive(fields.MAX_INTEGER)] | None = Field(
        None, description="页码，从1开始；应答另有总数total。不填page和pageSize则返回全部"
    )
    page_size: Annotated[int, _positive(MAX_PAGE_SIZE)] | None = Field(
        None, description=f"每页条数，1至{MAX_PAGE_SIZE}；有page时默认{DEFAULT_PAGE_SIZE}"
    )
    after: Reference | None = Field(
        None, description="镜像名:标签名：只要排在它之后的，用于翻到下一页；不能与page或before同时使用"
    )
    before: Reference | None = Field(
        None, description="镜像名:标签名：只要排在它之前的，用于翻到上一页；不能与page或after同时使用"
    )

    @property
    def key(self) -> str:
        """A cache key: equal for equal conditions, however they were sent."""
        return repr(tuple(self.__dict__.values()))


_NOTHING: Final = Conditions.model_validate({})
_KNOWN: Final = frozenset(map(to_camel, Conditions.model_fields))
# Mutually exclusive.
_PLACES: Final = ("page", "after", "before")


def check_conditions(data: dict[str, Any]) -> Conditions:
    """Validate conditions from parsed JSON or query parameters; raises Refused with all faults."""
    if not data:
        return _NOTHING
    unknown: list[Fault] = []
    more = 0
    if not _KNOWN.issuperset(data):
        # Pydantic would build an error object for each unknown name, and validates nothing if a name
        # contains a lone surrogate.
        unknown, more = unknown_faults(data, _KNOWN, what="不是已知的查询条件")
    known = {name: value for name, value in data.items() if name in _KNOWN and not is_blank(value)}
    faults: list[Fault] = []
    try:
        conditions = Conditions.model_validate(known)
    except ValidationError as error:
        for found in error.errors(include_url=False, include_input=False):
            faults += field_faults(str(found["loc"][0]), found["ctx"]["error"])
    places = [name for name in _PLACES if name in known] if len(known) > 1 else []
    faults += [Fault(name, Code.FIELD, f"{name}不能与{places[0]}同时使用") for name in places[1:]]
    if faults or unknown:
        raise Refused([*faults, *unknown], more=more)
    return conditions
