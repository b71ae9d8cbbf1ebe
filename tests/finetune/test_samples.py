import numpy as np
import pytest

from tests.finetune import small_fits
from workflow_scripts.lib.finetune.samples import participants, scan_ids, take_samples
from workflow_scripts.lib.study.errors import LeakageError, StudyError


def test_samples_are_taken_apart_whatever_the_order_of_rows():
    table = small_fits.samples()
    first, second = take_samples(table)
    assert [(one.task, one.n, one.repeat) for one in (first, second)] == [("ad_cn", 8, 0), ("ad_cn", 8, 1)]
    for name, members in table[table["repeat"] == 0].groupby("set"):
        expected = members.sort_values("scan_id")
        assert list(first.scans[name]) == expected["scan_id"].tolist()
        assert list(first.people[name]) == expected["participant_id"].tolist()
        np.testing.assert_array_equal(first.labels[name], expected["y"])
    for one, other in zip(take_samples(table.sample(frac=1, random_state=1)), (first, second), strict=True):
        assert one.scans == other.scans
        assert all((one.labels[name] == other.labels[name]).all() for name in one.labels)
    assert participants([first, second]) == sorted(set(table["participant_id"]))
    assert scan_ids([first, second]) == sorted(set(table["scan_id"]))


@pytest.mark.parametrize(("left", "right"), [("train", "test"), ("train", "validation"), ("validation", "test")])
def test_a_participant_in_two_sets_is_refused_by_name(left, right):
    table = small_fits.samples()
    row = table[(table["set"] == left) & (table["repeat"] == 1)].index[0]
    other = table[(table["set"] == right) & (table["repeat"] == 1)].index[0]
    person = table.loc[row, "participant_id"]
    table.loc[other, "participant_id"] = person  # a second session, under its own scan id
    with pytest.raises(LeakageError, match=rf"{left} \(ad_cn, n 8, repeat 1\) and {right}: {person}\."):
        take_samples(table)


def test_a_participant_may_change_sides_between_repeats():
    table = small_fits.samples()
    sides = table.groupby("participant_id")["set"].nunique()
    assert sides.max() > 1
    assert len(take_samples(table)) == 2


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda table: table.iloc[:0], "empty"),
        (lambda table: table[table["set"] != "validation"], "no scan in set 'validation'"),
        (lambda table: table.assign(y=table["y"] * 2), "label 2, expected 0 or 1"),
        (lambda table: table.iloc[[0, *range(len(table))]], "twice"),
    ],
)
def test_samples_that_cannot_be_fitted_are_refused(spoil, said):
    with pytest.raises(StudyError, match=said):
        take_samples(spoil(small_fits.samples()))


def test_a_set_of_one_class_is_named():
    table = small_fits.samples([0])
    assert take_samples(table)[0].lacks == ""
    table.loc[table["set"] == "validation", "y"] = 1
    assert take_samples(table)[0].lacks == "all 6 validation scans have the same label"
