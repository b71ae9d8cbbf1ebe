"""Samples of a learning curve: what they hold, what they never hold, and what a pool is too small for."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.lib.evaluate import curve_samples
from workflow_scripts.lib.study.errors import LeakageError, StudyError


def make_pool(people=60, scans=150, positive=0.5, seed=0, converters=0):
    """People with one scan or more each; a converter has scans of both classes."""
    rng = np.random.default_rng(seed)
    person = np.r_[np.arange(people), rng.integers(0, people, scans - people)]
    y = (np.arange(people) < positive * people).astype(float)[person]
    y[person < converters] = rng.integers(0, 2, (person < converters).sum())
    ids = [f"p{one:04d}" for one in person]
    names = [f"{one}_{visit}" for one, visit in zip(ids, pd.Series(ids).groupby(ids).cumcount(), strict=True)]
    return pd.DataFrame({"scan_id": names, "participant_id": ids, "y": y})


@settings(max_examples=25, deadline=None)
@given(
    people=st.integers(40, 120),
    more=st.integers(0, 200),
    n=st.integers(4, 40),
    seed=st.integers(0, 10**6),
    repeat=st.integers(0, 99),
    stratify=st.booleans(),
)
def test_a_sample_holds_what_was_asked_and_nobody_twice(people, more, n, seed, repeat, stratify):
    pool = make_pool(people, people + more, 0.4, seed, converters=5)
    if curve_samples.why_not(curve_samples.Pool.of(pool, stratify), n, 0.2, seed, "t"):
        return
    sample = curve_samples.draw_sample(pool, n, 0.2, seed, "t", repeat, stratify)
    counts = sample["set"].value_counts()
    held_out = max(2, round(n / 5))
    assert (counts["train"], counts["validation"], counts["test"]) == (n, held_out, held_out)
    assert not sample["scan_id"].duplicated().any()
    assert (sample.groupby("participant_id")["set"].nunique() == 1).all()
    assert (sample.groupby("set")["y"].nunique() == 2).all()
    merged = sample.merge(pool, on=["scan_id", "participant_id", "y"])
    assert len(merged) == len(sample)


def test_images_are_counted_and_sessions_of_one_person_may_train_together():
    sample = curve_samples.draw_sample(make_pool(40, 400), 60, 0.2, 1, "t", 0)
    train = sample[sample["set"] == "train"]
    assert len(train) == 60
    assert train["participant_id"].nunique() < 60


def test_a_draw_depends_on_its_names_and_on_nothing_else():
    pool = make_pool()
    one = curve_samples.draw_sample(pool, 20, 0.2, 7, "t", 3)
    shuffled = curve_samples.draw_sample(pool.sample(frac=1, random_state=1), 20, 0.2, 7, "t", 3)
    pd.testing.assert_frame_equal(one, shuffled)
    many, _ = curve_samples.draw_samples({"other": pool, "t": pool}, [10, 20], 5, 0.2, 7)
    same = many[(many["task"] == "t") & (many["n"] == 20) & (many["repeat"] == 3)].reset_index(drop=True)
    pd.testing.assert_frame_equal(one, same)
    for change in ((20, 0.2, 8, "t", 3), (20, 0.2, 7, "u", 3), (20, 0.2, 7, "t", 4)):
        assert set(curve_samples.draw_sample(pool, *change)["scan_id"]) != set(one["scan_id"])


def test_every_scan_is_as_likely_to_train():
    # classes are equally common and sets never lack one, so that no draw is thrown away for it
    pool = curve_samples.Pool.of(make_pool(100, 100))
    draws = [curve_samples.draw_sample(pool, 50, 0.2, 3, "t", repeat) for repeat in range(200)]
    sets = pd.concat(draws).groupby(["set", "scan_id"]).size().unstack("set", fill_value=0)
    for name, share in (("train", 0.5), ("validation", 0.1), ("test", 0.1)):
        spread = np.sqrt(200 * share * (1 - share))
        assert np.abs(sets[name] - 200 * share).max() < 4.5 * spread
        assert sets[name].std() == pytest.approx(spread, rel=0.3)


def test_stratified_sets_have_the_proportion_of_the_pool():
    pool = make_pool(200, 200, positive=0.25)
    sample = curve_samples.draw_sample(pool, 40, 0.2, 1, "t", 0, stratify=True)
    assert sample.groupby("set")["y"].sum().to_dict() == {"train": 10, "validation": 2, "test": 2}


def test_both_classes_are_in_every_set_of_an_unbalanced_pool():
    pool = curve_samples.Pool.of(make_pool(200, 200, positive=0.1))
    for repeat in range(20):
        sample = curve_samples.draw_sample(pool, 40, 0.2, 1, "t", repeat)
        assert (sample.groupby("set")["y"].nunique() == 2).all()


def test_a_size_that_does_not_fit_is_passed_over_by_name_and_the_largest_is_told(caplog):
    pool = make_pool(30, 40)
    samples, sizes = curve_samples.draw_samples({"t": pool}, [10, 500], 3, 0.2, 1)
    assert sizes["fits"].tolist() == ["true", "false"]
    assert sizes["repeats"].tolist() == [3, 0]
    assert set(samples["n"]) == {10}
    reason = sizes["reason"].iloc[1]
    assert "t: n = 500 needs 700 images" in reason
    assert "40 images of 30 people" in reason
    assert reason in caplog.text
    largest = int(reason.rsplit(" ", 1)[1])
    ready = curve_samples.Pool.of(pool)
    assert curve_samples.fits(ready, largest, 0.2, 1, "t")
    assert not curve_samples.fits(ready, largest + 1, 0.2, 1, "t")
    curve_samples.draw_sample(pool, largest, 0.2, 1, "t", 0)


def test_people_and_not_images_may_run_out():
    # a hundred images of six people: training images of five of them leave nobody for two more sets
    pool = make_pool(6, 100)
    reason = curve_samples.why_not(curve_samples.Pool.of(pool), 40, 0.2, 1, "t")
    assert "100 images of 6 people" in reason
    with pytest.raises(StudyError, match="Lower finetune: sizes"):
        curve_samples.draw_sample(pool, 40, 0.2, 1, "t", 0)


def test_no_size_at_all_is_an_error_with_the_reasons():
    with pytest.raises(StudyError, match=r"t: n = 300 needs 420 images.*\n.*Lower finetune: sizes"):
        curve_samples.draw_samples({"t": make_pool(30, 40)}, [300], 3, 0.2, 1)
    one_class = make_pool(30, 40).assign(y=1.0)
    with pytest.raises(StudyError, match="no n fits"):
        curve_samples.draw_samples({"t": one_class}, [10], 3, 0.2, 1)


def test_a_participant_in_two_sets_is_refused_by_name():
    sample = curve_samples.draw_sample(make_pool(), 20, 0.2, 7, "t", 3)
    test = sample.index[sample["set"] == "test"][0]
    sample.loc[test, "participant_id"] = who = sample["participant_id"].iloc[0]
    with pytest.raises(LeakageError, match=rf"train \(sample t 20 3\) and test \(sample t 20 3\): {who}"):
        curve_samples.check_sample(sample)


def test_what_is_no_binary_task_is_refused():
    with pytest.raises(StudyError, match=r"two classes, 0 and 1; found 71\.5"):
        curve_samples.Pool.of(make_pool().assign(y=71.5))
    twice = make_pool()
    twice.loc[1, "scan_id"] = twice["scan_id"].iloc[0]
    with pytest.raises(StudyError, match="has scan p0000_0 twice"):
        curve_samples.Pool.of(twice)


def test_models_share_the_scans_that_all_of_them_have(caplog):
    task = make_pool(10, 12).assign(task="t")
    scans = task["scan_id"]
    pool, counts = curve_samples.shared_pool(task, {"included": scans, "a": scans[1:], "b": scans[:-2]})
    assert pool["scan_id"].tolist() == scans.tolist()[1:-2]
    found = counts.set_index("source")
    assert found["scans"].to_dict() == {"labelled": 12, "included": 12, "a": 11, "b": 10, "pool": 9}
    assert found["lacking"].to_dict() == {"labelled": 0, "included": 0, "a": 1, "b": 2, "pool": 3}
    assert found.loc["pool", "participants"] == pool["participant_id"].nunique()
    assert "t: samples are drawn from the 9 of 12 scans that all models have (a lacks 1, b lacks 2)" in caplog.text


@pytest.mark.parametrize(("people", "scans"), [(1678, 10660), (861, 1037)])
def test_the_published_pools_are_large_enough(people, scans):
    samples, sizes = curve_samples.draw_samples({"t": make_pool(people, scans)}, [100, 300, 500], 2, 0.2, 1)
    assert (sizes["fits"] == "true").all()
    assert len(samples) == 2 * 900 * 1.4
