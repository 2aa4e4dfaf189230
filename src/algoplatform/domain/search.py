"""What can be asked of the registry, and how text is compared: NFC-normalised, without regard to case."""

import unicodedata
from functools import partial
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError
from pydantic.alias_generators import to_camel

from algoplatform.domain import fields
from algoplatform.domain.errors import Malformed, Refused
from algoplatform.domain.faults import Fault
from algoplatform.domain.image import Image, code_of, is_blank, unknown_faults

DEFAULT_PAGE_SIZE: Final = 50
MAX_PAGE_SIZE: Final = 1000


# What is searched stands a line each: a line break within it is this, which no text can hold.
_BREAK: Final = "\x1e"


def fold(text: str) -> str:
    """Bring text into the form in which it is compared."""
    if text.isascii():
        return _one_line(text.lower())
    return _one_line(unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold()))


def _one_line(text: str) -> str:
    return text.replace("\r\n", _BREAK).replace("\n", _BREAK)


def fold_exact(text: str | None) -> str | None:
    """Bring text into the form in which exact filters compare it: NFC, case kept."""
    return text if text is None or text.isascii() else unicodedata.normalize("NFC", text)


GRAM: Final = 4


def grams(folded: str) -> list[str]:
    """Cut text into the pieces of four characters that every text holding it holds too; shorter text is one piece."""
    return [folded[at : at + GRAM] for at in range(max(1, len(folded) - GRAM + 1))]


def search_text(image: Image) -> str:
    """Join what a search looks through: name:tag, factory, algoName and algoDesc, folded, a line each."""
    texts = (str(image.reference), image.factory, image.algo_name, image.algo_desc or "")
    return "\n".join(map(fold, texts))


def check_positive(value: object, *, limit: int) -> int:
    """Accept a whole number from 1 to the limit."""
    number = fields.check_integer(value)
    if not 1 <= number <= limit:
        raise Malformed(f"须为1至{limit}的整数")
    return number


def _positive(limit: int) -> PlainValidator:
    check = partial(check_positive, limit=limit)
    return PlainValidator(check, json_schema_input_type=Annotated[int, Field(ge=1, le=limit)])


class Conditions(BaseModel):
    """The conditions of a search or an export: all optional, all must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=False)

    search_condition: fields.MultilineText | None = Field(
        None,
        description="搜索条件：imageName、imageTag、imageName:imageTag、factory、algoName、algoDesc中的子串，不区分大小写；"
        "也可以是imageId",
        examples=["structure_new"],
    )
    namespace: fields.Text | None = Field(None, description="命名空间：镜像名称的第一段路径", examples=["algo"])
    algo_type: fields.AlgoType | None = Field(None, description="算法类别")
    event_type: fields.Integer | None = Field(None, description="算法编号（事件类型）")
    factory: fields.Text | None = Field(None, description="厂商名称（完全匹配）")
    incident_id: fields.Text | None = Field(None, description="算法分类")
    useable_flag: fields.UseableFlag | None = Field(None, description="对外展示")
    page: Annotated[int, _positive(fields.MAX_INTEGER)] | None = Field(
        None, description="页码，从1开始；不填则返回全部"
    )
    page_size: Annotated[int, _positive(MAX_PAGE_SIZE)] | None = Field(
        None, description=f"每页条数，1至{MAX_PAGE_SIZE}，默认{DEFAULT_PAGE_SIZE}；只与page一起生效"
    )


_NOTHING: Final = Conditions.model_validate({})
_KNOWN: Final = frozenset(map(to_camel, Conditions.model_fields))


def check_conditions(data: dict[str, Any]) -> Conditions:
    """Read conditions from parsed JSON or query parameters; Refused with every fault where there are any."""
    if not data:
        return _NOTHING
    unknown: list[Fault] = []
    more = 0
    if not _KNOWN.issuperset(data):
        # Pydantic would make an error object of each unknown name, and read nothing where one is no Unicode.
        unknown, more = unknown_faults(data, _KNOWN, what="不是已知的查询条件")
    known = {name: data[name] for name in _KNOWN if name in data and not is_blank(data[name])}
    faults: list[Fault] = []
    try:
        conditions = Conditions.model_validate(known)
    except ValidationError as error:
        for found in error.errors(include_url=False, include_input=False):
            name = str(found["loc"][0])
            faults += [Fault(name, code_of(name), f"{name}{text}") for text in found["ctx"]["error"].faults]
    if faults or unknown:
        raise Refused([*faults, *unknown], more=more)
    return conditions
