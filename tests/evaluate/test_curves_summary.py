"""Summaries of learning curves and tests between models: closed forms, references, planted truth."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workflow_scripts.lib.evaluate import curve_summary, curve_text
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError

OPTIONS = {"n_permutations": 2000, "level": 0.95}
MODELS = {"good": 1.5, "twin": 1.5, "poor": 0.2}


def make_fits(repeats=12, people=600, sizes=(100, 300), seed=0):
    """Samples of a pool with one scan a person, scores of three models, and AUCs of these scores."""
    rng = np.random.default_rng(seed)
    y = np.arange(people) % 2
    noise = {name: rng.normal(size=people) for name in MODELS}
    samples, scores, fits = [], [], []
    for n in sizes:
        for repeat in range(repeats):
            drawn = rng.permutation(people)[: int(1.4 * n)]
            sets = np.repeat(["train", "validation", "test"], [n, n // 5, n // 5])
            ids = [f"p{number:04d}" for number in drawn]
            frame = pd.DataFrame({"task": "t", "n": n, "repeat": repeat, "set": sets, "scan_id": ids})
            samples.append(frame.assign(participant_id=ids, y=y[drawn].astype(float)))
            test = drawn[-(n // 5) :]
            for name, effect in MODELS.items():
                score = effect * y[test] + noise[name][test] + 0.3 * rng.normal(size=len(test))
                rank = stats.rankdata(score)
                n1 = y[test].sum()
                auc = (rank[y[test] == 1].sum() - n1 * (n1 + 1) / 2) / (n1 * (len(test) - n1))
                key = {"task": "t", "model": name, "n": n, "repeat": repeat}
                rows = samples[-1][samples[-1]["set"] == "test"][["scan_id", "participant_id", "y"]]
                scores.append(rows.assign(**key, score=score))
                fit = {"parameters": "c=1", "epochs": pd.NA, "validation_auc": 0.5, "reason": None}
                fits.append({**key, "setting": 0, **fit, "test_auc": auc, "chosen": True})
                fits.append({**key, "setting": 1, **fit, "test_auc": 0.0, "chosen": False})
    return pd.DataFrame(fits), pd.concat(scores, ignore_index=True), pd.concat(samples, ignore_index=True)


@pytest.fixture(scope="module")
def study():
    return make_fits()


@pytest.fixture(scope="module")
def aucs(study):
    return curve_summary.chosen_aucs(study[0])


@pytest.fixture(scope="module")
def compared(study, aucs):
    return curve_summary.compare_models(aucs, study[1], study[2], {"t": 600}, OPTIONS, 20)


def test_the_summary_is_of_the_chosen_settings(study, aucs):
    fits, _, samples = study
    summary = curve_summary.summarise_curves(aucs, samples, {"t": 600})
    tables.check_table(summary, "curve_summary", "summary")
    row = summary[(summary["n"] == 300) & (summary["model"] == "good")].iloc[0]
    values = fits.loc[fits["chosen"] & (fits["n"] == 300) & (fits["model"] == "good"), "test_auc"]
    assert row["median"] == np.median(values)
    assert [row["q05"], row["q25"], row["q75"], row["q95"]] == pytest.approx(
        np.quantile(values, [0.05, 0.25, 0.75, 0.95])
    )
    assert (row["repeats"], row["missing"]) == (12, 0)
    # 60 of 600 people are tested: t(11) s sqrt(1/12 + 60/540)
    width = stats.t.ppf(0.975, 11) * values.std() * np.sqrt(1 / 12 + 60 / 540)
    assert row["upper"] - row["mean"] == pytest.approx(min(width, 1 - row["mean"]))


def test_samples_without_a_fit_are_counted_and_left_out_of_pairs(study):
    fits, scores, samples = study
    failed = (fits["model"] == "twin") & (fits["n"] == 100) & (fits["repeat"] < 3)
    fits = fits.assign(chosen=fits["chosen"] & ~failed, test_auc=fits["test_auc"].mask(failed))
    lost = (scores["model"] == "twin") & (scores["n"] == 100) & (scores["repeat"] < 3)
    aucs = curve_summary.chosen_aucs(fits)
    summary = curve_summary.summarise_curves(aucs, samples, {"t": 600}).set_index(["n", "model"])
    assert summary.loc[(100, "twin"), ["repeats", "missing"]].tolist() == [9, 3]
    assert summary.loc[(100, "good"), ["repeats", "missing"]].tolist() == [12, 0]
    pairs = curve_summary.compare_models(aucs, scores[~lost], samples, {"t": 600}, OPTIONS, 20)
    assert pairs.set_index(["n", "a", "b"])["repeats"].to_dict() == {
        (100, "good", "twin"): 9,
        (100, "good", "poor"): 12,
        (100, "twin", "poor"): 9,
        **{(300, *pair): 12 for pair in (("good", "twin"), ("good", "poor"), ("twin", "poor"))},
    }


def test_a_model_that_failed_everywhere_stays_in_the_summary_and_out_of_the_pairs(study, caplog):
    fits, scores, samples = study
    fits = fits.assign(chosen=fits["chosen"] & (fits["model"] != "twin"))
    aucs = curve_summary.chosen_aucs(fits)
    summary = curve_summary.summarise_curves(aucs, samples, {"t": 600})
    tables.check_table(summary, "curve_summary", "summary")
    assert summary.loc[summary["model"] == "twin", "missing"].tolist() == [12, 12]
    pairs = curve_summary.compare_models(aucs, scores[scores["model"] != "twin"], samples, {"t": 600}, OPTIONS, 20)
    assert set(pairs["a"]) | set(pairs["b"]) == {"good", "poor"}
    assert "good and twin share 0 samples" in caplog.text


def test_when_every_fit_failed_tables_are_empty_and_fit_their_schemas(study):
    fits, scores, samples = study
    aucs = curve_summary.chosen_aucs(fits.assign(chosen=False))
    summary = curve_summary.summarise_curves(aucs, samples, {"t": 600})
    tables.check_table(summary, "curve_summary", "summary")
    pairs = curve_summary.compare_models(aucs, scores.iloc[:0], samples, {"t": 600}, OPTIONS, 20)
    tables.check_table(pairs, "curve_comparisons", "comparisons")
    assert pairs.empty
    sizes = pd.DataFrame({"task": ["t"], "n": [100], "fits": ["true"], "reason": [None]})
    assert "n = 100, 0 samples" in curve_text.write_results(summary, pairs, sizes)


def test_comparisons_by_closed_form(study, aucs, compared):
    tables.check_table(compared, "curve_comparisons", "comparisons")
    row = compared[(compared["n"] == 300) & (compared["a"] == "good") & (compared["b"] == "poor")].iloc[0]
    wide = aucs[aucs["n"] == 300].pivot(index="repeat", columns="model", values="test_auc")
    d = wide["good"] - wide["poor"]
    assert row["difference"] == pytest.approx(d.mean())
    assert row["median_difference"] == pytest.approx(d.median())
    assert (row["n_train"], row["n_test"], row["participants"]) == (300, 60, 600)
    for name, factor in (("corrected", 60 / 540), ("classical", 60 / 300)):
        t = d.mean() / (d.std() * np.sqrt(1 / 12 + factor))
        assert row[f"p_{name}"] == pytest.approx(2 * stats.t.sf(abs(t), 11))


def test_delong_is_on_mean_held_out_ranks_of_shared_samples(study, compared):
    scores = study[1][study[1]["n"] == 300].copy()
    scores["rank"] = scores.groupby(["model", "repeat"])["score"].rank()
    means = scores.groupby(["scan_id", "model"])["rank"].mean().unstack()
    y = scores.groupby("scan_id")["y"].first()
    row = compared[(compared["n"] == 300) & (compared["a"] == "good") & (compared["b"] == "poor")].iloc[0]
    area = {name: stats.mannwhitneyu(means[name][y == 1], means[name][y == 0]).statistic for name in ("good", "poor")}
    pairs = (y == 1).sum() * (y == 0).sum()
    assert row["delong_difference"] == pytest.approx((area["good"] - area["poor"]) / pairs)
    assert row["delong_scans"] == len(y)
    assert compared.groupby("n")["delong_valid"].first().to_dict() == {100: False, 300: True}


def test_planted_differences_are_found_and_equal_models_are_not_by_the_valid_test(compared):
    pairs = compared.set_index(["n", "a", "b"])
    for n in (100, 300):
        assert pairs.loc[(n, "good", "poor"), "p_corrected_holm"] < 0.01
        assert pairs.loc[(n, "good", "twin"), "p_corrected"] > 0.05
        # the classical factor is the wider one where a sample uses part of its pool only
        assert (pairs.loc[n, "p_classical"] > pairs.loc[n, "p_corrected"]).all()


def test_holm_counts_all_pairs_and_sizes_of_a_task(compared):
    for test in curve_summary.TESTS:
        p = compared[f"p_{test}"]
        assert compared.loc[p.idxmin(), f"p_{test}_holm"] == pytest.approx(min(1, 6 * p.min()))


def test_the_order_of_rows_changes_nothing(study, aucs, compared):
    mixed = [table.sample(frac=1, random_state=1) for table in study[1:]]
    again = curve_summary.compare_models(aucs, *mixed, {"t": 600}, OPTIONS, 20)
    pd.testing.assert_frame_equal(compared, again)


def test_two_choices_for_one_sample_are_refused(study):
    fits = study[0]
    with pytest.raises(StudyError, match="sample t 100 0 has two chosen settings of good"):
        curve_summary.join_fits([fits.assign(chosen=True)])
    with pytest.raises(StudyError, match="no model of the learning curves has a fit"):
        curve_summary.join_fits([fits.iloc[:0]])
    assert len(curve_summary.join_fits([fits.iloc[:5], fits.iloc[:0], fits.iloc[5:]])) == len(fits)


def make_text(difference=0.05, p=0.01, corrected=0.2):
    cells = {"q05": 0.5, "q25": 0.61, "q75": 0.83, "q95": 0.9, "mean": 0.7, "sd": 0.1, "lower": 0.6, "upper": 0.8}
    rows = [("t", 100, "a", 5, 0, 0.75), ("t", 100, "b", 4, 1, 0.7), ("t", 200, "a", 0, 5, np.nan)]
    summary = pd.DataFrame(rows, columns=["task", "n", "model", "repeats", "missing", "median"]).assign(**cells)
    pair = {"task": "t", "n": 100, "a": "a", "b": "b", "difference": difference, "lower": -0.01, "upper": 0.11}
    pair |= {"median_a": 0.75, "median_b": 0.7, "p_permutation": p, "p_permutation_holm": 4 * p}
    pair |= {"p_corrected": corrected, "p_corrected_holm": 1.0}
    sizes = pd.DataFrame([("t", 300, "false", "t: n = 300 needs 420 images")], columns=["task", "n", "fits", "reason"])
    return curve_text.write_results(summary, pd.DataFrame([pair]), sizes, {"a": "linear model"}, {"t": "AD vs CN"})


def test_the_text_says_medians_both_tests_and_what_is_lacking():
    text = make_text()
    assert "## AD vs CN" in text
    assert "| linear model | 0.75 (0.61-0.83) | -       |" in text
    expected = "linear model over b: median AUC 0.75 against 0.70, mean difference 0.050 (-0.010 to 0.110); published "
    expected += "test p = 0.01, significant (Holm); valid test p = 0.20, not significant."
    assert expected in text
    assert "In 1 cases every fit of a sample failed." in text
    assert "- t: n = 300 needs 420 images." in text


def test_the_better_model_stands_first_with_its_own_interval():
    text = make_text(-0.05, p=0.00001, corrected=np.nan)
    assert "b over linear model: median AUC 0.70 against 0.75, mean difference 0.050 (-0.110 to 0.010)" in text
    assert "published test p < 0.0001, significant (Holm); valid test p unknown, not significant" in text
    assert "p = 0.03, significant;" in make_text(p=0.03)


def test_the_page_shows_the_text_as_it_stands():
    page = curve_text.as_page("p < 0.05 & so on")
    assert "p &lt; 0.05 &amp; so on</pre>" in page
