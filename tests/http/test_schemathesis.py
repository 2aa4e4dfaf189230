"""The service against its own OpenAPI document: schemathesis requests, every response is published.

ALGOPLATFORM_TEST_EXAMPLES sets the random requests per operation, which are few in CI.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from algoplatform.api.app import create_app
from algoplatform.api.http.envelope import PROBLEM
from algoplatform.settings import Settings
from tests.support import strategies
from tests.support.images import IMAGES
from tests.support.plans import worked_example
from tests.support.postgres import Postgres
from tests.support.service import serving_in_background, settings_for
from tests.test_document import DELETE, loaded_records

EXAMPLES = int(os.environ.get("ALGOPLATFORM_TEST_EXAMPLES", "500"))
WRITES = {"register", "update", "delete", "upload", "restore"}
# Read-only operations with many options take a quarter of the requests, as each takes longer.
CLUSTER = {"manifests", "render", "dependencies", "impact", "lint", "lintFile", "drift", "plan"}
CLUSTER |= {"verifySet", "artifact", "draft"}
# Their options, files and references have a syntax that schemas cannot express.
BEYOND = WRITES | {"verify"} | (CLUSTER - {"dependencies", "artifact"})
Case = schemathesis.Case[Any]


def files() -> SearchStrategy[bytes]:
    """Files to upload: lists of valid and invalid records, and arbitrary bytes."""
    text = st.text(max_size=20)
    record = st.fixed_dictionaries(
        {
            "imageName": strategies.image_names().map(str) | text,
            "imageTag": strategies.image_tags().map(str),
            "factory": text,
            "algoName": st.just("安全帽"),
            "algoType": st.sampled_from(["1", "2", "3"]),
        },
        optional={"imagePorts": strategies.image_ports().map(str), "pvcSize": st.none() | st.integers(), "env": text},
    )
    return st.lists(record, max_size=5).map(lambda found: json.dumps(found).encode()) | st.binary(max_size=100)


schemathesis.openapi.format("binary", files())
api = schemathesis.openapi.from_dict(create_app(Settings(database_url=None)).openapi())
api.config.checks.negative_data_rejection.expected_statuses.append("412")
OPERATIONS = [operation["operationId"] for path in api.raw_schema["paths"].values() for operation in path.values()]
RANDOM = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def service(postgres: Postgres) -> Iterator[str]:
    """A service that holds the images of the document's examples."""
    record = next(iter(loaded_records()["res"].values()))
    known = [record, record | {"imageId": json.loads(DELETE)["imageId"], "imageTag": "2.0"}, *worked_example()]
    with postgres.database() as dsn, serving_in_background(settings_for(dsn)) as url:
        answer = requests.post(f"{url}{IMAGES}/_upload", files={"file": json.dumps(known)}, timeout=60)
        assert answer.status_code == 200, answer.text
        yield url


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """One connection for all requests."""
    with requests.Session() as session:
        yield session


def beyond_schemas(case: Case, response: schemathesis.Response) -> list[Any]:
    """Return the checks that do not apply to this request, as the contract goes beyond its schema."""
    excluded = []
    # Schemas cannot express the syntax of ports, which images exist, the content of a file, or used
    # Idempotency-Keys; and for JSON Schema 1.0 is an integer, which the contract rejects as a fraction.
    body = case.body.values() if isinstance(case.body, dict) else ()
    name = case.operation.definition.raw["operationId"]
    writes = name in WRITES
    query = parse_qsl(urlsplit(str(response.request.url)).query, keep_blank_values=True)
    # Nor can they express that `after` excludes `before` and `page`, or all of a reference's syntax.
    names = {name for name, _ in query} | (set(case.body) if isinstance(case.body, dict) else set())
    if name in BEYOND or names & {"after", "before"} or any(isinstance(value, float) for value in body):
        excluded.append("positive_data_acceptance")
    # An empty condition counts as absent, whatever its type.
    conditions = [value for _, value in query] + [value for value in body if isinstance(value, str) and not writes]
    if not all(value.strip() for value in conditions):
        excluded.append("negative_data_rejection")
    # YAML is published as text, a stream of documents, but schemathesis would parse it.
    if response.headers.get("content-type") == ["application/yaml"]:
        excluded.append("response_schema_conformance")
    return [CHECKS.get_one(name) for name in excluded]


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_answer_is_published(name: str, service: str, session: requests.Session) -> None:
    """Every response is published; invalid requests are rejected, valid ones accepted, in both formats."""
    operation = api.find_operation_by_id(name)
    answers: Counter[int] = Counter()
    requests_at_least = EXAMPLES // 4 if name in CLUSTER else EXAMPLES

    @settings(RANDOM, max_examples=requests_at_least)
    @given(operation.as_strategy(GenerationMode.POSITIVE) | operation.as_strategy(GenerationMode.NEGATIVE))
    def ask(case: Case) -> None:
        problem = answers.total() % 2 == 1
        response = case.call(base_url=service, session=session, headers={"Accept": PROBLEM} if problem else None)
        answers[response.status_code] += 1
        # A query that exceeds the limit of a head is refused below the routes, whatever the operation.
        if response.status_code == 431:
            return
        case.validate_response(response, excluded_checks=beyond_schemas(case, response))
        # A repeat with an Idempotency-Key gets the format of the first response.
        if problem and response.status_code >= 400 and "Idempotency-Key" not in response.request.headers:
            assert response.headers["content-type"] == [PROBLEM]

    ask()
    assert answers.total() >= requests_at_least
    # Drafting needs an image in a registry, and this service has no registry configured.
    assert answers[200] or name == "draft"
    assert max(answers) < 500
