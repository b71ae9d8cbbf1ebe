"""Tables of decisions by hand: what is read, and what is refused."""

import pytest

from workflow_scripts.lib.imaging.qc.overrides import read_overrides
from workflow_scripts.lib.study.errors import StudyError

SCANS = ["sub-01_1", "sub-02_1"]


def table(folder, text):
    path = folder / "overrides.tsv"
    path.write_text("scan_id\tdecision\treason\n" + text)
    return path


def test_a_table_is_read(tmp_path):
    found = read_overrides(table(tmp_path, 'sub-02_1\tinclude\t"""fine"" by eye"\nsub-01_1\texclude\tmoved\n'), SCANS)
    assert found.values.tolist() == [["sub-02_1", "include", '"fine" by eye'], ["sub-01_1", "exclude", "moved"]]


def test_a_table_without_a_row_decides_nothing(tmp_path):
    assert len(read_overrides(table(tmp_path, ""), SCANS)) == 0


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("sub-2_1\texclude\tmoved", r"line 2, column 'scan_id': found 'sub-2_1'.* Did you mean 'sub-02_1'\?"),
        ("zzz\texclude\tmoved", "found 'zzz', expected a scan of the study. The cohort stage's scans.tsv lists"),
        ("sub-01_1\tdrop\tmoved", "column 'decision': found 'drop', expected one of include, exclude"),
        ("sub-01_1\texclude\t", "column 'reason': found nothing, expected text"),
        ("sub-01_1\texclude\ta\nsub-01_1\tinclude\tb", "'sub-01_1' stands on lines 2, 3"),
        ("sub-01_1\texclude\tmoved\tmore", "more cells than the header"),
    ],
)
def test_a_wrong_row_is_refused(tmp_path, row, words):
    with pytest.raises(StudyError, match=words):
        read_overrides(table(tmp_path, row + "\n"), SCANS)
