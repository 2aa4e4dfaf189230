"""Raw media types: which representation a client gets, its ETag and its file name."""

import pytest
from starlette.requests import Request

from algoplatform.api.http.representation import (
    DOT,
    ENVELOPE,
    MERMAID,
    SARIF,
    SVG,
    YAML,
    attachment,
    choose_format,
    not_modified,
    representation,
    tag_of,
)
from algoplatform.domain.errors import Refused


def request(**headers: str) -> Request:
    """Return a request with these headers."""
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": given})


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", ENVELOPE),
        ("*/*", ENVELOPE),
        ("text/*, application/*", ENVELOPE),
        ("application/json", ENVELOPE),
        ("text/html, */*;q=0.8", ENVELOPE),
        ("image/svg+xml", SVG),
        ("Image/SVG+XML ; q=0.1", SVG),
        ("text/vnd.mermaid", MERMAID),
        ("text/vnd.graphviz", DOT),
        ("image/avif,image/webp,image/svg+xml,image/*,*/*;q=0.8", SVG),
        ("application/json, image/svg+xml", SVG),
        ("application/json, image/svg+xml;q=0.9", ENVELOPE),
        ("application/json;q=0.5, image/svg+xml;q=0.9", SVG),
        ("image/svg+xml;q=0", ENVELOPE),
        ("image/svg+xml;q=0.5, text/vnd.graphviz;q=0.7", DOT),
        ("image/svg+xml, application/problem+json", SVG),
        ("application/yaml", ENVELOPE),
        (",;,=;q=", ENVELOPE),
    ],
)
def test_accept(accept: str, chosen: object) -> None:
    """A raw type is chosen only if Accept names it, with at least the quality of JSON; wildcards do not count."""
    assert choose_format(request(accept=accept), None, SVG, MERMAID, DOT) is chosen


@pytest.mark.parametrize("media", ["application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"])
def test_yaml_has_older_names(media: str) -> None:
    """YAML is also served to clients that know it by an older name."""
    assert choose_format(request(accept=media), None, YAML) is YAML


@pytest.mark.parametrize(
    ("asked", "chosen"), [("json", ENVELOPE), ("svg", SVG), ("dot", DOT), ("", MERMAID), (None, MERMAID)]
)
def test_query_wins(asked: str | None, chosen: object) -> None:
    """`format=` takes precedence over Accept; a blank one is ignored."""
    assert choose_format(request(accept="text/vnd.mermaid"), asked, SVG, MERMAID, DOT) is chosen


@pytest.mark.parametrize("asked", ["xml", "yaml", "SVG", "x" * 1000])
def test_unknown_format(asked: str) -> None:
    """A format that the operation does not support is refused, with a list of those it supports."""
    with pytest.raises(Refused) as refused:
        choose_format(request(), asked, SVG, SARIF)
    [fault] = refused.value.faults
    assert (fault.field, fault.code) == ("format", "202")
    assert fault.message.startswith("format须为json、svg、sarif之一，不能为“")
    assert len(fault.message) < 120


def test_tags_differ() -> None:
    """An ETag is stable, and differs for each part and each format."""
    parts = ([["a", 1], ["b", 2]], {"naming": "tag"}, "1")
    assert tag_of(*parts, YAML.name) == tag_of(*parts, "yaml")
    tags = {tag_of(*parts, "yaml"), tag_of(*parts, "json"), tag_of([["a", 2]], *parts[1:], "yaml"), tag_of()}
    assert len(tags) == 4
    assert all(len(tag) == 34 and tag.startswith('"') for tag in tags)


@pytest.mark.parametrize(
    ("given", "known"), [('"1"', True), ('W/"1"', True), ("*", True), ('"2"', False), ("1", False)]
)
def test_not_modified(given: str, known: bool) -> None:
    """A client that already has the representation gets 304 with its ETag and no body."""
    answer = not_modified(request(if_none_match=given), '"1"')
    assert (answer is not None) is known
    if answer is not None:
        assert (answer.status_code, answer.body, answer.headers["etag"]) == (304, b"", '"1"')


def test_representation() -> None:
    """A raw body is sent with type, length and ETag, and as an attachment if it has a file name."""
    shown = representation(b"<svg/>", SVG, '"1"')
    assert dict(shown.headers) == {"etag": '"1"', "content-type": "image/svg+xml", "content-length": "6"}
    file = representation(b"a: 1\n", YAML, '"2"', "algo-posterize-1-0")
    assert file.headers["content-type"] == "application/yaml"
    assert file.headers["content-disposition"] == 'attachment; filename="algo-posterize-1-0.yaml"'
    assert representation("图".encode(), MERMAID, '"3"').headers["content-type"] == "text/vnd.mermaid; charset=utf-8"


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("a b.yaml", 'attachment; filename="a b.yaml"'),
        ("图.yaml", "attachment; filename=\"_.yaml\"; filename*=UTF-8''%E5%9B%BE.yaml"),
        ('a"b\r\n.yaml', "attachment; filename=\"a_b__.yaml\"; filename*=UTF-8''a%22b%0D%0A.yaml"),
        ("a/../b", "attachment; filename=\"a_.._b\"; filename*=UTF-8''a%2F..%2Fb"),
    ],
)
def test_file_names(name: str, sent: str) -> None:
    """A file name cannot inject into its header, whatever it contains (RFC 6266)."""
    assert attachment(name) == sent
