"""The operations on images in the OpenAPI document, with the API document's examples."""

from typing import Final

from algoplatform.api.docs import examples
from algoplatform.api.docs.components import CONDITIONS, optional, parameter, refusal, refusals, schema
from algoplatform.api.docs.parts import FILE, READ, WRITE, body, conflict, operation, success, unchanged
from algoplatform.api.docs.shapes import COUNT, NULL, given, keyed, rows
from algoplatform.domain.errors import FileRefused, ImageInUse, Refused
from algoplatform.domain.faults import Code, Fault, RecordFault
from algoplatform.domain.record.wording import exists_fault, identity_fault

_FOUND: Final = given(
    {
        "data": rows(schema("Record")),
        "total": COUNT | {"description": "符合条件的总数，只在请求有page时出现"},
    },
    "data",
) | {"additionalProperties": False}
_QUERY: Final = tuple(parameter(name) for name in CONDITIONS)
_FILE_FAULTS: Final = [
    RecordFault(position, image, Fault(text.partition("不能")[0], Code.FRAME_INTERVAL, text))
    if text.startswith("frame")
    else RecordFault(position, image, Fault("dependencyServiceId", Code.DEPENDENCY, text))
    for position, (image, text) in enumerate(examples.UPLOAD_FAULTS)
]

REGISTER: Final = operation(
    "register",
    "镜像注册 · Register an image",
    "登记一个镜像。所有错误一次全部返回；依赖的镜像必须已登记。删除镜像后，同一名称和版本可以重新登记。",
    {
        "200": success(NULL, "注册成功", headers={"Location": "Location", "ETag": "ETag"}),
        **refusals(*READ, "Forbidden"),
        **conflict("同名同版本的镜像已登记（203）", Refused([exists_fault("test1.0:test1.0")])),
    },
    WRITE,
    body=body(schema("Image"), examples.REGISTER),
)
UPDATE: Final = operation(
    "update",
    "镜像更新 · Update an image",
    "按imageId更新镜像。没有出现的字段不变，null或空字符串表示清空；imageName和imageTag必须与登记的一致。",
    {
        "200": success(NULL, "更新成功", headers={"ETag": "ETag"}),
        **refusals(*READ, "Forbidden", "NotFound", "PreconditionFailed"),
        **conflict("更新不能修改名称和版本（219）", Refused([identity_fault()])),
    },
    WRITE,
    parameter("IfMatch"),
    body=body(schema("ImageUpdate"), examples.UPDATE),
)
DELETE: Final = operation(
    "delete",
    "镜像删除 · Delete an image",
    "删除镜像（软删除）。被其他镜像依赖时不能删除；userResult的权限决定可以删除哪些命名空间的镜像。",
    {
        "200": success(NULL, "删除成功"),
        **refusals(*READ, "Forbidden", "NotFound", "PreconditionFailed"),
        **conflict("其他镜像依赖它（220）", ImageInUse(["algo/helmet:2.1.0"], 1)),
    },
    WRITE,
    parameter("IfMatch"),
    body=body(schema("Deletion"), examples.DELETE),
)
_SEARCH_ANSWERS: Final = {
    "200": success(_FOUND, "查询成功", {"data": [examples.FOUND]}),
    **refusals(*READ),
}
SEARCH: Final = operation(
    "search",
    "镜像查询 · Search images",
    "按条件查询，条件都是可选的，须同时满足；没有符合条件的镜像时data为空数组。不填page和pageSize时返回全部；"
    "page与pageSize按页码翻页，应答有total；pageSize与after或before按镜像名和标签名翻页，没有total。\n\n"
    "同样的条件也可以放在JSON请求体中（优先于查询参数）；浏览器不能在GET请求中发送请求体，可改用POST。",
    _SEARCH_ANSWERS,
    *_QUERY,
)
SEARCH_BY_BODY: Final = operation(
    "searchByBody",
    "镜像查询（请求体） · Search images by body",
    "与GET相同，条件放在JSON请求体中，供不能在GET请求中发送请求体的客户端使用。同一条件在请求体和查询参数中都有时，以请求体为准。",
    _SEARCH_ANSWERS | refusals("Forbidden"),
    *_QUERY,
    body=body(schema("Conditions"), examples.SEARCH, required=False),
)
LOAD: Final = operation(
    "load",
    "镜像配置信息下载 · Export images",
    "下载符合条件的镜像的配置信息，文件名image_list.json，可上传到另一个平台。请求体可以省略，条件与查询相同。",
    {
        "200": success(
            keyed(schema("Record")),
            "镜像下载成功",
            {examples.IMAGE_ID: examples.LOADED},
            headers={"Content-Disposition": "ContentDisposition"},
        ),
        **refusals(*READ, "Forbidden"),
    },
    *_QUERY,
    body=body(schema("Conditions"), examples.LOAD, required=False),
)
UPLOAD: Final = operation(
    "upload",
    "镜像配置信息上传 · Import images",
    "上传_load得到的文件（或其中的res，或镜像信息的数组），UTF-8编码的JSON。全部成功或全部不写入，与记录的先后无关；"
    "所有镜像的所有错误一次全部返回。",
    {
        "200": success(schema("Counts"), "镜像上传成功", {"created": 2, "updated": 1, "unchanged": 0, "skipped": 0}),
        **refusals("BadRequest", "Forbidden", "BodyTooSlow", "BodyTooLarge", "UnsupportedMediaType", "TooManyRequests"),
        **conflict(""),
        "422": refusal(
            "文件中的镜像有误（-1），未写入任何数据：msg依次为每处错误的imageName、imageTag、冒号和错误",
            FileRefused(_FILE_FAULTS, len(_FILE_FAULTS)),
        ),
    },
    optional(
        "onConflict",
        "镜像已存在时：update更新，skip跳过，fail报错",
        {"type": "string", "enum": ["update", "skip", "fail"], "default": "update"},
    ),
    optional("dryRun", "true：只检查，不写入", {"type": "boolean", "default": False}),
    optional(
        "changes",
        "true：res另有changes，列出将有变化的镜像（更新的在前，至多1000个）：image、action（create、update、skip）、fields",
        {"type": "boolean", "default": False},
    ),
    WRITE,
    body=FILE,
)
_VERSION: Final = {"ETag": "ETag", "Last-Modified": "LastModified"}
GET: Final = operation(
    "get",
    "镜像详情 · Get an image",
    "按imageId查询一个镜像。",
    {
        "200": success(schema("Record"), "查询成功", examples.LOADED, headers=_VERSION),
        "304": unchanged("镜像", _VERSION),
        **refusals("BadRequest", "NotFound"),
    },
    parameter("ImageId"),
    parameter("IfNoneMatch"),
)
