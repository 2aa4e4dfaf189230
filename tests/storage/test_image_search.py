"""Searching in PostgreSQL: the index of grams misses nothing, and a cached total is never outdated."""

import asyncio
import json
import random
import threading
from collections.abc import AsyncIterator

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from algoplatform.domain.access import TRUSTED
from algoplatform.domain.search import Conditions, check_conditions, grams
from algoplatform.runtime import Runtime
from algoplatform.settings import Settings
from algoplatform.storage.postgres.pool import Connection
from algoplatform.storage.search import selectivity
from algoplatform.storage.search.selectivity import TextSample
from algoplatform.storage.search.statements import ImageSearch
from algoplatform.storage.search.where_clause import Filter, tsquery
from tests.support.images import minimal
from tests.support.postgres import Postgres


def asked(**conditions: object) -> Conditions:
    """Parse valid conditions."""
    return check_conditions(conditions)


@pytest.fixture
async def runtime(database_url: str) -> AsyncIterator[Runtime]:
    """The services on the test's own database."""
    async with Runtime.open(Settings(database_url=SecretStr(database_url))) as opened:
        yield opened


async def add(runtime: Runtime, *names: str, **fields: str) -> None:
    """Register images."""
    for name in names:
        await runtime.images.register(TRUSTED, minimal(name, **fields))


async def analysed(connection: Connection) -> TextSample:
    """Analyse the images, and read the sample."""
    await connection.execute("VACUUM ANALYZE image")
    sample = TextSample()
    await sample.refresh(connection)
    return sample


CHARACTERS = st.sampled_from("ab1:/-.'\\&|!*() 安全帽é\u0301😀")
TEXT = st.text(CHARACTERS, max_size=12)
PATTERN = st.text(CHARACTERS, min_size=1, max_size=12)


@settings(max_examples=25)
@given(texts=st.lists(st.tuples(TEXT, PATTERN, TEXT), min_size=20, max_size=60))
def test_index_holds_every_gram_of_a_pattern(postgres: Postgres, texts: list[tuple[str, str, str]]) -> None:
    """The grams of a pattern are among those of every text that contains it."""

    async def missing() -> list[tuple[str, str]]:
        connection = await asyncpg.connect(postgres.template)
        try:
            rows = await connection.fetch(
                "SELECT body, pattern FROM unnest($1::text[], $2::text[], $3::text[]) AS t (body, pattern, query)"
                " WHERE NOT image_grams(body) @@ query::tsquery",
                [before + pattern + after for before, pattern, after in texts],
                [pattern for _, pattern, _ in texts],
                [tsquery(grams(pattern)) for _, pattern, _ in texts],
            )
            return [(row["body"], row["pattern"]) for row in rows]
        finally:
            await connection.close()

    assert asyncio.run(missing()) == []


async def test_same_answer_either_way(runtime: Runtime) -> None:
    """Common and rare text gives the same results before and after the sample knows it."""
    await add(runtime, *(f"algo/common-{number:03}" for number in range(400)))
    await add(runtime, "algo/rare-one", algoDesc="龘")
    search = ImageSearch()
    # As long as the sample is empty, all texts are looked up in the index.
    search._sample._until = float("inf")
    async with runtime.database.connection() as connection:
        for _ in range(2):
            for text, count in (("common", 400), ("龘", 1), ("rare-one", 1), ("m", 400), ("none", 0), ("on-00", 10)):
                found = await search.records(connection, asked(searchCondition=text), 1001)
                assert len(found.records) == count, text
                page = await search.page(connection, asked(searchCondition=text, page=1, pageSize=5))
                assert (page.records, page.total) == (found.records[:5], count)
            search = ImageSearch()


async def test_sample_tells_common_from_rare(runtime: Runtime) -> None:
    """Common text gets no grams from the sample, any other text gets its rarest grams."""
    await add(runtime, *(f"algo/common-{number:03}" for number in range(60)))
    sample = TextSample()
    async with runtime.database.connection() as connection:
        await sample.refresh(connection)
    assert sample.choose("common") == []
    assert sample.choose("common-0zz")[:2] == ["n-0z", "-0zz"]
    for number in range(1500):
        sample.choose(f"x{number:05}")
    assert sample.choose("common") == []


