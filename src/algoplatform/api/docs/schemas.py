"""Bodies and responses other than records: parsed here, and published as schemas of the OpenAPI document."""

from functools import partial
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from algoplatform.domain.errors import Refused, clip
from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.record import fields
from algoplatform.domain.record.image import RECORD_FIELDS, is_blank, unknown_faults
from algoplatform.domain.requests import read_required
from algoplatform.domain.search import DEFAULT_PAGE_SIZE, check_positive
from algoplatform.domain.uploads import OnConflict, UploadOptions

_TRUTHS: Final = {"true": True, "1": True, "false": False, "0": False}
MAX_AUTHORITY: Final = fields.MAX_INTEGER
# A page of revisions is built in memory, each with the record before and after it.
MAX_REVISIONS: Final = 100


class UserResult(BaseModel):
    """用户权限和所属分组"""

    model_config = ConfigDict(extra="forbid")

    authority: Annotated[int, Field(ge=0, le=MAX_AUTHORITY)] | Annotated[str, Field(pattern="^[0-9]{1,9}$")] = Field(
        description="用户权限", examples=[3]
    )
    namespace: str | None = Field(
        None,
        description="所属分组（命名空间）",
        examples=["algo"],
        max_length=fields.MAX_TEXT,
        pattern=fields.NO_CONTROL,
    )


class Deletion(BaseModel):
    """The body of _delete."""

    model_config = ConfigDict(extra="forbid")

    imageId: str = Field(description="镜像Id", pattern="^[0-9a-f]{32}$", examples=["d933a740349911eb9b11b28e75924e00"])
    userResult: UserResult = Field(description="用户权限和所属分组")


class Change(BaseModel):
    """一个镜像的变化"""

    model_config = ConfigDict(extra="forbid")

    image: str = Field(description="镜像名:标签名")
    action: Literal["create", "update", "skip"] = Field(description="登记、更新或跳过")
    fields: list[str] = Field(description="更新时有变化的字段")


class Counts(BaseModel):
    """The result of an upload."""

    model_config = ConfigDict(extra="forbid")

    created: int = Field(description="新登记的镜像数", ge=0)
    updated: int = Field(description="更新的镜像数", ge=0)
    unchanged: int = Field(description="没有变化的镜像数", ge=0)
    skipped: int = Field(description="跳过的镜像数", ge=0)
    changes: list[Change] = Field(
        default_factory=list, max_length=1000, description="有变化的镜像，更新的在前；仅当changes=true"
    )


class Restoration(BaseModel):
    """The body of _restore."""

    model_config = ConfigDict(extra="forbid")

    version: (
        Annotated[int, Field(ge=0, le=fields.MAX_INTEGER)] | Annotated[str, Field(pattern="^([0-9]{1,9})?$")] | None
    ) = Field(None, description="恢复到哪个版本；不填则恢复已删除的镜像", examples=[1])


class Failure(BaseModel):
    """The API document's envelope of an error."""

    model_config = ConfigDict(extra="forbid")

    status: Literal[tuple(code.value for code in Code if code is not Code.SUCCESS)] = Field(  # type: ignore[valid-type]  # the table's codes
        description="状态码，见状态码表"
    )
    res: None = Field(description="总是null")
    msg: str = Field(description="状态描述")


class ProblemError(BaseModel):
    """一处错误"""

    model_config = ConfigDict(extra="forbid")

    image: str | None = Field(None, description="上传文件中的镜像：imageName与imageTag相连")
    field: str = Field(description="字段名")
    position: int | None = Field(None, description="列表字段的第几项，从1开始；不指某一项时没有", ge=1)
    code: str = Field(description="状态码")
    message: str = Field(description="错误描述")


class Problem(BaseModel):
    """RFC 9457, for clients that accept application/problem+json."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="错误类型：urn:algoplatform:status:状态码")
    title: str = Field(description="错误类型的名称")
    status: int = Field(description="HTTP状态码")
    detail: str = Field(description="错误描述，字段错误至多三处；errors未列全时说明还有多少处")
    code: str = Field(description="状态码，见状态码表")
    errors: list[ProblemError] = Field(description="每处字段错误")


def check_upload_options(query: dict[str, str]) -> UploadOptions:
    """Return the options of an upload; raise Refused with every fault."""
    query = {name: value for name, value in query.items() if not is_blank(value)}
    faults, more = unknown_faults(query, ("onConflict", "dryRun", "changes"))
    conflict = query.get("onConflict", OnConflict.UPDATE)
    if conflict not in list(OnConflict):
        faults.append(
            Fault("onConflict", Code.FIELD, f"onConflict须为update、skip、fail之一，不能为“{clip(conflict)}”")
        )
    switches = [_TRUTHS.get(query.get(name, "false").lower()) for name in ("dryRun", "changes")]
    for name, value in zip(("dryRun", "changes"), switches, strict=True):
        if value is None:
            faults.append(Fault(name, Code.FIELD, f"{name}须为true或false，不能为“{clip(query[name])}”"))
    if faults:
        raise Refused(faults, more=more)
    dry_run, changes = map(bool, switches)
    return UploadOptions(OnConflict(conflict), dry_run=dry_run, changes=changes)


def check_paging(query: dict[str, str]) -> tuple[int, int]:
    """Return page and pageSize of a history; raise Refused with every fault."""
    faults: list[Fault] = []
    said: dict[str, Any] = {"page": 1, "pageSize": DEFAULT_PAGE_SIZE}
    said |= {name: value for name, value in query.items() if not is_blank(value)}
    page = read_required(said, "page", "page", partial(check_positive, limit=fields.MAX_INTEGER), faults)
    page_size = read_required(said, "pageSize", "pageSize", partial(check_positive, limit=MAX_REVISIONS), faults)
    unknown, more = unknown_faults(said, ("page", "pageSize"))
    if faults or unknown:
        raise Refused([*faults, *unknown], more=more)
    return page, page_size


def record_schema(inputs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Describe a record in a response, with all 29 keys, by the descriptions of the input fields."""
    return {
        "type": "object",
        "title": "Record",
        "description": "镜像的记录：29个字段，总是全部出现，空为null",
        "properties": {name: _answered(name, inputs[name]) for name in RECORD_FIELDS},
        "required": list(RECORD_FIELDS),
        "additionalProperties": False,
    }


def _answered(name: str, described: dict[str, Any]) -> dict[str, Any]:
    kinds = {kind.get("type") for kind in described.get("anyOf", [])}
    kind = {"type": "integer" if "integer" in kinds else "string"}
    always = "null" not in kinds or name in ("imageId", "deleteFlag")
    return {**(kind if always else {"anyOf": [kind, {"type": "null"}]}), "description": described["description"]}
