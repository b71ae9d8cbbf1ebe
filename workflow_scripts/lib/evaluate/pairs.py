"""Compare each pair of representations: as published, and by tests that hold for the population.

Two kinds of test stand beside the published one. Those over resamples know that resamples of one pool overlap; those
over participants leave resamples behind and ask whether other people would give the same answer.
"""

import dataclasses
import itertools
import logging

import numpy as np
import pandas as pd

from workflow_scripts.lib.evaluate import compare
from workflow_scripts.lib.evaluate.adjust import holm
from workflow_scripts.lib.evaluate.collect import Collected
from workflow_scripts.lib.evaluate.participants import TaskScores, test_pair
from workflow_scripts.lib.evaluate.permutation import sign_flip_test, unpaired_test
from workflow_scripts.lib.evaluate.summarise import HELDOUT_METRICS
from workflow_scripts.lib.study.seeds import generator

logger = logging.getLogger(__name__)
PUBLISHED = {"paired": sign_flip_test, "unpaired": unpaired_test}
CLAIMED = ["p_permutation", "p_corrected", "p_delong", "p_swap"]  # adjusted over the pairs of a task
OVER_RESAMPLES = ["mean_a", "mean_b", "difference", "lower", "upper", "p_permutation", "p_permutation_holm"]
OVER_RESAMPLES += ["p_corrected", "p_corrected_holm", "p_nadeau_bengio"]
OVER_PARTICIPANTS = ["heldout_a", "heldout_b", "heldout_difference", "lower_delong", "upper_delong", "p_delong"]
OVER_PARTICIPANTS += ["p_delong_holm", "p_swap", "p_swap_holm", "lower_percentile", "upper_percentile"]
OVER_PARTICIPANTS += ["lower_bca", "upper_bca"]
COUNTS = ["n_resamples", "n_participants", "n_scans", "n_test"]
COMPARISON = ["task", "metric", "a", "b", *COUNTS, *OVER_RESAMPLES, *OVER_PARTICIPANTS]


@dataclasses.dataclass(frozen=True)
class CompareOptions:
    """What config section ``probe`` says of comparisons.

    Attributes
    ----------
    permutation : {'paired', 'unpaired'}
        Reading of the published test.
    p_rule : {'add_one', 'literal'}
        Of the published test: literal counts permutations as the publication does, and can give 0.
    n_permutations : int
        Of the published test.
    n_swaps : int
        Of the swap test over participants.
    n_bootstrap : int
        Draws of participants; 0 for none.
    level : float
        Coverage of intervals.
    continuous_metric : {'r2', 'r2_pool'}
        What to compare in continuous tasks.
    """

    permutation: str
    p_rule: str
    n_permutations: int
    n_swaps: int
    n_bootstrap: int
    level: float
    continuous_metric: str


def over_resamples(
    a: np.ndarray, b: np.ndarray, counts: tuple[float, float, float], options: CompareOptions, rng: np.random.Generator
) -> dict[str, float]:
    """Test two representations by their metric on the same resamples.

    Parameters
    ----------
    a, b : numpy.ndarray, (n_resamples,)
    counts : (n_test, n_participants, n_train)
        Participants scored in a resample, of the pool, and training in a resample.
    options : CompareOptions
    rng : numpy.random.Generator

    Returns
    -------
    dict
        mean_a, mean_b, difference, lower, upper (pool-corrected), p_permutation, p_corrected, p_nadeau_bengio.
    """
    n_test, n_participants, n_train = counts
    found = compare.corrected_t(a - b, n_test, n_participants, options.level)
    classical = compare.corrected_t(a - b, n_test, n_participants, options.level, n_train=n_train)
    published = PUBLISHED[options.permutation]
    return {
        "mean_a": a.mean(),
        "mean_b": b.mean(),
        "difference": found["mean"],
        "lower": found["lower"],
        "upper": found["upper"],
        "p_permutation": published(a, b, options.n_permutations, rng, add_one=options.p_rule == "add_one"),
        "p_corrected": found["p"],
        "p_nadeau_bengio": classical["p"],
    }


def _grid(part: pd.DataFrame, column: str) -> dict[str, np.ndarray]:
    """Spread a column of one task's values over resamples: representation -> (n_resamples,)."""
    wide = part.pivot(index="resample", columns="representation", values=column)
    return {name: wide[name].to_numpy(dtype=float) for name in wide}


def _compare_task(
    part: pd.DataFrame, scores: TaskScores, pool: tuple[int, dict[str, float]], options: CompareOptions, seed: int
) -> pd.DataFrame:
    """Compare the pairs of one task, from values by resample, mean held-out scores, and people of pool and training."""
    task, metric = part["task"].iloc[0], part["metric"].iloc[0]
    values, left_out, (people, n_train) = _grid(part, "value"), _grid(part, "participants"), pool
    rows = []
    for a, b in itertools.combinations(part["representation"].unique(), 2):
        known = np.isfinite(values[a]) & np.isfinite(values[b])
        if known.sum() < 2:
            logger.warning("%s: %s and %s share %d resamples: not compared", task, a, b, known.sum())
            continue
        n_test = float(left_out[a][known].mean())
        row = {"task": task, "metric": metric, "a": a, "b": b, "n_resamples": int(known.sum())}
        row |= {"n_participants": people, "n_test": n_test}
        counts, rng = (n_test, people, (n_train[a] + n_train[b]) / 2), generator(seed, "compare_probes", task, a, b)
        row |= over_resamples(values[a][known], values[b][known], counts, options, rng)
        generators = generator(seed, "swap", task, a, b), generator(seed, "bootstrap", task, a, b)
        numbers = options.level, options.n_swaps, options.n_bootstrap
        rows.append(row | test_pair(scores, (a, b), HELDOUT_METRICS[metric], *numbers, generators))
    return pd.DataFrame(rows)


def compare_representations(
    collected: Collected, options: CompareOptions, seed: int, first: int | None = None
) -> pd.DataFrame:
    """Compare each pair of representations on the main metric of each task (AUC, or a form of R2).

    Parameters
    ----------
    collected : Collected
    options : CompareOptions
    seed : int
        Seed of the study.
    first : int, optional
        Use the first so many resamples only, one of ``collected.heldout``.

    Returns
    -------
    pandas.DataFrame
        Schema ``comparisons``: difference = a - b, p_permutation as published (conditional on this pool of people),
        everything else about the population. Each p that a claim may rest on also stands adjusted by Holm's rule over
        the pairs of its task.
    """
    first = first or max(collected.heldout)
    values, means = collected.values, collected.heldout[first]
    main = values[values["metric"].isin(["auc", options.continuous_metric]) & (values["resample"] < first)]
    # the pool does not grow with the number of resamples that are looked at
    people = collected.final.groupby("task")["participant_id"].nunique()
    n_train = collected.coverage.set_index(["task", "representation"])["n_train"]
    parts = [pd.DataFrame(columns=COMPARISON)]
    for task, part in main.groupby("task", sort=False):
        scores, pool = TaskScores.of(means[means["task"] == task]), (int(people[task]), n_train[task].to_dict())
        table = _compare_task(part, scores, pool, options, seed)
        if len(table):
            parts.append(table.assign(**{f"{name}_holm": holm(table[name].to_numpy()) for name in CLAIMED}))
    return pd.concat(parts[1:] or parts, ignore_index=True).reindex(columns=COMPARISON)
