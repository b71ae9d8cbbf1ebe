"""Age, sex and more from a BIDS dataset's own tables."""

import logging

import pytest

from tests.cohort.folders import bids, entry, find, table
from workflow_scripts.lib.study.errors import StudyError


def people(folder, *lines):
    bids(folder, "01", "02")
    return table(folder / "participants.tsv", *lines)


def test_age_and_sex_are_taken_and_other_columns_are_not(tmp_path):
    people(tmp_path, "participant_id\tAge\tgender\thandedness\tsite\tiq", "sub-01\t33.5\tfemale\tright\toslo\t110",
           "02\tn/a\tM\tleft\t\t90")  # fmt: skip
    scans, _ = find(entry("bids", tmp_path), labels=("iq",))
    assert scans[["age", "sex", "site", "iq"]].astype(object).where(scans.notna()).values.tolist()[0] == [
        33.5, "F", "oslo", 110.0,
    ]  # fmt: skip
    assert scans["age"].isna().tolist() == [False, True]
    assert scans[["sex", "site"]].iloc[1].tolist() == ["M", "mine"]
    assert "handedness" not in scans


@pytest.mark.parametrize(
    ("text", "sex"),
    [("F", "F"), ("f", "F"), ("Female", "F"), ("MALE", "M"), ("m", "M"), ("other", None), ("n/a", None)],
)
def test_words_for_sex(tmp_path, text, sex):
    people(tmp_path, "participant_id sex", f"sub-01 {text}", "sub-02 F")
    found = find(entry("bids", tmp_path))[0]["sex"]
    assert found.astype(object).where(found.notna(), None).tolist() == [sex, "F"]


@pytest.mark.parametrize("text", ["89+", ">89", ">= 89", "89.0 +"])
def test_a_bound_of_the_age_is_taken_with_a_warning(tmp_path, text, caplog):
    people(tmp_path, "participant_id\tage", f"sub-01\t{text}", "sub-02\t40")
    with caplog.at_level(logging.WARNING):
        scans, _ = find(entry("bids", tmp_path))
    assert scans["age"].tolist() == [89, 40]
    assert "1 ages are bounds such as 89+" in caplog.text


def test_later_sessions_take_their_age_from_sessions_tsv_alone(tmp_path, caplog):
    bids(tmp_path, "01/2", "01/10", "02/2", "02/10")
    table(tmp_path / "participants.tsv", "participant_id age sex diagnosis", "sub-01 60 F CN", "sub-02 70 M MCI")
    table(tmp_path / "sub-02/sub-02_sessions.tsv", "session_id age diagnosis", "ses-2 70.5 n/a", "ses-10 72 AD")
    scans, _ = find(entry("bids", tmp_path))
    rows = (
        scans.set_index("scan_id")[["age", "sex", "diagnosis"]].astype(object).where(lambda table: table.notna(), None)
    )
    assert rows.to_dict("index") == {
        "sub-01_2": {"age": 60, "sex": "F", "diagnosis": "CN"},
        "sub-01_10": {"age": None, "sex": "F", "diagnosis": None},
        "sub-02_2": {"age": 70.5, "sex": "M", "diagnosis": "MCI"},
        "sub-02_10": {"age": 72, "sex": "M", "diagnosis": "AD"},
    }
    assert "the age at 1 later sessions is not known" in caplog.text


def test_people_without_scans_are_listed(tmp_path):
    people(tmp_path, "participant_id age", "sub-01 60", "sub-09 50")
    ignored = find(entry("bids", tmp_path))[1]
    assert ignored["path"].tolist() == ["sub-09"] and "without a T1w volume" in ignored["reason"].iloc[0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["participant_id sex", "sub-01 F", "sub-02 2"],
            r"participants\.tsv, line 3, column 'sex': found '2', expected F",
        ),
        (["participant_id age", "sub-01 old"], "line 2, column 'age': found 'old', expected a number"),
        (["participant_id age", "sub-01 inf"], "found 'inf', expected a number"),
        (["participant_id age", "sub-01 430"], "found 430, expected 0 to 120"),
        (["participant_id diagnosis", "sub-01 control"], "'diagnosis': found 'control', expected one of CN, MCI, AD"),
        (["participant_id,age", "sub-01,4"], "column 'participant_id' is missing"),
        (["participant_id\tage", "sub-01\t4\t5"], "line 2: found 3 cells, expected 2"),
        (["participant_id age", "sub-01 4", "01 5"], "'sub-01' stands on lines 2 and 3"),
        (["participant_id amyloid", "sub-01 yes"], "'amyloid': found 'yes', expected a number"),
    ],
)
def test_malformed_tables_are_refused(tmp_path, lines, message):
    people(tmp_path, *lines)
    with pytest.raises(StudyError, match=message):
        find(entry("bids", tmp_path))


def test_another_encoding_is_refused_and_a_mark_in_front_is_not(tmp_path):
    path = people(tmp_path, "participant_id age", "sub-01 60")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert find(entry("bids", tmp_path))[0]["age"].iloc[0] == 60
    path.write_bytes("participant_id\tsite\nsub-01\tMálaga\n".encode("latin-1"))
    with pytest.raises(StudyError, match="not in UTF-8"):
        find(entry("bids", tmp_path))
