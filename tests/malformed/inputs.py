"""Ways to show a malformed input to a study, and to hear what it says."""

from pathlib import Path

import pytest
import yaml

from tests.cohort.folders import bids, entry, find, subjects, table, touch
from workflow_scripts.lib.study.config import check_config
from workflow_scripts.lib.study.errors import StudyError

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = "participant_id session_id cohort site"


def refusal(*inputs, rows=()):
    """Give the message with which inputs are refused."""
    with pytest.raises(StudyError) as error:
        find(*inputs, rows=rows)
    return str(error.value)


def aside(one, rows=()):
    """Give the reason of the one scan that is set aside."""
    (reason,) = find(one, rows=rows)[0]["reason"].dropna()
    return reason


def ignored(one, rows=()):
    """Give path and reason of the one thing that is left out."""
    ((path, reason),) = find(one, rows=rows)[1][["path", "reason"]].values.tolist()
    return f"{path}: {reason}"


def participants(folder, *lines, files=("a.nii",)):
    """Make a participants table and volumes beside it."""
    return entry("participants", table(touch(folder, *files) / "participants.tsv", *lines))


def dataset(folder, *lines, sessions=("01", "02")):
    """Make a BIDS dataset with its participants.tsv."""
    table(bids(folder, *sessions) / "participants.tsv", *lines)
    return entry("bids", folder)


def with_people(kind, folder, *lines):
    """Make an input of two subjects or volumes with a table of people."""
    inside = folder / "data"
    subjects(inside, "sub-01", "sub-02") if kind != "brains" else touch(inside, "sub-01.nii", "sub-02.nii")
    return entry(kind, inside, participants=str(table(folder / "people.tsv", *lines)))


def config(*inputs, **cohort):
    """Give the message with which a config is refused."""
    settings = yaml.safe_load((ROOT / "config.yaml").read_text())
    settings["phantom"]["real_scans"], settings["stages"] = [], ["cohort"]
    settings["cohort"] |= {"inputs": list(inputs)} | cohort
    with pytest.raises(StudyError) as error:
        check_config(settings)
    return str(error.value)


def same_run_twice(folder):
    """Make a session whose volumes differ in their acquisition."""
    bids(bids(folder, "01", name="acq-mprage_T1w.nii.gz"), "01", name="acq-spgr_T1w.nii.gz")
    return entry("bids", bids(folder, "02"))


def annexed(folder):
    """Make a dataset with a link whose file was never fetched."""
    touch(bids(folder, "01"), "sub-02/anat/x").joinpath("sub-02/anat/sub-02_T1w.nii.gz").symlink_to(folder / "key")
    return entry("bids", folder)


def in_latin(folder):
    """Make a participants.tsv that is not in UTF-8."""
    (bids(folder, "01") / "participants.tsv").write_bytes(b"participant_id\tsite\nsub-01\tM\xe1laga\n")
    return entry("bids", folder)
