"""How often each test rejects a true null hypothesis, and a planted difference, in both published designs.

The null hypothesis is about the population: two sets of columns are equally good in the people that
the pool was drawn from. A test of 5% should reject it in 5% of studies, however many resamples each
has. :mod:`workflow_scripts.lib.evaluate.calibration_designs` simulates the studies.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from workflow_scripts.lib.evaluate.bootstrap import bootstrap_difference
from workflow_scripts.lib.evaluate.calibration_designs import Design, Planted, Scored, run_design
from workflow_scripts.lib.evaluate.compare import corrected_t
from workflow_scripts.lib.evaluate.delong import compare_paired
from workflow_scripts.lib.evaluate.permutation import sign_flip_test, swap_test, unpaired_test
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.seeds import generator

LIMIT = 0.05
KEYS = ["design", "participants", "n", "effect", "test", "n_resamples"]


@dataclasses.dataclass(frozen=True)
class Draws:
    """Random draws inside each test. Those by participant cost most.

    Attributes
    ----------
    permutations : int
        Of the tests on resamples.
    swaps : int
        Of the swap test of participants.
    bootstraps : int
        Of participants.
    """

    permutations: int = 999
    swaps: int = 499
    bootstraps: int = 499


def test_resamples(scored: Scored, count: int, design: Design, draws: Draws, rng: np.random.Generator) -> dict:
    """Test one study by its first resamples' AUCs, of which those that cannot be had are left out.

    Returns
    -------
    dict
        Test -> p.
    """
    a, b = scored.auc_a[:count], scored.auc_b[:count]
    known = ~np.isnan(a)
    a, b = a[known], b[known]
    pooled = corrected_t(b - a, design.n_test, design.participants)
    classical = corrected_t(b - a, design.n_test, design.participants, n_train=design.n_train)
    return {
        "unpaired": unpaired_test(a, b, draws.permutations, rng, add_one=False),
        "sign_flip": sign_flip_test(a, b, draws.permutations, rng),
        "nadeau_bengio_t": classical["p"],
        "pool_corrected_t": pooled["p"],
    }


def test_people(y: np.ndarray, a: np.ndarray, b: np.ndarray, draws: Draws, rng: np.random.Generator) -> dict:
    """Test one study by its participants' mean held-out scores; those never held out (NaN) are left out.

    Returns
    -------
    dict
        Test -> p; for intervals 0 where they leave 0 out, else 1.
    """
    known = ~np.isnan(a)
    y, a, b = y[known], a[known], b[known]
    found = {
        "delong": compare_paired(y, a, b)["p"],
        "swap": swap_test(y, a, b, "auc", draws.swaps, rng),
    }
    bounds = bootstrap_difference(y, a, b, "auc", draws.bootstraps, rng, level=1 - LIMIT)
    for kind in ("percentile", "bca"):
        inside = bounds[f"lower_{kind}"] <= 0 <= bounds[f"upper_{kind}"]
        found[f"bootstrap_{kind}"] = float(inside)
    return found


test_resamples.__test__ = test_people.__test__ = False  # not tests, whatever their names


def test_study(scored: Scored, design: Design, draws: Draws, seed: int, *keys: object) -> pd.DataFrame:
    """Make every test after each of the design's counts of resamples.

    Parameters
    ----------
    scored : Scored
    design : Design
    draws : Draws
    seed : int
        Seed of the study.
    *keys : object
        What names this simulated study, for the draws of its tests.

    Returns
    -------
    pandas.DataFrame
        n_resamples, test, p.
    """
    parts = []
    for count, a, b in zip(design.resamples, scored.mean_a, scored.mean_b, strict=True):
        rng = generator(seed, "calibration tests", design.name, *keys, count)
        found = test_resamples(scored, count, design, draws, rng) | test_people(scored.y, a, b, draws, rng)
        parts.append(pd.DataFrame({"n_resamples": count, "test": list(found), "p": list(found.values())}))
    return pd.concat(parts, ignore_index=True)


test_study.__test__ = False


def count_rejections(
    design: Design, planted: Planted, effect: float, draws: Draws, seed: int, simulations: Sequence[int]
) -> pd.DataFrame:
    """Simulate studies and count how many each test rejects at 5%.

    Parameters
    ----------
    design : Design
    planted : Planted
    effect : float
        Planted difference in population AUC, 0 for a true null hypothesis.
    draws : Draws
    seed : int
        Seed of the study.
    simulations : sequence of int
        Numbers of the simulated studies. A study depends on its number only, so counts of any
        division into jobs add up to the same.

    Returns
    -------
    pandas.DataFrame
        Schema ``calibration_counts``; no rows where there are no simulations.
    """
    parts = []
    for number in simulations:
        scored = run_design(design, planted, effect, seed, number)
        parts.append(test_study(scored, design, draws, seed, effect, number))
    if not parts:
        return pd.DataFrame(columns=[*KEYS, "n_simulations", "rejected"])
    p = pd.concat(parts, ignore_index=True)
    counts = (
        p.assign(rejected=p["p"] <= LIMIT)
        .groupby(["test", "n_resamples"], sort=False)["rejected"]
        .agg(n_simulations="size", rejected="sum")
        .reset_index()
    )
    n = design.n_train if design.kind == "small_samples" else pd.NA
    counts = counts.assign(design=design.kind, participants=design.participants, n=n, effect=effect)
    return counts[[*KEYS, "n_simulations", "rejected"]]


def clopper_pearson(count: np.ndarray, total: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Return the exact bounds of a share.

    Parameters
    ----------
    count, total : numpy.ndarray of int, (n,)
    level : float

    Returns
    -------
    lower, upper : numpy.ndarray, (n,)

    References
    ----------
    Clopper & Pearson (1934), Biometrika 26:404.
    """
    count, total, tail = np.asarray(count), np.asarray(total), (1 - level) / 2
    lower = np.where(count > 0, stats.beta.ppf(tail, np.maximum(count, 1), total - count + 1), 0.0)
    upper = np.where(count < total, stats.beta.ppf(1 - tail, count + 1, np.maximum(total - count, 1)), 1.0)
    return lower, upper


def collect(counts: pd.DataFrame) -> pd.DataFrame:
    """Add counts of chunks up and bound the share of studies that each test rejects.

    Parameters
    ----------
    counts : pandas.DataFrame
        Rows of schema ``calibration_counts`` from all chunks.

    Returns
    -------
    pandas.DataFrame
        Schema ``calibration``: ``rejected`` is now a share, with its Clopper-Pearson interval
        (lower, upper); chance_lower and chance_upper hold 95% of the shares that as many studies
        would give a test that rejects exactly 5%.

    Raises
    ------
    StudyError
        There are no counts.
    """
    if counts.empty:
        raise StudyError("calibration: no simulation was run. Raise calibration: simulations.")
    table = counts.groupby(KEYS, sort=False, dropna=False)[["n_simulations", "rejected"]].sum().reset_index()
    total, count = table["n_simulations"].to_numpy(dtype=int), table["rejected"].to_numpy(dtype=int)
    lower, upper = clopper_pearson(count, total)
    return table.assign(
        rejected=count / total,
        lower=lower,
        upper=upper,
        chance_lower=stats.binom.ppf(0.025, total, LIMIT) / total,
        chance_upper=stats.binom.ppf(0.975, total, LIMIT) / total,
    )
