"""Linear models of a learning curve against scikit-learn, one fit at a time."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from workflow_scripts.lib.evaluate import curve_linear, curve_samples
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import LeakageError, StudyError

PENALTIES = [10.0**k for k in range(-4, 5)]


def make_study(columns=30, people=200, seed=0):
    """A pool whose first columns tell the class, in wild units, one column constant, and samples of it."""
    rng = np.random.default_rng(seed)
    ids = [f"p{number:03d}" for number in range(people)]
    y = rng.permutation(np.arange(people) % 2).astype(float)
    pool = pd.DataFrame({"scan_id": [f"{one}_1" for one in ids], "participant_id": ids, "y": y})
    x = rng.normal(size=(people, columns)) @ rng.normal(size=(columns, columns))
    x[:, :3] += 4 * y[:, None]
    x = x * 10.0 ** rng.integers(-3, 4, columns) + 100 * rng.normal(size=columns)
    x[:, -1] = 7.0
    values = pd.DataFrame(x, columns=[f"c{number}" for number in range(columns)])
    samples, _ = curve_samples.draw_samples({"t": pool}, [20, 60], 4, 0.2, seed)
    return pd.concat([pool[["scan_id", "participant_id"]], values], axis=1), samples


@pytest.fixture(scope="module")
def study():
    return make_study()


@pytest.fixture(scope="module")
def fitted(study):
    return curve_linear.fit_linear(*study, PENALTIES, "linear")


def reference(representation, sample, c):
    """Fit with scikit-learn; return validation AUC, test AUC and the test scores by scan."""
    x = representation.set_index("scan_id").drop(columns="participant_id")
    sides = {name: rows.set_index("scan_id")["y"] for name, rows in sample.groupby("set")}
    scaler = StandardScaler().fit(x.loc[sides["train"].index])
    model = LogisticRegression(C=c, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    model.fit(scaler.transform(x.loc[sides["train"].index]), sides["train"])
    scores = {name: model.decision_function(scaler.transform(x.loc[side.index])) for name, side in sides.items()}
    aucs = [roc_auc_score(sides[name], scores[name]) for name in ("validation", "test")]
    return *aucs, pd.Series(scores["test"], index=sides["test"].index)


# scikit-learn's line search gives up on a separable sample with hardly any penalty, at a solution good enough
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::scipy.linalg.LinAlgWarning")
def test_aucs_and_scores_are_those_of_scikit_learn(study, fitted):
    representation, samples = study
    fits, scores = fitted
    for (n, repeat), sample in samples.groupby(["n", "repeat"]):
        rows = fits[(fits["n"] == n) & (fits["repeat"] == repeat)].set_index("setting")
        for setting, c in enumerate(PENALTIES):
            validation, test, score = reference(representation, sample, c)
            assert rows.loc[setting, "parameters"] == f"c={c:g}"
            assert rows.loc[setting, "validation_auc"] == pytest.approx(validation, abs=1e-12)
            assert rows.loc[setting, "test_auc"] == pytest.approx(test, abs=1e-12)
            if rows.loc[setting, "chosen"]:
                kept = scores[(scores["n"] == n) & (scores["repeat"] == repeat)].set_index("scan_id")["score"]
                assert kept.to_numpy() == pytest.approx(score[kept.index].to_numpy(), rel=1e-4, abs=1e-5)


def test_tables_fit_their_schemas_and_each_sample_has_one_choice(fitted):
    fits, scores = fitted
    tables.check_table(fits, "curve_fits", "fits")
    tables.check_table(scores, "curve_scores", "scores")
    assert len(fits) == 2 * 4 * 9
    chosen = fits[fits["chosen"]]
    assert len(chosen) == 8
    for _, row in chosen.iterrows():
        same = fits[(fits["n"] == row["n"]) & (fits["repeat"] == row["repeat"])]
        best = same["validation_auc"].max()
        assert row["setting"] == same.loc[same["validation_auc"] == best, "setting"].min()
        kept = scores[(scores["n"] == row["n"]) & (scores["repeat"] == row["repeat"])]
        assert roc_auc_score(kept["y"], kept["score"]) == pytest.approx(row["test_auc"], abs=1e-12)


def test_a_fit_depends_neither_on_its_neighbours_nor_on_the_order_of_penalties(study, fitted):
    representation, samples = study
    alone = samples[(samples["n"] == 60) & (samples["repeat"] == 2)]
    fits, scores = curve_linear.fit_linear(representation, alone, PENALTIES[::-1], "linear")
    whole, whole_scores = (table[(table["n"] == 60) & (table["repeat"] == 2)] for table in fitted)
    pd.testing.assert_frame_equal(fits, whole.reset_index(drop=True))
    pd.testing.assert_frame_equal(scores, whole_scores.reset_index(drop=True))


def test_nothing_of_the_held_out_images_reaches_the_fit(study):
    representation, samples = study
    sample = samples[(samples["n"] == 20) & (samples["repeat"] == 0)]
    fits, _ = curve_linear.fit_linear(representation, sample, PENALTIES, "linear")
    changed = representation.copy()
    test = changed["scan_id"].isin(sample.loc[sample["set"] == "test", "scan_id"])
    changed.loc[test, changed.columns[2:]] = 1e9 * np.random.default_rng(0).normal(size=(test.sum(), 30))
    again, _ = curve_linear.fit_linear(changed, sample, PENALTIES, "linear")
    pd.testing.assert_series_equal(fits["validation_auc"], again["validation_auc"])
    assert (fits["test_auc"] != again["test_auc"]).any()


@pytest.mark.parametrize(
    ("aucs", "place"), [([0.5, 0.7, 0.7], 1), ([np.nan, 0.4], 1), ([np.nan, np.nan], -1), ([0.0, np.nan], 0), ([], -1)]
)
def test_the_first_of_the_best_settings_is_chosen(aucs, place):
    assert curve_linear.choose(np.array(aucs)) == place


def test_fits_that_do_not_converge_are_kept_with_their_reason(study, monkeypatch, caplog):
    representation, samples = study
    sample = samples[(samples["n"] == 20) & (samples["repeat"] == 0)]
    solve = curve_linear.newton

    def fail(problem, beta):
        found, error = solve(problem, beta)
        return found, error + (problem.penalty.max() < 1)

    monkeypatch.setattr(curve_linear, "newton", fail)
    fits, scores = curve_linear.fit_linear(representation, sample, [0.1, 10.0], "linear")
    assert fits["reason"].isna().tolist() == [True, False]
    assert "did not converge (gradient 1.0e+00)" in fits["reason"].iloc[1]
    assert fits["chosen"].tolist() == [True, False]
    assert len(scores) == 4
    assert "1 of 2 fits failed" in caplog.text
    none, empty = curve_linear.fit_linear(representation, sample, [10.0], "linear")
    assert not none["chosen"].any()
    assert empty.empty
    tables.check_table(none, "curve_fits", "fits")


def test_a_scan_that_the_representation_lacks_is_named(study):
    representation, samples = study
    scan = samples["scan_id"].iloc[0]
    with pytest.raises(StudyError, match=f"model linear lacks scan {scan}"):
        curve_linear.fit_linear(representation[representation["scan_id"] != scan], samples, [1.0], "linear")


def test_a_leaking_sample_is_refused(study):
    representation, samples = study
    sample = samples[(samples["n"] == 20) & (samples["repeat"] == 0)].copy()
    moved = sample.index[sample["set"] == "train"][0]
    twin = sample.loc[[moved]].assign(set="test", scan_id="twin")
    row = representation[representation["scan_id"] == sample.loc[moved, "scan_id"]].assign(scan_id="twin")
    with pytest.raises(LeakageError, match=twin["participant_id"].iloc[0]):
        curve_linear.fit_linear(pd.concat([representation, row]), pd.concat([sample, twin]), [1.0], "linear")
