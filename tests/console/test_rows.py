"""Lists as rows of inputs: the editor never changes a text that it cannot represent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algoplatform.console.form import Form
from algoplatform.console.rows import SHAPES

TEXTS = {
    "imagePorts": [("http:8080:30080,metrics:9090", [["http", "8080", "30080"], ["metrics", "9090", ""]])],
    "imageMount": [("/a,/b c", [["/a"], ["/b c"]])],
    "hostPath": [("/home:/home,/data:/srv", [["/home", "/home"], ["/data", "/srv"]])],
    "env": [
        ("A:1,B:x:y", [["A", "1"], ["B", "x:y"]]),
        (r"A:1\,2,B:", [["A", "1,2"], ["B", ""]]),
        ("A:x\\", [["A", "x\\"]]),
    ],
    "dependencyServiceId": [("h:5000/a:1,b:2", [["h:5000/a:1"], ["b:2"]])],
}


@pytest.mark.parametrize(("name", "text", "rows"), [(name, *pair) for name, pairs in TEXTS.items() for pair in pairs])
def test_rows(name: str, text: str, rows: list[list[str]]) -> None:
    """Splitting a text into rows and joining them gives the same text."""
    assert SHAPES[name].split(text) == rows
    assert SHAPES[name].join(rows) == text


@pytest.mark.parametrize(
    ("name", "text"), [("imageMount", "/a,,/b"), ("env", "A,B:1"), ("hostPath", "/a"), ("config", ",")]
)
def test_text_that_rows_cannot_hold(name: str, text: str) -> None:
    """A text that rows cannot represent stays a text."""
    assert SHAPES[name].split(text) is None
    form = Form.of({name: text})
    assert form.values[name] == text
    assert name not in form.rows


@given(st.sampled_from(sorted(SHAPES)), st.text(max_size=40) | st.text("a:,\\=/ ", max_size=20))
def test_never_changes_a_text(name: str, text: str) -> None:
    """Any stored text is sent back unchanged, as rows or as text."""
    form = Form.of({name: text})
    assert form.text(name) == text


def test_blank_rows_fall_away() -> None:
    """Blank rows are dropped; the others are joined without trimming."""
    assert SHAPES["imageMount"].join([["/a"], [" "], [" /b"]]) == "/a, /b"


def test_place_of_an_item() -> None:
    """A fault's position counts items, of which a row may contain several or none."""
    rows = [[""], ["/a,/b"], ["/c"]]
    assert [SHAPES["config"].row_of(rows, at) for at in (1, 2, 3, 4)] == [1, 1, 2, None]


def test_backslash_before_a_comma() -> None:
    """A trailing backslash would escape the comma before the next variable, so it is a fault of its row."""
    form = Form.sent([("env.0", "A"), ("env.1", "x\\"), ("env.0", "B"), ("env.1", "y\\")])
    [fault] = form.faults()
    assert (fault.field, fault.position) == ("env", 1)


def test_line_breaks_of_a_textarea() -> None:
    """Browsers send CR LF; the description keeps its LF."""
    form = Form.sent([("algoDesc", "\r\na\r\nb")])
    assert form.text("algoDesc") == "\na\nb"
