"""Tables: what is refused and in which words, what survives writing and reading."""

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError

SCHEMA = {
    "additionalProperties": False,
    "key": ["person", "visit"],
    "required": ["person", "visit"],
    "patternProperties": {"dim_[0-9]+": {"type": "number"}},
    "properties": {
        "person": {"type": "string", "pattern": "[A-Za-z0-9-]+", "description": "Who it is."},
        "visit": {"type": "string"},
        "age": {"type": ["number", "null"], "minimum": 0, "maximum": 120, "description": "Age in years."},
        "count": {"type": "integer"},
        "sex": {"type": ["string", "null"], "enum": ["F", "M", None]},
        "passed": {"type": "boolean"},
    },
}


@pytest.fixture(autouse=True)
def schema(tmp_path, monkeypatch):
    folder = tmp_path / "schemas"
    folder.mkdir()
    (folder / "people.schema.yaml").write_text(yaml.safe_dump(SCHEMA, sort_keys=False))
    monkeypatch.setattr(tables, "SCHEMAS", folder)
    tables.load_schema.cache_clear()
    yield
    tables.load_schema.cache_clear()


def read(folder, text, extra=()):
    path = folder / "people.tsv"
    path.write_text(text)
    return tables.read_table(path, "people", extra)


@pytest.mark.parametrize(
    ("header", "good", "bad", "column", "found", "expected"),
    [
        ("age", "70", "430", "age", "430", "at most 120"),
        ("age", "70", "-1", "age", "-1", "at least 0"),
        ("age", "70", "old", "age", "'old'", "a number"),
        ("count", "3", "2.5", "count", "2.5", "a whole number"),
        ("count", "3", "n/a", "count", "nothing", "a whole number, not an empty cell"),
        ("sex", "F", "f", "sex", "'f'", "one of F, M"),
        ("passed", "True", "maybe", "passed", "'maybe'", "True or False"),
        ("dim_0", "0.5", "abc", "dim_0", "'abc'", "a number"),
        ("dim_0", "0.5", "", "dim_0", "nothing", "a number, not an empty cell"),
    ],
)
def test_a_bad_value_is_named_with_file_line_column_and_expectation(
    tmp_path, header, good, bad, column, found, expected
):
    with pytest.raises(StudyError) as error:
        read(tmp_path, f"person\tvisit\t{header}\na\t1\t{good}\nb\t1\t{bad}\nc\t1\t{bad}\n")
    message = str(error.value)
    assert f"{tmp_path / 'people.tsv'}, line 3, column '{column}': found {found}" in message
    assert f"expected {expected}. " in message


def test_the_message_says_what_the_column_is_for_and_how_to_mend_it(tmp_path):
    with pytest.raises(StudyError, match=r"Age in years\. Correct the value or leave out the row"):
        read(tmp_path, "person\tvisit\tage\na\t1\t430\n")


@pytest.mark.parametrize(
    ("row", "found"), [("sub_1\t1", "'sub_1'"), ("a b\t1", "'a b'"), ("../x\t1", "'../x'"), ("\t1", "nothing")]
)
def test_ids_of_another_form_or_without_one_are_refused(tmp_path, row, found):
    with pytest.raises(StudyError, match="line 2, column 'person': found ") as error:
        read(tmp_path, f"person\tvisit\n{row}\n")
    assert f"found {found}" in str(error.value)


def test_a_repeated_row_is_named_with_its_lines(tmp_path):
    with pytest.raises(StudyError, match=r"people\.tsv: person \+ visit 'b 1' stands on lines 3, 5; it must name one"):
        read(tmp_path, "person\tvisit\na\t1\nb\t1\nb\t2\nb\t1\n")


def test_a_column_that_is_missing_or_unknown_is_named_beside_the_known_ones(tmp_path):
    with pytest.raises(StudyError, match=r"people\.tsv: column 'person' is missing \(Who it is\.\)\. Found .*visit"):
        read(tmp_path, "persn\tvisit\na\t1\n")
    with pytest.raises(StudyError, match=r"people\.tsv: unknown column 'agee'\. Known: person, visit, age"):
        read(tmp_path, "person\tvisit\tagee\na\t1\t7\n")
    with pytest.raises(StudyError, match="unknown column 'dim_x'"):
        read(tmp_path, "person\tvisit\tdim_x\na\t1\t7\n")


