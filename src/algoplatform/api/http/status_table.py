"""The status table: what each code means over HTTP, and its title."""

from typing import Final

from algoplatform.domain.faults import Code

HTTP_STATUS: Final = {
    Code.SUCCESS: 200,
    Code.IMAGE_EXISTS: 409,
    Code.IMAGE_NOT_FOUND: 404,
    Code.IDENTITY_CHANGED: 409,
    Code.IMAGE_IN_USE: 409,
    Code.FORBIDDEN: 403,
    **{code: -int(code) for code in Code if int(code) < -1},
}

TITLES: Final = {
    Code.BAD_REQUEST: "请求或文件有误",
    Code.FIELD: "字段有误",
    Code.IMAGE_EXISTS: "镜像已注册",
    Code.IMAGE_NOT_FOUND: "镜像不存在",
    Code.IMAGE_PORTS: "端口列表有误",
    Code.CONFIG: "配置文件有误",
    Code.SUB_PATH: "子目录有误",
    Code.ALGO_TYPE: "算法类别有误",
    Code.WORKING_DIR: "容器工作目录有误",
    Code.IMAGE_MOUNT: "挂载目录有误",
    Code.ENV: "环境变量有误",
    Code.IDENTITY_CHANGED: "不能修改镜像名称或版本",
    Code.IMAGE_IN_USE: "镜像被依赖",
    Code.IMAGE_NAME: "镜像名称有误",
    Code.IMAGE_TAG: "镜像版本有误",
    Code.HOST_PATH: "主机目录有误",
    Code.FORBIDDEN: "权限不足",
    Code.DEPENDENCY: "算法依赖有误",
    Code.FRAME_INTERVAL: "抽帧频率为空",
    Code.FRAME_NUMBER: "抽帧数量为空",
    Code.UNAUTHENTICATED: "未认证",
    Code.NO_SUCH_PATH: "路径不存在",
    Code.METHOD_NOT_ALLOWED: "请求方式不允许",
    Code.STILL_RUNNING: "相同请求正在处理",
    Code.PRECONDITION_FAILED: "镜像已被修改",
    Code.BODY_TOO_LARGE: "请求体过大",
    Code.MEDIA_TYPE: "请求体类型不支持",
    Code.IMPOSSIBLE: "无法完成",
    Code.PRECONDITION_REQUIRED: "缺少前提条件",
    Code.TOO_MANY_REQUESTS: "请求过多",
    Code.INTERNAL: "服务内部错误",
    Code.UNAVAILABLE: "服务暂时不可用",
}


def http_status(code: Code) -> int:
    """Return the HTTP status for a code of the status table."""
    return HTTP_STATUS.get(code, 422)
