"""Participants and images on two sides of a split, and tasks whose words the table does not know."""

from pathlib import Path

import numpy as np
import pandas as pd

from tests.cohort.test_leakage import FINE, run, varied, write
from tests.imaging.qc.test_collect import collect
from tests.imaging.qc.test_duplicates import save
from tests.malformed.case import Case
from workflow_scripts.lib.cohort.tasks import build_tasks, name_absent
from workflow_scripts.lib.models.weights import refuse_seen
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.ids import participant_hashes


def said(act) -> str:
    try:
        act()
    except StudyError as error:
        return str(error)
    return "goes on"


def cohort(*rows):
    """Return what makes the cohort of a table with these rows too, and gives its message."""
    return lambda folder: said(lambda: run(folder, write(folder, *FINE, *rows)))


def copied_features(folder: Path) -> str:
    parts = varied()
    features = parts[3]
    names = features.columns.drop(["scan_id", "participant_id"])
    features.loc[5, names] = features.loc[0, names]
    return said(lambda: collect(folder, parts))


def copied_image(same_person: bool = False):
    def provoke(folder: Path) -> str:
        scans, made, placed, features = varied()
        made.loc[4, made.columns.drop("scan_id")] = made.loc[1, made.columns.drop("scan_id")]
        if same_person:
            for table in (scans, features):
                table.loc[table["scan_id"] == "sub-5_1", "participant_id"] = "sub-2"
        values = np.random.default_rng(1).gamma(8, 12, (9, 8, 7))
        for batch, scan in (("000", "sub-2_1"), ("001", "sub-5_1")):
            (folder / batch).mkdir()
            save(folder / batch / f"{scan}.nii.gz", values)
        if not same_person:
            return said(lambda: collect(folder, (scans, made, placed, features)))
        return collect(folder, (scans, made, placed, features))["excluded"]["reason"].iloc[0]

    return provoke


def seen_in_training(folder: Path) -> str:
    card = {"participants": participant_hashes(["sub-1", "sub-2"])}
    return said(lambda: refuse_seen(card, ["sub-7", "sub-2"], "representations.mine"))


def task(**changes):
    """Return what builds a task on two scans and gives its message."""
    scans = pd.DataFrame({"participant_id": ["a", "b"], "session_id": "1", "diagnosis": ["AD", "CN"], "age": [70, 71]})
    scans = scans.assign(scan_id=scans["participant_id"] + "_1", arm=["drug", "placebo"], score=["12", "high"])
    definition = {"kind": "binary", "column": "diagnosis", "positive": ["AD"], "negative": ["CN"]} | changes
    definition = {key: value for key, value in definition.items() if value is not None}

    def provoke(_: Path) -> str:
        def act():
            build_tasks(scans, {"mine": definition}, {"a", "b"})
            return name_absent(scans, {"mine": definition}, {"a", "b"})

        return said(act)

    return provoke


NUMBER = {"kind": "continuous", "positive": None, "negative": None}
PAIR = "scans stand under two ids, so that one of them could train and the other test:\n  "
MEND = "\nDrop one row of each pair, correct its path, or exclude it by hand (qc: overrides)."
TOO_GOOD = "Scores on people seen in training are too good; give each participant to one of the two."
CASES = [
    Case(
        "leakage",
        "a participant in two splits",
        "refused",
        f"participants in both split train and split test: u9. {TOO_GOOD}",
        cohort("u9 1 ukb s 60 CN train d.nii.gz", "u9 2 ukb s 61 CN test e.nii.gz"),
    ),
    Case(
        "leakage",
        "a second session in a cohort to evaluate",
        "refused",
        f"participants in both pretraining and evaluation: u1. {TOO_GOOD}",
        cohort("u1 2 adni s 61 AD n/a d.nii.gz"),
    ),
    Case(
        "leakage",
        "a participant to evaluate trained the weights",
        "refused",
        "1 participants to evaluate were used to train representations.mine, the first is 'sub-2'. "
        "Take them out of the evaluation or use weights that never saw them.",
        seen_in_training,
    ),
    Case(
        "leakage",
        "one file under two participants",
        "refused",
        f"{PAIR}u1_1 and e9_1: the same file, under the participants u1 and e9{MEND}",
        cohort("e9 1 adni s 61 AD n/a a.nii.gz"),
    ),
    Case(
        "leakage",
        "one image under two participants, saved again",
        "refused",
        f"{PAIR}sub-2_1 and sub-5_1: the same image, under the participants sub-2 and sub-5{MEND}",
        copied_image(),
    ),
    Case(
        "leakage",
        "one row of regional features under two participants",
        "refused",
        f"{PAIR}sub-1_1 and sub-6_1: the same regional features, under the participants sub-1 and sub-6{MEND}",
        copied_features,
    ),
    Case(
        "leakage",
        "one image under two sessions of a participant",
        "set aside",
        "the same image as sub-2_1, another visit of this participant; correct its path or drop its row",
        copied_image(same_person=True),
    ),
    Case(
        "tasks",
        "healthy controls called HC",
        "refused",
        "tasks: mine: negative: found 'HC', expected one of CN, MCI, AD, SCZ, BD for column 'diagnosis'. "
        "Did you mean 'CN'?",
        task(negative=["HC"]),
    ),
    Case(
        "tasks",
        "a value in other letters than the table's",
        "refused",
        "tasks: mine: filters: arm: found 'Drug', expected the words of the table for column 'arm'. "
        "Did you mean 'drug'?",
        task(filters={"arm": ["Drug"]}),
    ),
    Case(
        "tasks",
        "a column that the table does not have",
        "refused",
        "tasks: mine: the scans table has no column 'tau'. Found: participant_id, session_id, diagnosis, age, scan_id, "
        "arm, score. Correct the name, or declare the column in config under cohort: label_columns.",
        task(column="tau"),
    ),
    Case(
        "tasks",
        "a word among the numbers to predict",
        "refused",
        "scan b_1, column 'score': found 'high', expected a number or an empty cell. "
        "Correct the value, or use a task of kind binary and lists of values in filters.",
        task(column="score", **NUMBER),
    ),
    Case(
        "tasks",
        "a range whose ends are swapped",
        "refused",
        "tasks: mine: filters: age: found min 90 and max 50, expected the smaller number for min.",
        task(filters={"age": {"min": 90, "max": 50}}),
    ),
    Case(
        "tasks",
        "a key of another kind of task",
        "refused",
        "tasks: mine: a task of kind 'binary' has no key 'window_years'. Known keys: column, positive, negative, kind, "
        "title, filters, visits. Remove it, or correct the kind.",
        task(window_years=2),
    ),
]
