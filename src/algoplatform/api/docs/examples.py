"""The API document's examples, shown unchanged on the pages."""

from typing import Any, Final

from algoplatform.domain.record.model import RECORD_FIELDS
from algoplatform.domain.record.wording import DEPENDENCY_ADVICE

IMAGE_ID: Final = "c675e74e1bc211ea9f600242ac110002"

REGISTER: Final[dict[str, Any]] = {
    "algoName": "test",
    "algoType": "0",
    "eventType": 0,
    "imageName": "test1.0",
    "imageTag": "test1.0",
    "factory": "易华录",
    "frameInterval": 1800000,
    "dependencyServiceId": "algo/posterize:1.0",
    "frameNumber": 1,
    "imageMount": "/vse/logs,/vse/coredump,/data/videos",
    "pvcSize": "",
    "imagePorts": "service1:5016:30016,service2:5017:30017,service:8888",
    "algoDesc": "抽帧超压",
    "tvChannel": 1,
    "pics": 10,
    "cpuRequests": 1000,
    "gpuRequests": 1000,
    "memRequests": 1000,
    "config": "/etc/fdfs/client.conf,/app/application-linedrawing.properties",
    "subPath": "/usr/lib64/libnvcuvid.so:/usr/lib/x86_64-linux-gnu/libnvcuvid.so.1,"
    "/usr/lib64/libnvidia-encode.so.1:/usr/lib/x86_64-linux-gnu/libnvidia-encode.so.1",
    "hostPath": "/home:/home",
    "workingDir": "/home",
    "env": "ent:3er",
    "command": "/home/realtimetest/project/restart.sh",
    "args": "/home/realtimetest/start.sh",
    "incidentId": "0",
    "useableFlag": "0",
}
UPDATE: Final = {"imageId": IMAGE_ID, **REGISTER, "imageName": "algo/posterize", "imageTag": "1.0"}
DELETE: Final = {
    "imageId": "d933a740349911eb9b11b28e75924e00",
    "userResult": {"authority": 3, "namespace": "algo"},
}
SEARCH: Final = {"namespace": "", "searchCondition": "structure_new"}
LOAD: Final = {"searchCondition": ""}


def _record(**values: Any) -> dict[str, Any]:
    return dict.fromkeys(RECORD_FIELDS) | {"deleteFlag": "0", "incidentId": "0", "useableFlag": "0"} | values


FOUND: Final = _record(
    imageId="1c67f13eb9d311ea9578b694d896c886",
    imageName="algo/structure_new",
    imageTag="latest",
    factory="ehualu",
    algoName="安全帽结构化",
    algoDesc="安全帽结构化",
    tvChannel=10,
    cpuRequests=1000,
    gpuRequests=1000,
    memRequests=2000,
    config="/etc/fdfs/client.conf",
    algoType="0",
    eventType=3001,
    dependencyServiceId="1",
    frameInterval=1000,
    frameNumber=1,
)
LOADED: Final = _record(
    imageId=IMAGE_ID,
    imageName="algo/posterize",
    imageTag="1.0",
    imageMount="/home/realtimetest/LOG,/data",
    factory="ehl",
    algoName="抽帧",
    tvChannel=1,
    config="/etc/fdfs/client.conf",
    algoType="0",
    eventType=1,
    env="CVSIP:172.38.90.52,CVSPORT:11112",
    command="/home/realtimetest/posterize",
    frameInterval=1000,
    frameNumber=1,
)

_INTERVAL: Final = "frameInterval不能为空"
UPLOAD_FAULTS: Final = (
    ("algo/ehlai_car_plateslatest", DEPENDENCY_ADVICE),
    ("algo/ehlai_scrapped_vehiclelatest", DEPENDENCY_ADVICE),
    ("algo/ehlai_pretreatlatest", _INTERVAL),
    ("algo/ehlai_svclatest", _INTERVAL),
    ("algo/ehlai_hatmask_testlatest", _INTERVAL),
    ("algo/realtime1.0", _INTERVAL),
    ("algo/ehlai_detect_car_accessorylatest", DEPENDENCY_ADVICE),
    ("algo/nginx1.7.9", DEPENDENCY_ADVICE),
    ("algo/ehlai_car_plate_colorlatest", DEPENDENCY_ADVICE),
    ("ehualu/ehlai_water_fire-mutilatest", DEPENDENCY_ADVICE),
    ("ehualu/ehlai_structure-mutilatest", DEPENDENCY_ADVICE),
    ("ehualu/ehlai_water_firelatest", DEPENDENCY_ADVICE),
    ("sthshth1.1", _INTERVAL),
    ("sbsjdttjydk1.1", _INTERVAL),
)
