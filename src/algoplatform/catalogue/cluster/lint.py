"""The lint use case: checks the whole registry, or a file before it is uploaded.

A thread parses and judges one batch of limited size at a time; findings are written as soon as they are found.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from itertools import islice
from typing import Any, BinaryIO, Final, NamedTuple

import orjson

from algoplatform.catalogue.checked_file import CheckedFile
from algoplatform.catalogue.members import Members
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

# Rules across records that can only be judged if all dependencies are among the records.
OF_CLOSURES: Final = frozenset({"dependency-gone"})
# Parsed records take about five times the memory of their text.
_BATCH_BYTES: Final = 512 * 1024
# References that one query looks up.
_NAMED: Final = 5000


class Lint:
    """Judges records by the site's policy."""

    def __init__(self, database: Database, rules: Rules, policy: Policy) -> None:
        self._database = database
        self._rules = rules
        self.policy = policy

    async def one(self, record: Record) -> list[Finding]:
        """Return the findings about a single record, without the rules that need its dependencies."""
        async with self._database.connection() as connection:
            facts = (await artifacts.facts(connection, [record["imageId"]])).get(record["imageId"])
        filled = {name: value for name, value in record.items() if value is not None} | {ARTIFACT: facts}
        found = await off_loop(lambda: judged(self.policy, [filled]))
        return [finding for finding in found if finding.flaw.rule not in OF_CLOSURES]

    async def registry(
        self, asked: Asked, write: Write, policy: Policy | None = None, *, as_sarif: bool = False
    ) -> Linter:
        """Write the findings about the whole registry: as an answer's `res`, with counts, or as a SARIF document."""
        run = _Run(policy or self.policy, asked, write, as_sarif=as_sarif)
        async with self._database.connection(stream=True) as connection:
            await marked.copy_all(connection, asked.conditions, run.take)
        return await run.finish()

    async def file(
        self, asked: Asked, file: BinaryIO, write: Write, policy: Policy | None = None, *, as_sarif: bool = False
    ) -> Linter:
        """Write the findings about a file and all that its images depend on, as `registry` does.

        Raises FileRefused for invalid records, before anything is written.
        """
        checked = CheckedFile(file, self._rules)
        await checked.check(write)
        run = _Run(policy or self.policy, asked, write, as_sarif=as_sarif)
        await run.judge(run.linter.check([record]) for record in checked.records())
        missing, ids = run.linter.survey.missing(), []
        async with self._database.connection(stream=True) as connection:
            # A file can name millions of images, nearly all of them unknown.
            while references := await off_loop(lambda: list(islice(missing, _NAMED))):
                ids += await marked.ids_of(connection, references)
            await marked.copy_closure(connection, ids, run.take)
        return await run.finish()


def judged(policy: Policy, records: Sequence[Record], severities: frozenset[str] | None = None) -> list[Finding]:
    """Return the findings about these records, all or only those of the given severities."""
    linter = Linter(policy, Asked(check_conditions({}), severities), today())
    found = linter.check(records)
    for more in linter.across():
        found += more
    return found


def today() -> date:
    """Return the day by which exemptions end."""
    return datetime.now(UTC).date()


class _Document(NamedTuple):
    """How findings are written; `form` renders some as members of a JSON array, without its brackets."""

    head: Callable[[Policy], bytes]
    form: Callable[[Sequence[Finding]], bytes]
    tail: Callable[[Linter], bytes]


def _counted(linter: Linter) -> bytes:
    counts = dict(sorted(linter.counts.items()))
    return b'],"counts":%b,"total":%d}' % (orjson.dumps(counts), linter.total)


_ANSWER: Final = _Document(lambda policy: b'{"findings":[', as_json, _counted)
_SARIF: Final = _Document(sarif.head, sarif.results, lambda linter: sarif.TAIL)


class _Run:
    """One run: cuts the output of COPY into batches, and writes the findings of each."""

    def __init__(self, policy: Policy, asked: Asked, write: Write, *, as_sarif: bool) -> None:
        self.linter = Linter(policy, asked, today())
        self._document = _SARIF if as_sarif else _ANSWER
        self._members = Members(write, self._document.head(policy))
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
                await self.judge(self._lines(whole))

    async def finish(self) -> Linter:
        """Judge the last records, then all records together; return the linter with its counts."""
        whole = b"".join(self._parts).removesuffix(b"\n")
        if whole:
            await self.judge(self._lines(whole))
        await self.judge(self.linter.across())
        await self._members.end(self._document.tail(self.linter))
        return self.linter

    async def judge(self, findings: Iterator[list[Finding]]) -> None:
        """Write findings, which the parsing thread produces."""
        form = self._document.form
        await self._members.add(findings, lambda found: form(found) if found else b"")

    def _lines(self, whole: bytes) -> Iterator[list[Finding]]:
        found: list[Finding] = []
        lines = whole.split(b"\n")
        for line, record in zip(lines, _parsed([line[1:] for line in lines]), strict=True):
            # A record of a file replaces the registered record of the same image.
            given = line[:1] == marked.MEETS
            if given or not self.linter.survey.is_known(reference_of(record)):
                self.linter.add(record, found, given=given)
        yield found


def _parsed(lines: list[bytes]) -> list[dict[str, Any]]:
    """Parse lines of records, with what OCI registries said about the images."""
    if not any(marked.BEFORE_FACTS in line for line in lines):
        plain: list[dict[str, Any]] = orjson.loads(b"[%b]" % b",".join(lines))
        return plain
    pairs = orjson.loads(b"[[%b]]" % b"],[".join(lines).replace(marked.BEFORE_FACTS, b","))
    return [record | {ARTIFACT: facts[0]} if facts else record for record, *facts in pairs]
