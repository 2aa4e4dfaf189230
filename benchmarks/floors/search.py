"""Search: the service's statement, its rows joined and sent. Statements are cached by query string."""

from typing import Any
from urllib.parse import parse_qsl

from algoplatform.storage.postgres.pool import Connection
from benchmarks import statements
from benchmarks.floors.bare import Floor, Messages
from benchmarks.statements import Statement

_HEAD = b'{"status":"0","res":{"data":['
_TAIL = ']},"msg":"查询成功"}'.encode()
_known: dict[bytes, Statement] = {}


async def _search(connection: Connection, scope: dict[str, Any], _: Messages) -> bytes:
    query: bytes = scope["query_string"]
    statement = _known.get(query)
    if statement is None:
        statement = _known[query] = await statements.search(connection, dict(parse_qsl(query.decode())))
    [[_, found]] = await connection.fetch(statement.sql, *statement.arguments)
    records = found or [b""]
    records[0] = _HEAD + records[0]
    records[-1] += _TAIL
    return b",".join(records)


app = Floor(_search)
