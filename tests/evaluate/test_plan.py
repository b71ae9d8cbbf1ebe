"""The plan: counts by hand, hours from made-up costs, the text."""

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.evaluate import plan, plan_text
from workflow_scripts.lib.study import tables

MODELS = {
    "linear": {"kind": "linear", "representation": "features"},
    "sfcn_random": {"kind": "network", "method": "sfcn", "start": "random"},
    "sfcn_pretrained": {"kind": "network", "method": "sfcn", "start": "pretrained"},
}
NETWORK = {"epochs": 20, "batch": 8, "learning_rate": [1e-2, 1e-3, 1e-4], "dropout": [0, 0.3, 0.5], "fits_at_once": 4}


def section(**changes):
    usual = {"models": MODELS, "repeats": 100, "repeats_per_job": 10, "linear": {"c": [10.0**k for k in range(-4, 5)]}}
    return {**usual, "network": {**NETWORK, "early_stopping": None}, **changes}


def make_sizes(tasks=("ad_hc", "scz_bd"), sizes=(100, 200, 300, 400, 500), repeats=100):
    rows = [(task, n, n // 5, n // 5, repeats, "true", None) for task in tasks for n in sizes]
    return pd.DataFrame(rows, columns=["task", "n", "validation", "test", "repeats", "fits", "reason"])


def make_costs(step=0.05, scan=0.004, models=("sfcn_random", "sfcn_pretrained"), device="GPU", at_once=1):
    row = {"device": device, "batch": 8, "fits_at_once": at_once, "seconds_step": step, "seconds_scan": scan}
    return pd.DataFrame(
        [{"model": model, **row, "megabytes": 500, "megabytes_scan": 5, "megabytes_checkpoint": 20} for model in models]
    )


def test_the_published_scale_is_27000_fits_in_few_jobs():
    curves = plan.plan_curves(section(), make_sizes())
    assert curves["fits"].sum() == 27_000
    assert curves["jobs"].sum() == 2 * 2 * 5 * 10 + 1
    assert curves.groupby("model")["jobs"].sum().to_dict() == {"linear": 1, "sfcn_random": 100, "sfcn_pretrained": 100}


@pytest.mark.parametrize(("n", "steps"), [(100, 20 * 12), (8, 20), (5, 20), (17, 40)])
def test_steps_are_full_batches(n, steps):
    assert plan.steps_of_fit(n, NETWORK) == steps


def test_costs_of_a_fit_and_a_job_by_hand():
    tables.check_table(make_costs(), "fit_costs", "costs")
    rows = plan.plan_curves(section(), make_sizes(("t",), (100,)), make_costs(models=["sfcn_random"]), {"t": 1000})
    row = rows.set_index("model").loc["sfcn_random"]
    # 240 steps; 20 validation scans after each of 20 epochs and 20 test scans
    assert row["seconds_fit"] == pytest.approx(240 * 0.05 + 420 * 0.004)
    assert row["seconds"] == pytest.approx(900 * row["seconds_fit"])
    assert row["seconds_job"] == pytest.approx(90 * row["seconds_fit"])
    # ten samples of 140 images are more than the pool has
    assert row["megabytes_job"] == pytest.approx(1000 * 5 + 4 * 500)
    assert rows.set_index("model").loc["sfcn_pretrained", ["seconds", "seconds_job", "megabytes_job"]].isna().all()


def test_time_is_shared_by_fits_at_once_only_where_that_was_measured():
    costs = pd.concat([make_costs(), make_costs(0.08, models=["sfcn_random"], at_once=4)], ignore_index=True)
    rows = plan.plan_curves(section(), make_sizes(("t",), (100,)), costs).set_index("model")
    assert rows.loc[["sfcn_random", "sfcn_pretrained"], "at_once"].tolist() == [4, 1]
    assert rows.loc["sfcn_random", "seconds"] == pytest.approx(900 * (240 * 0.08 + 420 * 0.004) / 4)
    assert rows.loc["sfcn_random", "seconds_job"] == pytest.approx(90 * (240 * 0.08 + 420 * 0.004) / 4)
    assert rows.loc["sfcn_pretrained", "seconds"] == pytest.approx(900 * (240 * 0.05 + 420 * 0.004))


def test_fits_at_once_shorten_a_job_on_cores_but_cost_the_same():
    alone = plan.plan_curves(section(), make_sizes(), make_costs())
    for costs in (make_costs(device="cpu"), make_costs(device="cpu", at_once=4)):
        cores = plan.plan_curves(section(), make_sizes(), costs)
        assert cores["seconds"].tolist() == alone["seconds"].tolist()
        networks = alone["kind"] == "network"
        np.testing.assert_allclose(cores.loc[networks, "seconds_job"], alone.loc[networks, "seconds_job"] / 4)


def test_sizes_that_do_not_fit_cost_nothing():
    sizes = make_sizes(("t",), (100, 500))
    sizes.loc[1, ["repeats", "fits", "reason"]] = [0, "false", "t: n = 500 needs 700 images"]
    curves = plan.plan_curves(section(), sizes)
    assert set(curves["n"]) == {100}
    text = plan_text.write_plan(make_counts(), sizes, section(), {"n_resamples": 10}, 2)
    assert "DOES NOT FIT: t: n = 500 needs 700 images." in text
    assert "2,700 fits in 21 jobs" in text
    sizes[["repeats", "fits"]] = [0, "false"]
    assert "no size fits" in plan_text.write_plan(make_counts(), sizes, section(), {"n_resamples": 10}, 2)


@pytest.mark.parametrize(
    ("step", "advice"), [(0.01, ""), (1.0, "repeats_per_job to about 1"), (1e-5, "repeats_per_job to about")]
)
def test_jobs_that_are_too_long_or_too_short_are_advised_against(step, advice):
    found = plan.advise_repeats(plan.plan_curves(section(), make_sizes(), make_costs(step, 0)), 10)
    assert advice in found
    assert bool(found) == bool(advice)


def test_one_short_job_is_no_fault():
    curves = plan.plan_curves(section(repeats=5), make_sizes(repeats=5), make_costs(1e-5, 0))
    assert plan.advise_repeats(curves, 10) == ""


def write(network=NETWORK, costs=None, **there):
    finetune = section(network={"early_stopping": None, **network})
    return plan_text.write_plan(make_counts(), make_sizes(), finetune, {"n_resamples": 1000}, 8, costs, there)


def make_counts():
    rows = [("ad_hc", "0", 839, 5330, "true", None), ("ad_hc", "1", 839, 5330, "true", None)]
    rows += [("amyloid", "0", 2, 3, "false", "class 0 has 2 participants"), ("amyloid", "1", 9, 9, "false", "class 0")]
    return pd.DataFrame(rows, columns=["task", "class", "participants", "scans", "used", "reason"])


def test_the_text_tells_people_fits_hours_and_disk():
    costs = make_costs()
    there = {"patch store": int(9e9), "results of fits": 0}
    text = plan_text.write_plan(make_counts(), make_sizes(), section(), {"n_resamples": 1000}, 8, costs, there)
    assert "1 task x 1,000 resamples x 8 representations = 8,000 fits" in text
    assert "2 tasks x 5 sizes x 100 samples: 27,000 fits in 201 jobs" in text
    assert "left out: class 0 has 2 participants" in text
    hours = plan.plan_curves(section(), make_sizes(), costs).query("kind == 'network'")["seconds"].sum() / 3600
    assert f"in all {hours:,.1f} hours of one GPU" in text
    assert "4 fits at once were not measured for every model" in text
    assert "4 fits at once" not in write(costs=make_costs(at_once=4))
    assert "9.0 GB  there already" in text
    assert "not made yet" in text
    assert "no time of networks" not in text


def test_the_text_says_what_was_not_measured():
    assert "no time of networks without the probe" in write()
    text = write({**NETWORK, "early_stopping": 5}, make_costs(device="cpu"))
    assert "hours of one core" in text
    assert "early stopping is on: times are upper bounds" in text


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5.0 seconds"), (90, "1.5 minutes"), (5e6, "1,388.9 hours"), (np.nan, "not measured")]
)
def test_times_are_written_in_a_unit_that_suits(seconds, text):
    assert plan.format_time(seconds) == text


def test_columns_of_the_text_are_aligned():
    lines = plan_text.lay_out([["model", "fits"], ["a", 12000], ["linear", 5]])
    assert lines == ["  model     fits", "  a       12,000", "  linear       5"]
