"""Update: the same validation and the same statement."""

from typing import Any

import orjson

from algoplatform.storage.postgres.pool import Connection
from benchmarks import statements
from benchmarks.floors.bare import Floor, Messages, read


async def _update(connection: Connection, scope: dict[str, Any], receive: Messages) -> bytes | None:
    content = await read(receive)
    if not content:
        return None
    body = orjson.loads(content)
    done = await statements.update(connection, body)
    return '{"status":"0","res":null,"msg":"更新成功"}'.encode() if done else None


app = Floor(_update)
