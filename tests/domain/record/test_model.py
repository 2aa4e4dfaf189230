"""The model: its fields, in the document's order, and how it is rendered."""

import json
from typing import Any

from hypothesis import given, settings

from algoplatform.domain.record.model import INPUT_FIELDS, INTEGER_FIELDS, RECORD_FIELDS, render
from tests.support import record_fields as table
from tests.support.checks import IMAGE_ID, checked
from tests.support.images import document_examples, minimal
from tests.support.strategies import image_records


def test_record_fields_are_those_of_the_document() -> None:
    """The 29 keys have the order of the document's `_search` example."""
    assert list(RECORD_FIELDS) == list(json.loads(document_examples()[3])["res"]["data"][0])
    assert sorted(RECORD_FIELDS) == sorted(table.ALL)
    assert list(INPUT_FIELDS) == table.ALL
    assert list(INTEGER_FIELDS) == table.INTEGERS


def test_reference_and_dependencies() -> None:
    """The dependencies of an image do not include itself."""
    image = checked(minimal("algo/a", "1", dependencyServiceId="algo/b:1,algo/a:1,h:5000/c:2"))
    assert str(image.reference) == "algo/a:1"
    assert [str(item) for item in image.dependencies] == ["algo/b:1", "h:5000/c:2"]
    assert checked(minimal()).dependencies == ()


@settings(max_examples=40)
@given(image_records())
def test_what_is_rendered_passes_and_renders_alike(record: dict[str, Any]) -> None:
    """A rendered record equals the one sent, is valid again, and renders the same."""
    text = render(checked(record), IMAGE_ID)
    written = json.loads(text)
    assert list(written) == list(RECORD_FIELDS)
    assert {name: value for name, value in written.items() if value is not None} == record | {
        "imageId": IMAGE_ID,
        "deleteFlag": "0",
    }
    assert render(checked(written), IMAGE_ID) == text
    assert text == json.dumps(written, ensure_ascii=False, separators=(",", ":"))
