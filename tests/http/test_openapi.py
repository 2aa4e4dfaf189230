"""The published OpenAPI document: valid, complete, and in agreement with the API document's examples."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jsonschema_rs import Draft202012Validator, meta
from schemathesis.specs.openapi.definitions import OPENAPI_31

from algoplatform.api.app import create_app
from algoplatform.domain.faults import Code
from algoplatform.settings import Settings
from tests import test_document as document
from tests.support.tokens import SETTINGS
from tests.test_document import loaded_records

Json = Any

PUBLISHED: Json = create_app(Settings(database_url=None)).openapi()
OPERATIONS: dict[str, Json] = {
    operation["operationId"]: operation for path in PUBLISHED["paths"].values() for operation in path.values()
}
ALWAYS = {"200", "431", "500", "503"}
RAW = {
    "manifests": ["application/yaml"],
    "render": ["application/yaml"],
    "dependencies": ["image/svg+xml", "text/vnd.mermaid", "text/vnd.graphviz"],
    "lint": ["application/sarif+json"],
    "lintFile": ["application/sarif+json"],
}
BODY = {"400", "408", "413", "415", "422", "429"}


def resolve(value: Json) -> Json:
    """Resolve a reference within the document."""
    while isinstance(value, dict) and "$ref" in value:
        found = PUBLISHED
        for part in value["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        value = found
    return value


def everything(value: Json) -> Iterator[dict[str, Json]]:
    """Yield every object within the document."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from everything(item)


def bodies(operation: str) -> Iterator[tuple[str, Json]]:
    """Yield an operation's media type objects, for the request and for responses by status."""
    described = OPERATIONS[operation]
    for media in described.get("requestBody", {}).get("content", {}).values():
        yield "request", media
    for status, response in described["responses"].items():
        for media in resolve(response).get("content", {}).values():
            yield status, media


def shown(media: Json) -> list[Json]:
    """Return the examples of a media type."""
    many = [example["value"] for example in media.get("examples", {}).values()]
    return [*many, *([media["example"]] if "example" in media else [])]


def examples(operation: str, part: str) -> list[Json]:
    """Return an operation's examples for the request or a response."""
    return [example for status, media in bodies(operation) if status == part for example in shown(media)]


def accepts(schema: Json, example: Json) -> list[str]:
    """Return the errors of an example under a schema of the document."""
    validator = Draft202012Validator({"components": PUBLISHED["components"], **schema})
    return [error.message for error in validator.iter_errors(example)]


def test_it_is_valid() -> None:
    """The document is valid OpenAPI 3.1, and its schemas are valid."""
    assert PUBLISHED["openapi"].startswith("3.1.")
    faults = Draft202012Validator(OPENAPI_31).iter_errors(PUBLISHED)
    assert [f"{error.instance_path}: {error.message}" for error in faults] == []
    for schema in PUBLISHED["components"]["schemas"].values():
        meta.validate(schema)


def test_every_reference_leads_somewhere_and_every_part_is_used() -> None:
    """Every reference resolves, and every component is used."""
    used = {item["$ref"] for item in everything(PUBLISHED) if "$ref" in item}
    given = {f"#/components/{kind}/{name}" for kind, parts in PUBLISHED["components"].items() for name in parts}
    assert used == given


def test_tokens_are_declared_only_where_they_are_asked_for() -> None:
    """A document with tokens is valid too, and leaves those of other applications unchanged."""
    asking = create_app(Settings(**SETTINGS, jwks_url="https://id.example/keys")).openapi()
    assert list(Draft202012Validator(OPENAPI_31).iter_errors(asking)) == []
    assert "WWW-Authenticate" in asking["components"]["responses"]["Unauthenticated"]["headers"]
    assert create_app(Settings(database_url=None)).openapi() == PUBLISHED
    assert "401" not in json.dumps(PUBLISHED["paths"])


def test_operations_are_named() -> None:
    """The operation ids, after which clients are generated, are stable."""
    assert {
        name: f"{method.upper()} {path.removeprefix('/algoPlatform/images/')}"
        for path, operations in PUBLISHED["paths"].items()
        for method, operation in operations.items()
        for name in [operation["operationId"]]
    } == {
        "register": "POST _register",
        "search": "GET _search",
        "searchByBody": "POST _search",
        "update": "POST _update",
        "delete": "POST _delete",
        "load": "POST _load",
        "upload": "POST _upload",
        "get": "GET {imageId}",
        "history": "GET {imageId}/history",
        "restore": "POST {imageId}/_restore",
        "manifests": "GET {imageId}/manifests",
        "render": "POST _render",
        "dependencies": "GET {imageId}/dependencies",
        "impact": "POST {imageId}/_impact",
        "lint": "GET _lint",
        "lintFile": "POST _lint",
        "drift": "POST _drift",
        "plan": "POST _plan",
        "verify": "POST {imageId}/_verify",
        "verifySet": "POST _verify",
        "artifact": "GET {imageId}/artifact",
        "draft": "POST _draft",
    }


