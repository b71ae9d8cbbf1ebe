"""Variance explained: closed forms of planted linear models, scikit-learn, and that nobody predicts themselves."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from workflow_scripts.lib.evaluate import explain
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.tables import check_table

OPTIONS = explain.ExplainOptions(alpha="auto", folds=5, n_bootstrap=200, level=0.95)
LEAST_SQUARES = explain.ExplainOptions(alpha=0.0, folds=5, n_bootstrap=50, level=0.95)


def people(n, scans=1):
    return np.repeat([f"p{i:04}" for i in range(n)], scans)


def plant(n, d, q, noise, rank=None, seed=0):
    """Draw x and y = x b + noise, every column of x b with variance 1, of so many directions."""
    rng = np.random.default_rng(seed)
    rank = rank or min(d, q)
    b = rng.normal(size=(d, rank)) @ rng.normal(size=(rank, q))
    x = rng.normal(size=(n, d))
    return x, x @ b / np.linalg.norm(b, axis=0) + noise * rng.normal(size=(n, q))


@given(st.integers(3, 40), st.integers(1, 3), st.integers(3, 10), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_nobody_is_in_two_folds_and_no_fold_is_empty(n, scans, folds, seed):
    if folds > n:
        return
    ids = np.random.default_rng(seed).permutation(people(n, scans))
    fold = explain.deal_folds(ids, folds, np.random.default_rng(seed))
    table = pd.DataFrame({"id": ids, "fold": fold}).drop_duplicates()
    assert len(table) == n
    sizes = table["fold"].value_counts()
    assert set(sizes.index) == set(range(folds))
    assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize(("n", "folds"), [(4, 5), (20, 2)])
def test_too_few_people_or_folds_are_refused(n, folds):
    with pytest.raises(StudyError, match=f"{n} participants cannot be dealt to {folds} folds"):
        explain.deal_folds(people(n), folds, np.random.default_rng(0))


@given(st.sampled_from(["auto", 0.0, 30.0]), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_what_is_predicted_for_somebody_knows_nothing_of_them(alpha, seed):
    """Neither the fit nor the choice of the penalty: other labels in a fold leave its predictions as they were."""
    ids = people(20, 2)
    x, y = plant(40, 6, 3, 0.5, seed=seed)
    fold = explain.deal_folds(ids, 4, np.random.default_rng(seed))
    changed = y.copy()
    changed[fold == 1] = 100 * np.random.default_rng(seed + 1).normal(size=(10, 3))
    before, after = (explain.out_of_fold(x, labels, fold, alpha) for labels in (y, changed))
    np.testing.assert_allclose(after.predicted[fold == 1], before.predicted[fold == 1], rtol=1e-9, atol=1e-9)
    assert not np.allclose(after.predicted[fold != 1], before.predicted[fold != 1], atol=0.1)


@pytest.mark.parametrize("alpha", [0.0, 5.0, 500.0])
@pytest.mark.parametrize("shape", [(60, 8, 4), (30, 50, 3)])
def test_predictions_equal_scikit_learn(alpha, shape):
    n, d, q = shape
    if alpha == 0 and d > n:
        return  # more columns than rows: not unique
    x, y = plant(n, d, q, 1.0)
    x = x * 10 ** np.linspace(-2, 3, d) + 7
    fold = explain.deal_folds(people(n), 5, np.random.default_rng(0))
    found = explain.out_of_fold(x, y, fold, alpha)
    model = make_pipeline(StandardScaler(), Ridge(alpha or 1e-12, solver="cholesky"))
    expected = cross_val_predict(model, x, y, cv=PredefinedSplit(fold))
    np.testing.assert_allclose(found.predicted, expected, rtol=1e-6, atol=1e-6)
    for number in range(5):
        np.testing.assert_allclose(found.rival[fold == number], np.broadcast_to(y[fold != number].mean(0), (n // 5, q)))


def test_least_squares_explains_what_theory_says():
    """Error of least squares on m Gaussian rows of d columns in new people: noise (1 + 1/m) (m - 2) / (m - d - 2)."""
    n, d, q, noise = 2000, 40, 30, 0.7
    x, y = plant(n, d, q, noise)
    table = explain.explain(x, y, people(n), [f"c{j}" for j in range(q)], LEAST_SQUARES, np.random.default_rng(0))
    m = n * 4 // 5
    expected = 1 - noise**2 * (1 + 1 / m) * (m - 2) / (m - d - 2) / ((1 + noise**2) * (1 + 1 / m))
    # over 30 columns the standard error is about 0.015 / sqrt(30)
    assert table["r2"].iloc[:-1].mean() == pytest.approx(expected, abs=0.01)
    assert table["r2"].iloc[-1] == pytest.approx(expected, abs=0.01)


def test_a_table_explains_itself():
    x, _ = plant(60, 8, 1, 0.0)
    table = explain.explain(x, 3 * x + 1, people(60), list("abcdefgh"), OPTIONS, np.random.default_rng(0))
    assert (table["r2"] > 0.999).all()
    assert table["rank"].iloc[-1] == 8


@pytest.mark.parametrize("d", [10, 60])
def test_noise_explains_nothing(d):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(200, d)), rng.normal(size=(200, 20))
    table = explain.explain(x, y, people(200), [f"c{j}" for j in range(20)], OPTIONS, rng)
    assert -0.1 < table["r2"].iloc[-1] < 0.02
    assert (table["low"] <= 0).mean() > 0.85
    assert table["rank"].iloc[-1] == 0
    free = explain.explain(x, y, people(200), [f"c{j}" for j in range(20)], LEAST_SQUARES, rng)
    # least squares pays d / (m - d - 1) for what it fits, m = 160
    assert free["r2"].iloc[-1] == pytest.approx(-d / (160 - d - 1), abs=0.12)


def test_visits_of_a_person_do_not_help():
    """Columns of noise that name a person: with visits apart the map would know them, dealt by person it cannot."""
    rng = np.random.default_rng(2)
    x = np.repeat(rng.normal(size=(60, 80)), 2, axis=0) + 0.01 * rng.normal(size=(120, 80))
    y = np.repeat(rng.normal(size=(60, 5)), 2, axis=0)
    r2 = explain.explain(x, y, people(60, 2), list("abcde"), OPTIONS, np.random.default_rng(0))["r2"]
    leaky = explain.explain(x, y, people(120), list("abcde"), OPTIONS, np.random.default_rng(0))["r2"]
    assert r2.iloc[-1] < 0.05
    assert leaky.iloc[-1] > 0.3


@pytest.mark.parametrize("rank", [1, 3, 5])
def test_the_shared_rank_is_that_of_the_map(rank):
    x, y = plant(400, 12, 15, 0.5, rank=rank)
    table = explain.explain(x, y, people(400), [f"c{j}" for j in range(15)], OPTIONS, np.random.default_rng(0))
    assert table["rank"].iloc[-1] == rank
    assert table["rank"].iloc[:-1].isna().all()


def test_error_by_rank_is_that_of_the_cut_map():
    """Against predictions cut by hand; at the full rank it is the error of the predictions themselves."""
    x, y = plant(50, 6, 4, 0.5)
    fold = explain.deal_folds(people(50), 5, np.random.default_rng(0))
    found = explain.out_of_fold(x, y, fold, 3.0)
    np.testing.assert_allclose(found.by_rank[:, -1], ((y - found.predicted) ** 2).sum(1))
    np.testing.assert_allclose(found.by_rank[:, 0], ((y - found.rival) ** 2).sum(1))
    train = fold != 2
    model = make_pipeline(StandardScaler(), Ridge(3.0)).fit(x[train], y[train])
    fitted = model.predict(x[train]) - y[train].mean(0)
    directions = np.linalg.svd(fitted, full_matrices=False)[2][:2]
    cut = y[train].mean(0) + (model.predict(x[~train]) - y[train].mean(0)) @ directions.T @ directions
    np.testing.assert_allclose(found.by_rank[~train, 2], ((y[~train] - cut) ** 2).sum(1))


def test_columns_count_alike_whatever_their_units():
    x, y = plant(100, 5, 4, 1.0)
    units = np.array([1e-6, 1.0, 1e3, 1e9])
    plain, scaled = (
        explain.explain(x, values, people(100), list("abcd"), OPTIONS, np.random.default_rng(0))
        for values in (y, y * units - 3)
    )
    pd.testing.assert_frame_equal(plain, scaled, rtol=1e-6)


def test_a_column_that_does_not_vary_is_missing_and_does_no_harm():
    x, y = plant(60, 5, 2, 0.5)
    more = np.column_stack([y, np.full(60, 4.2)])
    table = explain.explain(
        np.column_stack([x, np.ones(60)]), more, people(60), list("abc"), OPTIONS, np.random.default_rng(0)
    )
    plain = explain.explain(x, y, people(60), list("ab"), OPTIONS, np.random.default_rng(0))
    assert table.loc[2, ["r2", "low", "high"]].isna().all()
    np.testing.assert_allclose(table["r2"].iloc[[0, 1, 3]], plain["r2"])


def test_intervals_hold_the_estimate_and_narrow_with_people():
    widths = []
    for n in (50, 800):
        x, y = plant(n, 5, 6, 1.0)
        table = explain.explain(x, y, people(n), list("abcdef"), OPTIONS, np.random.default_rng(0))
        assert ((table["low"] < table["r2"]) & (table["r2"] < table["high"])).all()
        widths.append((table["high"] - table["low"]).iloc[-1])
    assert 2 < widths[0] / widths[1] < 8  # the root of 16, roughly


@pytest.fixture
def study():
    """60 people, every third scanned twice; a representation of half of the features, turned, and one of noise."""
    rng = np.random.default_rng(5)
    keys = pd.DataFrame([(f"p{i:02}_{s}", f"p{i:02}") for i in range(60) for s in range(1 + (i % 3 == 0))])
    keys.columns = ["scan_id", "participant_id"]
    a = rng.normal(size=(len(keys), 6))
    h = a[:, :3] @ np.linalg.qr(rng.normal(size=(3, 3)))[0]

    def table(values, letter):
        return keys.join(pd.DataFrame(values, columns=[f"{letter}{j}" for j in range(values.shape[1])]))

    return table(a, "a"), {"half": table(h, "h"), "noise": table(rng.normal(size=(len(keys), 4)), "n")}


def test_both_directions_of_every_representation(study):
    features, representations = study
    some = {f"p{i:02}" for i in range(50)}
    found = explain.explain_tables(representations, features, some, OPTIONS, 1)
    check_table(found, "explained", "explained")
    assert (found["n_people"] == 50).all()
    value = found.set_index(["representation", "direction", "feature"])["r2"]
    forth, back = explain.DIRECTIONS
    assert (value["half", forth][["a0", "a1", "a2"]] > 0.99).all()
    assert (value["half", forth][["a3", "a4", "a5"]] < 0.1).all()
    assert 0.4 < value["half", forth, "all"] < 0.6
    assert (value["half", back] > 0.99).all()
    assert value["noise", forth, "all"] < 0.1
    assert value["noise", back, "all"] < 0.1
    ranks = found[found["feature"] == "all"].set_index(["representation", "direction"])["rank"]
    assert ranks["half"].tolist() == [3, 3]
    assert ranks["noise"].tolist() == [0, 0]


def test_a_scan_that_one_table_lacks_counts_for_none_and_order_does_not_matter(study):
    features, representations = study
    everyone = set(features["participant_id"])
    fewer = {**representations, "noise": representations["noise"].iloc[1:]}
    found = explain.explain_tables(fewer, features, everyone, OPTIONS, 1)
    assert (found["n_scans"] == len(features) - 1).all()
    shuffled = {name: table.sample(frac=1, random_state=3) for name, table in fewer.items()}
    again = explain.explain_tables(shuffled, features.sample(frac=1, random_state=4), everyone, OPTIONS, 1)
    pd.testing.assert_frame_equal(found, again)
