"""Search: the service's statement, its rows joined and sent. Which statement a query string asks for is found once."""

from typing import Any
from urllib.parse import parse_qsl

from benchmarks import statements
from benchmarks.floors.bare import Floor, Messages, Pool
from benchmarks.statements import Statement

_known: dict[bytes, Statement] = {}


async def _search(pool: Pool, scope: dict[str, Any], _: Messages) -> bytes:
    query: bytes = scope["query_string"]
    async with pool.acquire() as connection:
        statement = _known.get(query)
        if statement is None:
            statement = _known[query] = await statements.search(connection, dict(parse_qsl(query.decode())))
        rows = await connection.fetch(statement.sql, *statement.arguments)
    return f'{{"status":"0","res":{{"data":[{",".join([row[0] for row in rows])}]}},"msg":"查询成功"}}'.encode()


app = Floor(_search)