async def test_cancelled_refresh_is_repeated(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that is cancelled while the grams are counted leaves the sample due."""
    begun, ended = threading.Event(), threading.Event()

    def slow(_: str) -> list[str]:
        begun.set()
        ended.wait(60)
        return []

    monkeypatch.setattr(selectivity, "grams", slow)
    sample = TextSample()
    async with runtime.database.connection() as connection:
        refreshing = asyncio.create_task(sample.refresh(connection))
        assert await asyncio.to_thread(begun.wait, 60)
        refreshing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await refreshing
    ended.set()
    assert sample.is_old()


async def test_total_of_texts_of_any_length(runtime: Runtime) -> None:
    """Texts that fit into the text index and longer ones are each counted once."""
    noise = random.Random(7)
    lengths = [*range(1920, 2000), 2700, 4096]
    for number, length in enumerate(lengths):
        await add(
            runtime, f"algo/n{number}", algoDesc="".join(noise.choices("abcdefghijklmnopqrstuvwxyz0123", k=length))
        )
    await add(runtime, "algo/multi-byte", algoDesc="龘" * 4096)
    # PostgreSQL's statistics omit long texts.
    await add(runtime, *(f"algo/short-{number}" for number in range(100)))
    search = ImageSearch()
    async with runtime.database.connection() as connection:
        await connection.execute("ANALYZE image")
        [[short, every]] = await connection.fetch(
            "SELECT count(*) FILTER (WHERE octet_length(search) <= 2000), count(*) FROM image"
        )
        assert 110 < short < every - 10
        for text, count in (("algo", len(lengths) + 101), ("龘", 1), ("none", 0)):
            assert (await search.page(connection, asked(searchCondition=text, page=1, pageSize=1))).total == count


async def test_total_of_common_text_reads_no_images(runtime: Runtime) -> None:
    """Counting the matches of common text is an index-only scan of the text index."""
    await add(runtime, *(f"algo/common-{number:03}" for number in range(100)))
    async with runtime.database.connection() as connection:
        assert (await analysed(connection)).choose("common") == []
        common = Filter(asked(searchCondition="common", page=1))
        async with connection.transaction():
            await connection.execute("SET LOCAL enable_seqscan = off")
            rows = await connection.fetch(f"EXPLAIN SELECT {common.total}", *common.arguments)
    plan = "\n".join(row[0] for row in rows)
    assert "Index Only Scan using image_text_idx" in plan
    assert "Index Scan using image_long_text_idx" in plan


async def test_total_is_never_old(runtime: Runtime) -> None:
    """A total is counted again after a write, and cached while nothing is written."""
    search = ImageSearch()
    page = asked(searchCondition="algo", page=1, pageSize=1)
    async with runtime.database.connection() as connection:
        for number in range(5):
            assert (await search.page(connection, page)).total == number
            assert (await search.page(connection, page)).total == number
            await add(runtime, f"algo/n{number}")


async def test_total_under_concurrent_writers(runtime: Runtime) -> None:
    """With concurrent writers, a total is never below the acknowledged images, nor above all images."""
    search = ImageSearch()
    page = asked(searchCondition="algo", page=1, pageSize=1)
    acknowledged = started = 0

    async def write(writer: int) -> None:
        nonlocal acknowledged, started
        for number in range(25):
            started += 1
            await add(runtime, f"algo/w{writer}-{number}")
            acknowledged += 1

    async def read() -> None:
        async with runtime.database.connection() as connection:
            while acknowledged < 100:
                before = acknowledged
                total = (await search.page(connection, page)).total
                assert total is not None
                assert before <= total <= started

    await asyncio.gather(read(), read(), *map(write, range(4)))
    async with runtime.database.connection() as connection:
        assert (await search.page(connection, page)).total == 100


async def test_totals_that_are_kept_are_bounded(runtime: Runtime) -> None:
    """The cache of totals is limited in bytes, however many different searches there are."""
    search = ImageSearch()
    async with runtime.database.connection() as connection:
        for number in range(1500):
            await search.page(connection, asked(searchCondition=f"{number:0255}", page=1))
    assert 100 < len(search._totals) < 1500
    assert 500_000 < search._totals.bytes <= 1024 * 1024


@pytest.mark.parametrize("written", [False, True])
async def test_what_is_known_is_not_read_again(runtime: Runtime, *, written: bool) -> None:
    """A stream continues after the records already read, unless something was committed since."""
    await add(runtime, *(f"algo/n{number}" for number in range(5)))
    search = ImageSearch()
    passed: list[bytes] = []

    async def write(data: bytes) -> None:
        passed.append(data)

    async with runtime.database.connection() as connection:
        for conditions in (asked(), asked(searchCondition="algo"), asked(factory="易华录")):
            passed.clear()
            begun = await search.records(connection, conditions, 3)
            begun.records[0] = b'{"known":true}'
            if written:
                await connection.execute("SELECT pg_current_xact_id()")
            await search.copy(connection, conditions, write, begun=begun)
            names = [image.get("imageName") for image in json.loads(b"[%b]" % b"".join(passed))]
            assert names == ["algo/n0" if written else None, *(f"algo/n{number}" for number in range(1, 5))]


@pytest.mark.parametrize("written", [False, True])
async def test_total_of_a_page_that_is_streamed(runtime: Runtime, *, written: bool) -> None:
    """The records of a page above 4 MiB are left out, and streamed with the total of the same snapshot."""
    await add(runtime, "algo/a", "algo/b")
    search = ImageSearch()
    passed: list[bytes] = []

    async def write(data: bytes) -> None:
        passed.append(data)

    async with runtime.database.connection() as connection:
        longer = "left(record, -1) || ',\"algoDesc\":\"' || repeat('x', 3145728) || '\"}'"
        await connection.execute(f"UPDATE image SET record = {longer}, version = version + 1")
        begun = await search.page(connection, asked(page=1))
        assert (begun.records, begun.total, begun.left_out) == ([], 2, True)
        if written:
            await add(runtime, "algo/c")
        assert await search.copy(connection, asked(page=1), write, begun=begun) == 2 + written
    assert len(json.loads(b"[%b]" % b"".join(passed))) == 2 + written
