"""The fields of a record in the API document's input table, by type according to contract and document."""

import re

from tests.support.images import DOCUMENT

_TABLE_ROW = re.compile(r"^\|\s+\d+\s+\|\s+(\w+)\s+\|[^|]+\|\s+(string|int)\s+\|\s+([RO])\s+\|$", re.MULTILINE)


def input_table() -> dict[str, tuple[str, bool]]:
    """Parse the table of `_update`, which starts with imageId: type of each field, and whether required."""
    section = DOCUMENT.read_text("utf-8").partition("## 3. ")[2].partition("## 4. ")[0]
    rows = _TABLE_ROW.findall(section)
    return {name.replace("imageports", "imagePorts"): (kind, need == "R") for name, kind, need in rows}


INPUT_TABLE = input_table()
REQUIRED = [name for name, (_, required) in INPUT_TABLE.items() if required and name != "imageId"]
OPTIONAL = [name for name, (_, required) in INPUT_TABLE.items() if not required]
INTEGERS = [name for name, (kind, _) in INPUT_TABLE.items() if kind == "int"]
STRINGS = [name for name, (kind, _) in INPUT_TABLE.items() if kind == "string" and name != "imageId"]
CHOICES = ["algoType", "useableFlag"]
# deleteFlag occurs only in responses, and is last in the order of faults.
ALL = [*INPUT_TABLE, "deleteFlag"]

CODES = {
    "imageName": "221",
    "imageTag": "222",
    "algoType": "211",
    "imagePorts": "208",
    "imageMount": "215",
    "config": "209",
    "subPath": "210",
    "hostPath": "223",
    "workingDir": "214",
    "env": "217",
    "dependencyServiceId": "308",
}


def code_of(field: str) -> str:
    """Return the status code of a fault in this field, according to the contract."""
    return CODES.get(field, "202")
