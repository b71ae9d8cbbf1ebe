"""The page about the published runs says what the code gives, and that is what the facts say."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.evaluate import seed_runs, transfer_page


@pytest.fixture(scope="module")
def found():
    return transfer_page.numbers(seed_runs.read_runs())


def test_the_page_is_what_the_code_writes():
    simulated = pd.read_csv(transfer_page.SIMULATED, sep="\t")
    text = transfer_page.render(seed_runs.read_runs(), simulated)
    assert transfer_page.PAGE.read_text() == text, "./run python -m tests.evaluate.transfer_page"
    assert transfer_page.PICTURE.exists()


def test_the_interaction_is_that_of_the_facts(found):
    assert round(found["acl"]["estimate"], 4) == 0.0387
    assert round(found["acl"]["p"], 4) == 0.0012
    assert round(found["interaction"]["estimate"], 4) == -0.0447
    assert round(found["interaction"]["p"], 3) == 0.008


def test_effects_by_backbone_are_mean_differences_of_pairs(found):
    by = found["contrasts"].query("kind == 'weights_by_backbone'").set_index(["dataset", "backbone"])
    gaps = transfer_page.paired(seed_runs.read_runs()).groupby(["dataset", "backbone"])["gap"]
    assert gaps.size().unique().tolist() == [22]
    np.testing.assert_allclose(by["estimate"], gaps.mean().loc[by.index], atol=1e-12)
    expected = {("breast", "DenseNet121"): -0.059, ("breast", "ResNet50"): 0.047}
    expected |= {("acl", "DenseNet121"): 0.007, ("acl", "ResNet50"): 0.071}
    assert by["estimate"].round(3).to_dict() == expected
    assert (found["contrasts"]["p_holm"] >= found["contrasts"]["p"]).all()


def test_replicates_have_the_spread_of_the_facts(found):
    assert found["pairs"] == 64
    assert round(found["replicate_sd"], 4) == 0.0235
    gaps = transfer_page.replicates(seed_runs.read_runs())
    assert stats.ttest_1samp(gaps, 0).pvalue == pytest.approx(0.73, abs=0.01)


def test_hanley_and_mcneils_error_is_about_the_spread_of_simulated_aucs():
    rng = np.random.default_rng(0)
    shift = np.log(0.855 / 0.145)  # negative exponentials, the formula's own assumption: odds of an AUC
    positive, negative = (rng.exponential(size=(4000, n)) * scale for n, scale in ((21, np.exp(shift)), (57, 1.0)))
    aucs = (positive[:, :, None] > negative[:, None, :]).mean((1, 2))
    assert aucs.mean() == pytest.approx(0.855, abs=0.005)
    assert transfer_page.hanley_mcneil(0.855, 21, 57) == pytest.approx(aucs.std(), rel=0.05)


def test_the_simulation_says_what_the_page_says():
    simulated = pd.read_csv(transfer_page.SIMULATED, sep="\t")
    assert (simulated["published"] > 0.4).all() and (simulated["settings"] > 0.4).all()
    for row in simulated.itertuples():
        low, high = stats.binom.ppf([0.0005, 0.9995], row.grids, 0.05) / row.grids
        assert low <= row.groups <= high
        assert row.both <= high
