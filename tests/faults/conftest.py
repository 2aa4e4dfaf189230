"""Fixtures of the fault harness; ALGOPLATFORM_FAULTS=full selects its full form.

ALGOPLATFORM_FAULTS_REPORT names a document for the tables.
"""

import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.report import Report, is_full, put
from tests.faults.servers import wheel_programs
from tests.support.postgres import Postgres
from tests.support.process import Service, served

REPORT = pytest.StashKey[Report]()
# The result of this schemathesis test is reported in the same place.
API = "test_every_answer_is_published"


def pytest_configure(config: pytest.Config) -> None:
    """Start a report."""
    config.stash[REPORT] = Report()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """Print the tables; save those of a full run in which all tests passed."""
    report = config.stash[REPORT]
    answered = sum(API in passed.nodeid for passed in terminalreporter.stats.get("passed", []))
    if answered and exitstatus == 0:
        asked = int(os.environ.get("ALGOPLATFORM_TEST_EXAMPLES", "500"))
        report.row(
            "Random requests (schemathesis)",
            operations=answered,
            requests_each_at_least=asked,
            answers_not_published=0,
            answers_5xx=0,
        )
    tables = report.markdown()
    if tables:
        terminalreporter.section("faults")
        terminalreporter.write_line(tables)
    document = os.environ.get("ALGOPLATFORM_FAULTS_REPORT")
    if document and exitstatus == 0:
        put(Path(document), tables)


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest) -> Report:
    """The report to which a scenario adds its row."""
    return request.config.stash[REPORT]


@pytest.fixture(scope="session")
def scale() -> Callable[[int, int], int]:
    """Return the first number in the short form, the second in the full form."""
    return lambda short, full: full if is_full() else short


@pytest.fixture(scope="module")
def service(postgres: Postgres) -> Iterator[Service]:
    """A service with one worker and no other clients."""
    with postgres.database() as dsn, served(DATABASE_URL=dsn, LOG_LEVEL="error") as service:
        service.get("/readyz")
        yield service
        assert service.stop() == 0
        assert service.log("unhandled_error") == []


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that the database's user can enter."""
    with tempfile.TemporaryDirectory(prefix="algoplatform-faults-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def programs(folder: Path) -> Path:
    """The folder of PostgreSQL's programs."""
    return wheel_programs(folder)


@pytest.fixture
def many_files() -> Iterator[None]:
    """Raise this process's limit of open files to the hard limit."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
