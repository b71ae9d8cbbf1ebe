"""Splits of groups: properties for any groups, and refusals by name."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.lib.radiology import splits
from workflow_scripts.lib.study.errors import LeakageError, StudyError
from workflow_scripts.lib.study.tables import check_table

SHARES = {"validation": 0.15, "test": 0.10}


def tables(groups, y, split_given=None, kept=None):
    ids = [f"i{place:04}" for place in range(len(y))]
    images = pd.DataFrame({"image_id": ids, "row": range(len(y)), "y": y, "split_given": split_given})
    kept = [True] * len(y) if kept is None else kept
    return images, pd.DataFrame({"image_id": ids, "group": groups, "kept": kept})


def planted(n=120, seed=0):
    random = np.random.default_rng(seed)
    group = np.sort(random.integers(0, n // 2, n))
    return [f"g{one}" for one in group], (random.random(n // 2) < 0.4).astype(int)[group]


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=8, max_size=40),
    seed=st.integers(0, 10**6),
    shares=st.sampled_from([(0.15, 0.10), (0.2, 0.2), (0.1, 0.3)]),
    classes=st.integers(2, 3),
)
def test_groups_stay_whole_and_shares_are_met(sizes, seed, shares, classes):
    random = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(sizes)), sizes)
    own = random.permutation(np.resize(np.arange(classes), len(sizes)))
    # most groups have one class; some images of some groups have another
    y = np.where(random.random(len(group)) < 0.1, random.integers(0, classes, len(group)), own[group])
    options = dict(zip(("validation", "test"), shares, strict=True))
    holders = [len(np.unique(group[y == one])) for one in range(classes)]
    try:
        sets = splits.place_groups(group, y, options, random, "x")
    except StudyError as error:
        assert "class 0" in str(error) and min(holders) < 6  # two groups a set and class are always enough here
        return
    found = pd.DataFrame({"group": group, "set": sets, "y": y})
    assert found.drop_duplicates(["group", "set"])["group"].is_unique
    wanted = {"train": 1 - sum(shares), **options}
    for name, share in wanted.items():
        assert abs((sets == name).sum() - share * len(y)) <= max(sizes) + classes
        assert found.loc[found["set"] == name, "y"].nunique() == classes


def test_single_images_are_stratified_to_within_an_image():
    y = np.array([0] * 137 + [1] * 63)
    sets = splits.place_groups(np.arange(200), y, SHARES, np.random.default_rng(1), "x")
    for name, share in {"train": 0.75, **SHARES}.items():
        for one, count in ((0, 137), (1, 63)):
            assert abs(((sets == name) & (y == one)).sum() - share * count) <= 1


def test_every_group_may_test_and_none_is_favoured():
    group, y = np.repeat(np.arange(30), [4, 1, 2] * 10), np.repeat([0, 1] * 15, [4, 1, 2] * 10)
    tested = np.zeros(30)
    for seed in range(300):
        sets = splits.place_groups(group, y, {"validation": 0.2, "test": 0.2}, np.random.default_rng(seed), "x")
        tested[np.unique(group[sets == "test"])] += 1
    large, small = tested.reshape(10, 3)[:, 0] / 300, tested.reshape(10, 3)[:, 1] / 300
    assert 0.1 < large.mean() < 0.35 and 0.1 < small.mean() < 0.35 and tested.min() > 10


def test_all_kept_images_are_placed_once_in_every_split():
    group, y = planted()
    kept = np.arange(120) % 7 != 0
    table = splits.draw_splits(*tables(group, y, kept=kept), {"count": 3, **SHARES}, 1, "d")
    check_table(table, "image_splits", "x")
    assert table.groupby(["grouping", "split"])["image_id"].nunique().eq(kept.sum()).all()
    assert len(table) == 2 * 3 * kept.sum()


def test_splits_are_seeded_by_names_and_differ():
    group, y = planted()
    first = splits.draw_splits(*tables(group, y), {"count": 3, **SHARES}, 1, "d")
    fewer = splits.draw_splits(*tables(group, y), {"count": 1, **SHARES}, 1, "d")
    assert first[first["split"] == 0].reset_index(drop=True).equals(fewer)
    wide = first[first["grouping"] == "groups"].pivot(index="image_id", columns="split", values="set")
    assert (wide[0] != wide[1]).any() and (wide[1] != wide[2]).any()
    other = splits.draw_splits(*tables(group, y), {"count": 3, **SHARES}, 2, "d")
    assert not first.equals(other)


def test_the_share_that_leaks_is_counted():
    groups = np.array(["a", "a", "b", "c", "c", "d"])
    split = {"train": np.array([0, 3]), "validation": np.array([2]), "test": np.array([1, 4, 5])}
    assert splits.leaked_share(split, groups) == pytest.approx(2 / 3)
    assert np.isnan(splits.leaked_share({**split, "test": np.array([], int)}, groups))


def test_splits_by_image_leak_as_siblings_do_and_splits_by_group_never():
    # exams of exactly two slices: a test slice's sibling trains with the training share of the other images
    group, y = np.repeat([f"e{one}" for one in range(250)], 2), np.repeat(np.arange(250) % 2, 2)
    images, groups = tables(group, y)
    table = splits.draw_splits(images, groups, {"count": 6, **SHARES}, 5, "d")
    dataset = SimpleNamespace(name="d", images=images)
    rows = splits.row_groups(table, dataset)
    assert rows.tolist() == list(group)
    by_image = [splits.leaked_share(splits.read_split(table, dataset, "images", k), rows) for k in range(6)]
    assert np.mean(by_image) == pytest.approx(375 / 499, abs=0.06)
    assert all(splits.leaked_share(splits.read_split(table, dataset, "groups", k), rows) == 0 for k in range(6))


def test_a_split_is_read_as_rows_of_the_arrays():
    group, y = planted()
    images, groups = tables(group, y)
    table = splits.draw_splits(images, groups, {"count": 2, **SHARES}, 1, "d")
    dataset = SimpleNamespace(name="d", images=images.sample(frac=1, random_state=0))
    split = splits.read_split(table, dataset, "groups", 1)
    assert sorted(np.concatenate(list(split.values()))) == list(range(120))
    part = table[(table["grouping"] == "groups") & (table["split"] == 1) & (table["set"] == "test")]
    assert [f"i{row:04}" for row in split["test"]] == part["image_id"].tolist()
    with pytest.raises(StudyError, match="split 2: not drawn; there are 2"):
        splits.read_split(table, dataset, "groups", 2)
    with pytest.raises(StudyError, match="image 'i0119' is not in the dataset"):
        splits.read_split(table, SimpleNamespace(name="d", images=images[:119]), "groups", 0)
    table.loc[(table["grouping"] == "groups") & (table["image_id"] == part["image_id"].iloc[0]), "group"] = table.loc[
        (table["grouping"] == "groups") & (table["split"] == 1) & (table["set"] == "train"), "group"
    ].iloc[0]
    with pytest.raises(LeakageError, match="groups stand in two sets"):
        splits.read_split(table, dataset, "groups", 1)


def test_given_sets_fix_the_first_split_of_both_kinds():
    group, y = planted()
    drawn = splits.place_groups(np.array(group), y, SHARES, np.random.default_rng(0), "x").astype(object)
    drawn[:10] = None
    table = splits.draw_splits(*tables(group, y, drawn), {"count": 2, **SHARES}, 1, "d")
    for kind in splits.GROUPINGS:
        first = table[(table["grouping"] == kind) & (table["split"] == 0)].sort_values("image_id")["set"].to_numpy()
        assert (first[10:] == drawn[10:]).all()
    second = table[(table["grouping"] == "groups") & (table["split"] == 1)].sort_values("image_id")["set"].to_numpy()
    assert (second[10:] != drawn[10:]).any()


def test_given_sets_that_part_a_group_are_refused_by_name():
    group, y = planted()
    sets = np.array(["train", "validation", "test"], object)[np.arange(120) % 3]
    with pytest.raises(LeakageError, match=r"dataset 'd'.*'g0' in .*more"):
        splits.draw_splits(*tables(group, y, sets), {"count": 1, **SHARES}, 1, "d")


@pytest.mark.parametrize("y", [[0] * 29 + [1], [0] * 28 + [1] * 2])
def test_a_class_without_a_group_for_each_set_is_refused_with_counts(y):
    with pytest.raises(StudyError, match=rf"class 1: {sum(y)} images in {sum(y)} groups"):
        splits.place_groups(np.arange(30), np.array(y), SHARES, np.random.default_rng(0), "x")


def test_given_sets_that_lack_one_are_refused_by_its_name():
    group, y = planted()
    sets = np.where(pd.Series(group) < "g4", "test", "train").astype(object)
    with pytest.raises(StudyError, match=r"column set gives no validation\. Leave some train rows n/a"):
        splits.draw_splits(*tables(group, y, sets), {"count": 1, **SHARES}, 1, "d")
    sets[np.isin(group, [group[-1]])] = "validation"
    with pytest.raises(StudyError, match=rf"column set gives no image of class {1 - y[-1]} for validation"):
        splits.draw_splits(*tables(group, y, sets), {"count": 1, **SHARES}, 1, "d")
    sets[sets != "test"] = None
    drawn = splits.draw_splits(*tables(group, y, sets), {"count": 1, **SHARES}, 1, "d")
    assert set(drawn["set"]) == set(splits.SETS)


def test_a_class_that_conflicts_have_taken_is_refused():
    group, y = planted()
    images, kept = tables(group, y, kept=y == 0)
    with pytest.raises(StudyError, match=rf"no image of class 1 \({y.sum()} images\) is kept.*conflicts\.tsv"):
        splits.draw_splits(images, kept, {"count": 1, **SHARES}, 1, "d")
    with pytest.raises(StudyError, match=r"class 0 .*, class 1 "):
        splits.draw_splits(images, kept.assign(kept=False), {"count": 1, **SHARES}, 1, "d")