def test_operations_are_in_the_documents_order() -> None:
    """Operations come in the API document's order, additional ones at the end."""
    operations = [path.removeprefix("/algoPlatform/images/") for path in PUBLISHED["paths"]]
    assert operations[:6] == ["_register", "_search", "_update", "_delete", "_load", "_upload"]
    assert operations[6:] == [
        "{imageId}",
        "{imageId}/history",
        "{imageId}/_restore",
        "{imageId}/manifests",
        "_render",
        "{imageId}/dependencies",
        "{imageId}/_impact",
        "_lint",
        "_drift",
        "_plan",
        "{imageId}/_verify",
        "_verify",
        "{imageId}/artifact",
        "_draft",
    ]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_everything_is_described(operation: str) -> None:
    """Summaries are Chinese and English; parameters, headers and responses are described in Chinese."""
    described = OPERATIONS[operation]
    assert re.fullmatch(r"[\u4e00-\u9fff（）]+ · [A-Z][A-Za-z ]+", described["summary"])
    parts = [described, *map(resolve, described["parameters"])]
    for response in map(resolve, described["responses"].values()):
        parts += [response, *map(resolve, response["headers"].values())]
    for part in parts:
        assert re.search(r"[\u4e00-\u9fff]", part["description"]), part


def test_schemas_are_described() -> None:
    """Every schema and field has a Chinese description."""
    for name, schema in PUBLISHED["components"]["schemas"].items():
        for part in [schema, *map(resolve, schema["properties"].values())]:
            assert re.search(r"[\u4e00-\u9fff]", part["description"]), (name, part)


@pytest.mark.parametrize(
    ("operation", "statuses"),
    [
        ("register", BODY | {"403", "409"}),
        ("update", BODY | {"403", "404", "409", "412"}),
        ("delete", BODY | {"403", "404", "409", "412"}),
        ("search", BODY),
        ("searchByBody", BODY | {"403"}),
        ("load", BODY | {"403"}),
        ("upload", BODY | {"403", "409"}),
        ("get", {"304", "400", "404"}),
        ("history", {"400", "404", "422"}),
        ("restore", BODY | {"403", "404", "409", "412"}),
        ("manifests", {"304", "400", "404", "422", "429"}),
        ("render", BODY | {"403", "404"}),
        ("dependencies", {"304", "400", "404", "422", "429"}),
        ("impact", BODY | {"403", "404", "409"}),
        ("lint", {"400", "422", "429"}),
        ("lintFile", BODY | {"403"}),
        ("verify", BODY | {"403", "404"}),
        ("verifySet", BODY | {"403"}),
        ("artifact", {"400", "404"}),
        ("draft", BODY | {"403"}),
    ],
)
def test_answers(operation: str, statuses: set[str]) -> None:
    """Every possible response is published, errors in both formats with an example of each."""
    responses = OPERATIONS[operation]["responses"]
    assert set(responses) == statuses | ALWAYS
    for status, response in responses.items():
        content = resolve(response).get("content", {})
        assert "X-Request-Id" in resolve(response)["headers"]
        if status == "304":
            assert not content
        elif status == "200":
            assert list(content) == ["application/json", *RAW.get(operation, ())]
        elif status == "431":
            # The head was never read, so nor was Accept.
            assert list(content) == ["application/json"]
            assert [example["status"] for example in shown(content["application/json"])] == ["-1"]
        else:
            assert list(content) == ["application/json", "application/problem+json"]
            codes = {example["status"] for example in shown(content["application/json"])}
            assert codes == {example["code"] for example in shown(content["application/problem+json"])}
            assert codes


