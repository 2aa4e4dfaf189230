"""The report itself: what is measured ends up in the document, in its place and nowhere else."""

import shutil
from pathlib import Path

from tests.faults.report import Report, put
from tests.support.markdown import ROOT, rows


def test_tables_are_put_in_their_place(tmp_path: Path) -> None:
    """New tables replace the old ones, as often as one likes, and leave the words around them."""
    document = Path(shutil.copy(ROOT / "docs" / "reliability.md", tmp_path))
    before = document.read_text("utf-8")
    report = Report()
    report.row("Kills", killed="worker", acknowledged_writes=1234, longest_gap_s=0.456)
    for _ in range(2):
        put(document, report.markdown())
    after = document.read_text("utf-8")
    assert rows(after) == [["worker", "1,234", "0.46"]]
    assert after.partition("<!-- tables")[0] == before.partition("<!-- tables")[0]
    assert after.partition("<!-- end of tables -->")[2] == before.partition("<!-- end of tables -->")[2]


def test_nothing_to_report() -> None:
    """Where nothing ran there is nothing to say."""
    assert Report().markdown() == ""