def test_a_column_that_config_declares_is_allowed(tmp_path):
    assert read(tmp_path, "person\tvisit\tstage\na\t1\t7\n", extra=("stage",))["stage"].tolist() == [7]


def test_a_missing_file_and_a_missing_schema_are_named(tmp_path):
    with pytest.raises(StudyError, match=r"nobody\.tsv: no such file"):
        tables.read_table(tmp_path / "nobody.tsv", "people")
    with pytest.raises(StudyError, match=r"no schema named 'poeple'; known: people"):
        tables.load_schema("poeple")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"person\tvisit\na\t1\nb\t1\t2\t3\n",
        b"person\tvisit\na\t1\t\nb\t2\t\n",
        "person\tvisit\nMüller\t1\n".encode("latin-1"),
        b"person,visit\na,1\n",
    ],
    ids=["empty", "ragged", "tab at the ends", "not UTF-8", "commas"],
)
def test_what_is_no_table_is_refused_by_name(tmp_path, content):
    path = tmp_path / "broken.tsv"
    path.write_bytes(content)
    with pytest.raises(StudyError, match=r"broken\.tsv"):
        tables.read_table(path, "people")


def test_a_table_that_does_not_fit_is_not_written(tmp_path):
    table = pd.DataFrame({"person": ["a", "a"], "visit": ["1", "1"]})
    with pytest.raises(StudyError, match="lines 2, 3"):
        tables.write_table(table, tmp_path / "out.tsv", "people")
    assert not (tmp_path / "out.tsv").exists()


@pytest.mark.parametrize("missing", ["", "n/a", "NA", "nan", "NaN"])
def test_missing_values_are_read_as_missing_and_written_as_na(tmp_path, missing):
    table = read(tmp_path, f"person\tvisit\tage\tsex\na\t1\t{missing}\t{missing}\nb\t1\t70\tF\n")
    assert table[["age", "sex"]].isna().to_numpy().tolist() == [[True, True], [False, False]]
    tables.write_table(table, tmp_path / "out.tsv", "people")
    assert (tmp_path / "out.tsv").read_text().splitlines()[1] == "a\t1\tn/a\tn/a"


def test_a_table_without_rows_keeps_its_columns(tmp_path):
    empty = pd.DataFrame(columns=["person", "visit", "age", "passed"])
    tables.write_table(empty, tmp_path / "out.tsv", "people")
    assert tables.read_table(tmp_path / "out.tsv", "people").columns.tolist() == list(empty.columns)


ids = st.text("0123456789abcdefE-", min_size=1, max_size=6).filter(lambda text: text not in ("NA", "nan"))
rows = st.tuples(ids, st.floats(0, 120) | st.none(), st.integers(-(2**31), 2**31), st.booleans())


@settings(max_examples=40, deadline=None)
@given(st.lists(rows, min_size=1, max_size=6, unique_by=lambda row: row[0]), st.sampled_from(["tsv", "parquet"]))
def test_round_trip_keeps_ids_numbers_and_gaps(tmp_path_factory, content, kind):
    table = pd.DataFrame(content, columns=["person", "age", "count", "passed"])
    table.insert(1, "visit", "007")
    path = tmp_path_factory.mktemp("trip") / f"people.{kind}"
    tables.write_table(table, path, "people")
    back = tables.read_table(path, "people")
    assert back["person"].tolist() == table["person"].tolist()  # "007" and "1e5" are not numbers
    assert set(back["visit"]) == {"007"}
    assert back["count"].tolist() == table["count"].tolist()
    assert back["passed"].tolist() == table["passed"].tolist()
    ages = [np.array(frame["age"], dtype=float) for frame in (back, table)]
    np.testing.assert_allclose(*ages, rtol=1e-9)


def test_every_shipped_schema_is_complete(monkeypatch):
    monkeypatch.undo()
    tables.load_schema.cache_clear()
    names = sorted(path.name.removesuffix(".schema.yaml") for path in tables.SCHEMAS.glob("*.schema.yaml"))
    assert len(names) > 20
    for name in names:
        schema = tables.load_schema(name)
        columns = schema["properties"]
        assert schema["description"], name
        assert set(schema.get("key", [])) | set(schema.get("required", [])) <= set(columns), name
        for column, rule in columns.items():
            assert rule.get("description"), f"{name}: {column} is not described"
