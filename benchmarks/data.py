"""Realistic records: seeded, any number of them, written in constant memory.

Frequent and rare contents are placed by design, so that a search has a known number of matches: `patterns`.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

import orjson

SEED: Final = 20261124
RARE: Final = 20  # images of each rare kind, in a registry of any size

_TASKS: Final = (
    *(("helmet", "安全帽检测"), ("smoke", "烟火识别"), ("plate", "车牌识别"), ("crowd", "人群密度估计")),
    *(("intrusion", "区域入侵检测"), ("parking", "违章停车识别"), ("face", "人脸比对"), ("reid", "行人重识别")),
    *(("vest", "反光衣检测"), ("fall", "跌倒检测"), ("garbage", "垃圾暴露识别"), ("water", "水面漂浮物识别")),
    *(("lane", "车道占用识别"), ("vehicle", "车辆结构化"), ("pothole", "路面坑洼识别"), ("stall", "占道经营识别")),
    *(("posterize", "视频抽帧"), ("decode", "视频解码"), ("track", "多目标跟踪"), ("ocr", "文字识别")),
    *(("phone", "打电话识别"), ("queue", "排队长度统计"), ("door", "消防通道占用识别"), ("meter", "仪表读数识别")),
)
_MODELS: Final = ("yolov8", "resnet50", "mobilenet", "ppyoloe", "swin", "segformer", "lstm")
_VENDORS: Final = (
    "易华录",
    "ehualu",
    "云山智能",
    "明眸科技",
    "远望视觉",
    "天巡数据",
    "磐石算力",
    "江海信息",
    "Deepview",
)
_NAMESPACES: Final = ("algo", "ehualu", "vision", "traffic", "harbor.local:5000/edge", "city")
_CITIES: Final = (
    "北京",
    "上海",
    "杭州",
    "广州",
    "成都",
    "武汉",
    "苏州",
    "天津",
    "青岛",
    "长沙",
    "徐州",
    "昆明",
    "大连",
)
_SCENES: Final = ("工地", "高速公路", "地铁站", "化工园区", "河道", "商业街", "停车场", "校园", "机场", "码头")
_MODES: Final = ("实时分析", "离线分析", "边缘分析")
_BATCHES: Final = "甲乙丙丁戊己庚辛壬癸"
_RARE_CITIES: Final = ("亳州", "衢江", "克拉玛依")
_RARE_MODEL: Final = "RTDETR-x6"

THIRD: Final = "实时"  # matches a third of all images


def reference(index: int) -> tuple[str, str]:
    """Return name and tag of the image with this index."""
    task = _TASKS[index % len(_TASKS)][0]
    namespace = _NAMESPACES[index // 24 % len(_NAMESPACES)]
    return (
        f"{namespace}/{task}_{_MODELS[index % len(_MODELS)]}_{index:05x}",
        f"{1 + index % 4}.{index % 10}.{index % 7}",
    )


def image_id(index: int) -> str:
    """Return the id of the image with this index."""
    return hashlib.md5(f"image {index}".encode(), usedforsecurity=False).hexdigest()


def counted(rows: int) -> dict[int, str]:
    """Return search texts by number of matches: one image, one in 200, one in ten.

    That is 1, 50 and 1,000 of 10,000.
    """
    return {1: f"_{rows * 2 // 3:05x}", rows // 200: "第042组", rows // 10: "丙批次"}


def single(rows: int) -> list[str]:
    """Return, for every image, a search text that matches only this image."""
    return [f"_{index:05x}" for index in range(rows)]


def patterns(rows: int) -> dict[str, str]:
    """Return search texts with few matches among many images, by kind of pattern."""
    middle = rows // 2
    return {
        "1 character": "亳",
        "2 characters": "衢江",
        "3 characters": "拉玛依",
        "ASCII": "rtdetr-x6",
        "name:tag": ":".join(reference(middle)),
        "imageId": image_id(middle),
    }


def filters() -> dict[str, dict[str, str]]:
    """Return filters: frequent values and absent ones, alone, in pairs and combined with a rare text."""
    common = {
        **{"namespace": "algo", "factory": _VENDORS[0], "eventType": "3005"},
        **{"incidentId": "4", "useableFlag": "0", "algoType": "1"},
    }
    alone = {name: {name: value} for name, value in common.items()}
    pairs = {
        f"{first} and {second}": alone[first] | alone[second] for first, second in itertools.combinations(common, 2)
    }
    texts = {f"{name} and text": {name: value, "searchCondition": _RARE_CITIES[1]} for name, value in common.items()}
    absent = {f"{name}, absent": {name: "9"} for name in ("namespace", "factory", "eventType", "incidentId")}
    return {**alone, **absent, **pairs, **texts}


def records(rows: int, seed: int = SEED) -> Iterator[dict[str, Any]]:
    """Generate the records."""
    random = Random(seed)
    for index in range(rows):
        yield _record(index, rows, random)


def usual_records(rows: int) -> Iterator[dict[str, Any]]:
    """Generate records in most of which lint finds nothing, and one to three things in the others."""
    for index, record in enumerate(records(rows)):
        yield record | _usual(index, record)


def registrations(count: int, known: int, mark: str) -> Iterator[dict[str, Any]]:
    """Generate bodies for _register with `mark` in their names; they depend on the first `known` images."""
    random = Random(SEED + 1)
    for index in range(count):
        body = _record(index, known, random)
        del body["imageId"], body["deleteFlag"]
        yield body | {"imageName": f"bench/{mark}_{index}", "imageTag": "1.0"}


def base(number: int) -> dict[str, Any]:
    """Return the body of an image without dependencies, for others to depend on."""
    name = f"bench/base_{number}"
    return {"imageName": name, "imageTag": "1.0", "factory": _VENDORS[0], "algoName": _TASKS[0][1], "algoType": "1"}


def updates(count: int, rows: int, mark: str) -> Iterator[dict[str, Any]]:
    """Generate bodies for _update with `mark` in the changed field, spread over the registry."""
    random = Random(SEED + 2)
    for index in range(0, rows, max(1, rows // count)):
        body = _record(index, rows, random)
        del body["deleteFlag"]
        yield body | {"algoDesc": f"{body['algoDesc']}（修订{mark}）"}


def write_file(path: Path, rows: int, contents: Callable[[int], Iterator[dict[str, Any]]] = records) -> Path:
    """Write a file in the format of _load and _upload, unless it exists."""
    if path.exists():
        return path
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        file.write(b'{"status":"0","res":{')
        for index, record in enumerate(contents(rows)):
            file.write(b'%s"%s":' % (b"," if index else b"", record["imageId"].encode()))
            file.write(orjson.dumps(record))
        file.write('},"msg":"镜像下载成功"}'.encode())
    return unfinished.rename(path)


def _record(index: int, rows: int, random: Random) -> dict[str, Any]:
    name, tag = reference(index)
    task, algo_name = _TASKS[index % len(_TASKS)]
    home = f"/home/{task}"
    return {
        "imageId": image_id(index),
        "imageName": name,
        "imageTag": tag,
        "imagePorts": f"http:8080:{30000 + index % 2768},grpc:9090,metrics:{9100 + index % 50}",
        "imageMount": f"/vse/logs,/vse/coredump,/data/videos/{task}",
        "pvcSize": random.choice((None, 10, 20, 50)),
        "factory": _VENDORS[index // 7 % len(_VENDORS)],
        "algoName": algo_name,
        "algoDesc": _description(index, rows, algo_name),
        "deleteFlag": "0",
        "tvChannel": random.randrange(1, 33),
        "pics": random.randrange(1, 100),
        "cpuRequests": random.randrange(500, 8001, 500),
        "gpuRequests": random.randrange(0, 16001, 1000),
        "memRequests": random.randrange(512, 16385, 512),
        "config": f"/etc/fdfs/client.conf,/app/application-{task}.properties",
        "algoType": str(index % 3),
        "eventType": 3000 + index % 97,
        "subPath": "/usr/lib64/libnvcuvid.so:/usr/lib/x86_64-linux-gnu/libnvcuvid.so.1",
        "hostPath": f"/home:/home,/data/{task}:/data",
        "workingDir": home,
        "env": f"CVSIP:172.38.{index % 200}.{index % 250},CVSPORT:{11000 + index % 1000},MODEL:{task}",
        "command": f"{home}/project/restart.sh --batch {index % 8}",
        "args": f"--config {home}/start.yaml --threshold 0.{30 + index % 60}",
        "dependencyServiceId": _dependencies(index, rows),
        "frameInterval": random.choice((40, 200, 1000, 1800000)),
        "frameNumber": random.randrange(1, 10),
        "incidentId": str(index % 12),
        "useableFlag": str(index % 2),
    }


def _usual(index: int, record: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a usual record that differ: few mount from the node or need a node port."""
    task, _ = _TASKS[index % len(_TASKS)]
    listed = record["dependencyServiceId"]
    return {
        "imageName": _hosted(record["imageName"]),
        "imagePorts": f"http:8080{f':{30000 + index % 2768}' if index % 50 == 0 else ''},metrics:{9100 + index % 50}",
        "pvcSize": None if index % 8 == 0 else 20,
        "tvChannel": None if index % 11 == 0 else record["tvChannel"],
        "gpuRequests": 500 + record["gpuRequests"],
        "subPath": record["subPath"] if index % 13 == 0 else None,
        "hostPath": f"/srv/{task}:/models" if index % 7 == 0 else None,
        "env": record["env"] + (",DB_PASSWORD:x" if index % 17 == 0 else ""),
        "dependencyServiceId": listed and ",".join(map(_hosted, listed.split(","))),
    }


def _hosted(name: str) -> str:
    """Put a registry host before most names."""
    return name if name.startswith(("city/", "harbor.local")) else f"harbor.local:5000/{name}"


def _description(index: int, rows: int, algo_name: str) -> str:
    rare = index % max(rows // RARE, 4)
    city = _RARE_CITIES[rare] if rare < len(_RARE_CITIES) else _CITIES[index % len(_CITIES)]
    model = _RARE_MODEL if rare == len(_RARE_CITIES) else _MODELS[index % len(_MODELS)]
    return (
        f"{algo_name}，{_MODES[index % 3]}，适用于{city}{_SCENES[index // 13 % len(_SCENES)]}，"
        f"{_BATCHES[index % 10]}批次试点第{index % 200:03d}组，基于{model}"
    )


def _dependencies(index: int, rows: int) -> str | None:
    """Return zero, one or two other images as dependencies; low indexes have many dependents."""
    candidates = {index // 5 % rows, (index * 7 + 1) % rows} - {index}
    wanted = sorted(candidates)[: index % 3]
    return ",".join(":".join(reference(item)) for item in wanted) or None
