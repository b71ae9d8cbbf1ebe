"""Damaged statistics are read rightly or refused, never read wrongly: no other exception, no other number.

The one thing left out is a well-formed number in the place of another, which no reader can notice.
"""

import functools
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from tests.imaging.stats.damage import damaged, exchanges_a_number, truncated
from tests.imaging.stats.dialects import DIALECTS, write_subject
from tests.imaging.stats.exported import write_tables
from workflow_scripts.lib.imaging.stats.subject import read_subject
from workflow_scripts.lib.imaging.stats.tables import list_subjects, read_tables
from workflow_scripts.lib.study.errors import StudyError

often = settings(
    **{"max_examples": 150, "deadline": None, "derandomize": True, "database": None},
    suppress_health_check=list(HealthCheck),
)


@functools.cache
def subject(dialect):
    """Write a subject once; files by name and what is planted."""
    with tempfile.TemporaryDirectory() as place:
        folder, planted = write_subject(Path(place) / "sub-01", dialect, 1)
        return {path.name: path.read_bytes().decode() for path in sorted(folder.glob("stats/*"))}, planted


@functools.cache
def exported(separator, transpose):
    with tempfile.TemporaryDirectory() as place:
        paths, planted = write_tables(place, ["ann", "ben", "cleo"], 1, separator, transpose)
        return {Path(path).name: Path(path).read_bytes().decode() for path in paths}, planted


def check_subject(dialect, name, text):
    """Read a subject with one file damaged."""
    files, planted = subject(dialect)
    with tempfile.TemporaryDirectory() as place:
        stats = Path(place) / "sub-01" / "stats"
        stats.mkdir(parents=True)
        for file, content in files.items():
            (stats / file).write_bytes((text if file == name else content).encode())
        try:
            found = read_subject(stats.parent, planted.tool.lower())
        except StudyError as error:
            assert str(error).startswith(str(stats)), error
            return
    assert {key: planted.features.get(key) for key in found.features} == found.features
    assert {key: planted.numbers.get(key) for key in found.numbers} == found.numbers
    assert found.icv in (None, planted.icv)


def check_tables(separator, transpose, name, text):
    files, planted = exported(separator, transpose)
    with tempfile.TemporaryDirectory() as place:
        for file, content in files.items():
            Path(place, file).write_bytes((text if file == name else content).encode())
        paths = [f"{place}/{file}" for file in files]
        try:
            found = read_tables(paths)
        except StudyError as error:
            assert str(error).startswith(place), error
            return
        assert list_subjects(paths) == list(found.index)
    same = found.loc[found.index.intersection(planted.index)].rename_axis("who").reset_index()
    for row in same.melt("who").dropna().itertuples():
        assert planted.loc[row.who, row.variable] == row.value


@pytest.mark.parametrize("dialect", DIALECTS)
@often
@given(st.data())
def test_a_damaged_file_of_a_subject_never_gives_a_wrong_number(dialect, data):
    files, _ = subject(dialect)
    name = data.draw(st.sampled_from(sorted(files)))
    text = data.draw(damaged(files[name]))
    assume(text != files[name] and not exchanges_a_number(files[name], text, same_decimals=True))
    check_subject(dialect, name, text)


@pytest.mark.parametrize("dialect", ["freesurfer-6.0", "fastsurfer-seg-2.0"])
@often
@given(st.data())
def test_a_file_cut_anywhere_is_refused(dialect, data):
    files, planted = subject(dialect)
    name = data.draw(st.sampled_from(sorted(files)))
    text = data.draw(truncated(files[name]))
    with tempfile.TemporaryDirectory() as place:
        stats = Path(place) / "sub-01" / "stats"
        stats.mkdir(parents=True)
        for file, content in files.items():
            (stats / file).write_text(text if file == name else content)
        with pytest.raises(StudyError, match=name.replace("+", r"\+")):
            read_subject(stats.parent, planted.tool.lower())


@pytest.mark.parametrize("separator", ["\t", ",", ";", " "])
@pytest.mark.parametrize("transpose", [False, True])
@often
@given(st.data())
def test_a_damaged_table_never_gives_a_wrong_number(separator, transpose, data):
    files, _ = exported(separator, transpose)
    name = data.draw(st.sampled_from(sorted(files)))
    text = data.draw(damaged(files[name]))
    # a spreadsheet drops zeros at the end, so that decimals tell nothing in tables
    assume(text != files[name] and not exchanges_a_number(files[name], text, same_decimals=False))
    check_tables(separator, transpose, name, text)


@often
@given(st.binary(max_size=300), st.sampled_from(["aseg.stats", "lh.aparc.stats", "brainvol.stats"]))
@example(b"# ColHeaders StructName\n", "aseg.stats")
@example(b"# ColHeaders Index SegId Volume_mm3\n# NRows 1\n1 2 3\n", "aseg.stats")
@example(b"# ColHeaders SegId Volume_mm3 StructName\n# NRows 1\nnan 1.0 CSF\n", "aseg.stats")
def test_any_bytes_are_refused(content, name):
    files, planted = subject("freesurfer-7.4")
    with tempfile.TemporaryDirectory() as place:
        stats = Path(place) / "sub-01" / "stats"
        stats.mkdir(parents=True)
        for file, text in files.items():
            (stats / file).write_text(text)
        (stats / name).write_bytes(content)
        with pytest.raises(StudyError, match=name):
            read_subject(stats.parent, planted.tool.lower())
        table = shutil.copy(stats / name, Path(place) / "table.csv")
        with pytest.raises(StudyError, match=r"table\.csv"):
            read_tables([str(table)])
