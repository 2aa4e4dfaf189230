"""The report: results end up in their place of the document, and change nothing else."""

import shutil
from pathlib import Path

from tests.faults.report import Report, put
from tests.support.markdown import ROOT, rows


def test_tables_are_put_in_their_place(tmp_path: Path) -> None:
    """New tables replace the old ones, any number of times, and leave the text around them unchanged."""
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
    """If nothing ran, the report is empty."""
    assert Report().markdown() == ""
