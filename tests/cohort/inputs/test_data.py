"""Ids from names, and why a file cannot be read."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_scripts.lib.cohort.inputs.data import missing_file, read_ids, strip_ending


@pytest.mark.parametrize(
    ("name", "ids", "expected"),
    [
        ("sub-01", None, ("sub-01", "1")),
        ("sub-01_ses-M06", None, ("sub-01", "M06")),
        ("sub-01_ses-2_acq-x_T1w", None, ("sub-01", "2")),
        ("sub-01_T1w", None, ("sub-01", "1")),
        ("OAS1_0001_MR1", None, ("OAS1-0001-MR1", "1")),
        ("sub-", None, ("sub", "1")),
        ("__", None, None),
        ("0004_S_12_m06", r"(?P<participant>\d+_S_\d+)_(?P<session>\w+)", ("0004-S-12", "m06")),
        ("0004_S_12", r"(?P<participant>\d+_S_\d+)(_(?P<session>\w+))?", ("0004-S-12", "1")),
        ("x0004", r"(?P<participant>\d+)", None),
    ],
)
def test_ids_are_read_from_names(name, ids, expected):
    assert read_ids(name, ids) == expected


@given(st.text(max_size=30))
def test_ids_fit_the_schema_whatever_the_name(name):
    found = read_ids(name)
    assert found is None or all(re.fullmatch("[A-Za-z0-9-]+", part) for part in found)
    assert (found is None) == (not re.search("[A-Za-z0-9]", name))


def test_only_endings_of_volumes_are_taken_off():
    assert [strip_ending(name) for name in ("a.b.nii.gz", "a.nii", "a.mgz", "a.txt")] == ["a.b", "a", "a", "a.txt"]


def test_a_link_without_its_file_says_how_to_get_it(tmp_path):
    (tmp_path / "link.nii").symlink_to(tmp_path / "annex")
    assert "is a link to nothing; with git-annex or DataLad, get" in missing_file(str(tmp_path / "link.nii"))
    assert missing_file(str(tmp_path / "no.nii")) == f"{tmp_path}/no.nii does not exist"
    assert missing_file(str(tmp_path)) == f"{tmp_path} is a folder, not a volume"
    (tmp_path / "annex").touch()
    assert missing_file(str(tmp_path / "link.nii")) is None