@pytest.mark.parametrize(
    ("operation", "status", "headers"),
    [
        ("register", "200", {"Location", "ETag"}),
        ("update", "200", {"ETag"}),
        ("restore", "200", {"ETag"}),
        ("get", "200", {"ETag", "Last-Modified"}),
        ("get", "304", {"ETag", "Last-Modified"}),
        ("load", "200", {"Content-Disposition"}),
        ("manifests", "200", {"ETag", "Content-Disposition"}),
        ("render", "200", {"Content-Disposition"}),
        ("dependencies", "304", {"ETag"}),
        ("register", "409", {"Retry-After"}),
        ("search", "429", {"Retry-After"}),
        ("search", "503", {"Retry-After"}),
        ("search", "422", set()),
    ],
)
def test_answers_headers(operation: str, status: str, headers: set[str]) -> None:
    """Response headers other than the request id are published."""
    response = resolve(OPERATIONS[operation]["responses"][status])
    assert set(response["headers"]) == headers | {"X-Request-Id"}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_requests_headers(operation: str) -> None:
    """Writes accept Idempotency-Key, changes If-Match, reads of one image If-None-Match, all a request id."""
    names = {item["name"] for item in map(resolve, OPERATIONS[operation]["parameters"]) if item["in"] == "header"}
    writes = {"register", "update", "delete", "upload", "restore"}
    assert names == {"X-Request-Id"} | (
        ({"Idempotency-Key"} if operation in writes else set())
        | ({"If-Match"} if operation in ("update", "delete", "restore") else set())
        | ({"If-None-Match"} if operation in ("get", "manifests", "dependencies") else set())
    )


def test_the_documents_examples_are_shown() -> None:
    """Every example of the API document is in the published one, for requests and responses."""
    requests = {
        "register": document.REGISTER,
        "searchByBody": document.SEARCH,
        "update": document.UPDATE,
        "delete": document.DELETE,
        "load": document.LOAD,
    }
    for operation, text in requests.items():
        assert examples(operation, "request") == [json.loads(text)]
    answers = {
        ("register", "200"): json.loads(document.REGISTERED),
        ("search", "200"): json.loads(document.FOUND),
        ("searchByBody", "200"): json.loads(document.FOUND),
        ("update", "200"): json.loads(document.UPDATED),
        ("delete", "200"): json.loads(document.DELETED),
        ("load", "200"): loaded_records(),
        ("upload", "422"): json.loads(document.REFUSED),
    }
    for (operation, status), answer in answers.items():
        assert answer in examples(operation, status), operation
    assert list(examples("search", "200")[0]["res"]["data"][0]) == list(json.loads(document.FOUND)["res"]["data"][0])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_examples_keep_to_their_schemas(operation: str) -> None:
    """Every example is valid under its schema."""
    for part, media in bodies(operation):
        for example in shown(media):
            assert accepts(media["schema"], example) == [], part
    for parameter in map(resolve, OPERATIONS[operation]["parameters"]):
        if "example" in parameter:
            assert accepts(parameter["schema"], parameter["example"]) == []


def test_examples_of_fields_keep_to_their_schemas() -> None:
    """The examples inside schemas and of headers are valid under their schemas, too."""
    count = 0
    for item in everything(PUBLISHED["components"]):
        values = item.get("examples")
        if isinstance(values, list):
            for value in values:
                assert accepts(item, value) == [], item
                count += 1
    for header in PUBLISHED["components"]["headers"].values():
        assert accepts(header["schema"], header["example"]) == []
    assert count > 20


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("imageName", "Algo/X Y"),
        ("imageTag", "-x"),
        ("factory", " "),
        ("algoType", "3"),
        ("pvcSize", -1),
        ("pvcSize", "1.5"),
        ("imageId", "c675e74e1bc211ea9f600242ac110002"),
        ("deleteFlag", "1"),
        ("colour", "red"),
    ],
)
def test_schemas_forbid_what_they_can(field: str, value: Json) -> None:
    """A client that validates by the schema finds such faults before sending."""
    schema = {"$ref": "#/components/schemas/Image"}
    example = json.loads(document.REGISTER)
    assert accepts(schema, example) == []
    assert accepts(schema, example | {field: value}) != []


def test_status_table_is_shown() -> None:
    """The introduction lists every status code with HTTP status and meaning."""
    rows = re.findall(r"^\| (-?\d+) \| ([\d /]+) \| (.+) \|$", PUBLISHED["info"]["description"], re.MULTILINE)
    assert [code for code, _, _ in rows] == list(Code)
    http = {code: status for code, status, _ in rows}
    assert (http["0"], http["-1"], http["203"], http["240"], http["308"], http["-412"]) == (
        "200",
        "400 / 422",
        "409",
        "403",
        "422",
        "412",
    )


async def test_it_is_served_as_built_once(client: httpx.AsyncClient) -> None:
    """/openapi.json is the document, byte for byte the same at each request."""
    answers = [await client.get("/openapi.json") for _ in range(2)]
    assert answers[0].json() == PUBLISHED
    assert answers[0].headers["content-type"] == "application/json"
    assert answers[0].content == answers[1].content
