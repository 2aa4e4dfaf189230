"""The lint use case: over the whole registry, or over a file that is not yet uploaded.

A thread parses and judges, a bounded batch at a time; findings are passed on as they are found.
"""

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any, BinaryIO, Final, TypeAlias

import orjson

from algoplatform.catalogue.checked_file import CheckedFile
from algoplatform.catalogue.parsing import off_loop
from algoplatform.catalogue.search import Write
from algoplatform.domain.record.check import Rules
from algoplatform.domain.record.model import reference_of
from algoplatform.domain.search import check_conditions
from algoplatform.planning.lint import sarif
from algoplatform.planning.lint.asked import Asked
from algoplatform.planning.lint.findings import Finding, as_json
from algoplatform.planning.lint.linter import Linter
from algoplatform.planning.lint.policy import Policy
from algoplatform.planning.lint.record import ARTIFACT, Record
from algoplatform.storage.images import artifacts
from algoplatform.storage.postgres.pool import Database
from algoplatform.storage.search import marked

# Renders findings as members of a JSON array, without its brackets.
Form: TypeAlias = Callable[[Sequence[Finding]], bytes]

# Rules across records that only hold where all dependencies are there.
OF_CLOSURES: Final = frozenset({"dependency-gone"})
# Parsed records take about five times their text.
_BATCH_BYTES: Final = 512 * 1024
_BATCH: Final = 200
_TURN_SECONDS: Final = 0.03
_MANY: Final = 1000
# References that are looked up at once.
_NAMED: Final = 5000


class Lint:
    """Judges records by the site's policy."""

    def __init__(self, database: Database, rules: Rules, policy: Policy) -> None:
        self._database = database
        self._rules = rules
        self.policy = policy

    async def one(self, record: Record) -> list[Finding]:
        """Return what the rules find in a single record, without those that need its dependencies."""

        async with self._database.connection() as connection:
            facts = (await artifacts.facts(connection, [record["imageId"]])).get(record["imageId"])

        def judged() -> list[Finding]:
            linter = Linter(self.policy, Asked(check_conditions({})), datetime.now(UTC).date())
            filled = {name: value for name, value in record.items() if value is not None}
            found = linter.check([filled | {ARTIFACT: facts}])
            for more in linter.across():
                found += more
            return [finding for finding in found if finding.flaw.rule not in OF_CLOSURES]

        return await off_loop(judged)

    async def registry(self, asked: Asked, write: Write, policy: Policy | None = None) -> Linter:
        """Write the `res` of an answer: findings, counts by rule and total, over the whole registry."""
        return await self._answered(write, partial(self.over_registry, asked, policy=policy))

    async def file(self, asked: Asked, file: BinaryIO, write: Write, policy: Policy | None = None) -> Linter:
        """Write the `res` of an answer over a file; raises FileRefused before anything is written."""
        return await self._answered(write, partial(self.over_file, asked, file, policy=policy))

    async def registry_sarif(self, asked: Asked, write: Write, policy: Policy | None = None) -> Linter:
        """Write the findings over the whole registry as a SARIF document."""
        return await self._sarif(write, partial(self.over_registry, asked, policy=policy), policy)

    async def file_sarif(self, asked: Asked, file: BinaryIO, write: Write, policy: Policy | None = None) -> Linter:
        """Write the findings over a file as a SARIF document; raises FileRefused before anything is written."""
        return await self._sarif(write, partial(self.over_file, asked, file, policy=policy), policy)

    async def over_registry(
        self, asked: Asked, write: Write, form: Form = as_json, *, policy: Policy | None = None
    ) -> Linter:
        """Write findings in a form, comma separated, over the registry; those that the conditions choose."""
        run = _Run(policy or self.policy, asked, write, form)
        async with self._database.connection(stream=True) as connection:
            await marked.copy_all(connection, asked.conditions, run.take)
        return await run.finish()

    async def over_file(
        self, asked: Asked, file: BinaryIO, write: Write, form: Form = as_json, *, policy: Policy | None = None
    ) -> Linter:
        """Write findings over a file and what its images depend on; raises FileRefused for invalid records."""
        checked = CheckedFile(file, self._rules)
        await checked.check(write)
        run = _Run(policy or self.policy, asked, write, form)
        records = checked.records()
        while batch := await off_loop(partial(_some, records)):
            await run.judge(partial(run.linter.check, batch))
        missing, ids = run.linter.missing(), []
        async with self._database.connection(stream=True) as connection:
            # A file can name millions of images, nearly all of them unknown.
            while references := await off_loop(lambda: list(islice(missing, _NAMED))):
                ids += await marked.ids_of(connection, references)
            await marked.copy_closure(connection, ids, run.take)
        return await run.finish()

    async def _answered(self, write: Write, over: Callable[[Write], Awaitable[Linter]]) -> Linter:
        lead = _Led(write, b'{"findings":[')
        linter = await over(lead)
        counts = {rule: linter.counts[rule] for rule in sorted(linter.counts)}
        await lead.end(b'],"counts":%b,"total":%d}' % (orjson.dumps(counts), linter.total))
        return linter

    async def _sarif(
        self, write: Write, over: Callable[[Write, Form], Awaitable[Linter]], policy: Policy | None
    ) -> Linter:
        lead = _Led(write, sarif.head(policy or self.policy))
        linter = await over(lead, sarif.results)
        await lead.end(sarif.TAIL)
        return linter


class _Led:
    """Writes a head before the first part, so that a failure before it still gets an error response."""

    def __init__(self, write: Write, head: bytes) -> None:
        self._write = write
        self._head = head

    async def __call__(self, data: bytes) -> None:
        if data:
            data, self._head = self._head + data, b""
        await self._write(data)

    async def end(self, tail: bytes) -> None:
        """Write the end."""
        await self(tail)


class _Run:
    """One run: cuts what COPY sends into batches, and passes on what is found in each."""

    def __init__(self, policy: Policy, asked: Asked, write: Write, form: Form) -> None:
        self.linter = Linter(policy, asked, datetime.now(UTC).date())
        self._write = write
        self._form = form
        self._separator = b""
        self._parts: list[bytes] = []
        self._size = 0

    async def take(self, data: bytes) -> None:
        """Add lines of COPY; judge them once there are enough."""
        self._parts.append(data)
        self._size += len(data)
        if self._size >= _BATCH_BYTES:
            whole, newline, rest = b"".join(self._parts).rpartition(b"\n")
            self._parts, self._size = [rest], len(rest)
            if newline:
                await self.judge(partial(self._lines, whole))

    async def finish(self) -> Linter:
        """Judge what remains and what concerns several records; return the counts."""
        whole = b"".join(self._parts).removesuffix(b"\n")
        if whole:
            await self.judge(partial(self._lines, whole))
        across = self.linter.across()
        while (found := await off_loop(partial(self._slice, across))) is not None:
            await self._pass_on(found)
        return self.linter

    async def judge(self, work: Callable[[], list[Finding]]) -> None:
        """Run work in the thread, and pass on what it finds."""
        await self._pass_on(await off_loop(lambda: self._form(work())))

    async def _pass_on(self, data: bytes) -> None:
        if data and self._separator:
            await self._write(self._separator)
        # Nothing is written as well: it fails once the client has gone, which ends a run that finds nothing.
        await self._write(data)
        if data:
            self._separator = b","

    def _lines(self, whole: bytes) -> list[Finding]:
        found: list[Finding] = []
        lines = whole.split(b"\n")
        for line, record in zip(lines, _parsed([line[1:] for line in lines]), strict=True):
            # A record of a file takes the place of the registered one.
            given = line[:1] == marked.MEETS
            if given or not self.linter.is_known(reference_of(record)):
                self.linter.add(record, found, given=given)
        return found

    def _slice(self, across: Iterator[list[Finding]]) -> bytes | None:
        """Return the findings of a slice of time, None at the end; one with very many images ends the slice."""
        until = time.monotonic() + _TURN_SECONDS
        found: list[Finding] = []
        for more in across:
            found += more
            if time.monotonic() > until or (more and len(more[0].images) > _MANY):
                return self._form(found)
        return self._form(found) or None


def _parsed(lines: list[bytes]) -> list[dict[str, Any]]:
    """Parse lines of records, with what registries said of the images."""
    if not any(marked.BEFORE_FACTS in line for line in lines):
        plain: list[dict[str, Any]] = orjson.loads(b"[%b]" % b",".join(lines))
        return plain
    pairs = orjson.loads(b"[[%b]]" % b"],[".join(lines).replace(marked.BEFORE_FACTS, b","))
    return [record | {ARTIFACT: facts[0]} if facts else record for record, *facts in pairs]


def _some(records: Iterator[Record]) -> list[Record]:
    return list(islice(records, _BATCH))
