"""Learning curves from all fits: what each model reaches at each size, and how models compare.

Samples of one pool overlap, so that their AUCs are not independent. Four tests stand side by side,
of which the published one is about samples of this pool only; see ``.docs/learning_curves.md``.
"""

import itertools
import logging

import numpy as np
import pandas as pd

from workflow_scripts.lib.evaluate import compare, delong, heldout, permutation
from workflow_scripts.lib.evaluate.adjust import holm
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.seeds import generator

QUANTILES = {"median": 0.5, "q05": 0.05, "q25": 0.25, "q75": 0.75, "q95": 0.95}
SUMMARY = ["task", "n", "model", "repeats", "missing", *QUANTILES, "mean", "sd", "lower", "upper"]
TESTS = ("permutation", "corrected", "classical", "delong")
COMPARISON = ["task", "n", "a", "b", "repeats", "participants", "n_train", "n_test", "mean_a", "mean_b", "median_a"]
COMPARISON += ["median_b", "difference", "median_difference", "lower", "upper"]
COMPARISON += [name for test in TESTS for name in (f"p_{test}", f"p_{test}_holm")]
COMPARISON += ["delong_difference", "delong_scans", "delong_valid"]
# with pools of 861 and 1,678 people DeLong rejected 8 to 10% of true nulls at n = 100 and 5 to 6% at 500, at a
# nominal 5%: the mean score of small models moves with the sample, which DeLong does not know
DELONG_FROM = 300
logger = logging.getLogger(__name__)


def join_fits(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Put the fits of all models into one table and refuse two choices for one sample.

    Parameters
    ----------
    parts : list of pandas.DataFrame
        Schema ``curve_fits``.

    Returns
    -------
    pandas.DataFrame
        In the order in which tasks, models and sizes first stand.

    Raises
    ------
    StudyError
        Nothing was fitted, or a sample has two chosen settings.
    """
    parts = [part for part in parts if len(part)]
    if not parts:
        raise StudyError("no model of the learning curves has a fit; see results of draw_samples for what fits.")
    fits = pd.concat(parts, ignore_index=True)
    keys = ["task", "model", "n", "repeat"]
    chosen = fits[fits["chosen"]]
    if chosen.duplicated(keys).any():
        row = chosen[chosen.duplicated(keys)].iloc[0]
        raise StudyError(f"sample {row['task']} {row['n']} {row['repeat']} has two chosen settings of {row['model']}.")
    return fits


def chosen_aucs(fits: pd.DataFrame) -> pd.DataFrame:
    """Return task, n, model, repeat, test_auc: a row a model and sample, missing where every fit failed."""
    samples = fits[["task", "n", "model", "repeat"]].drop_duplicates()
    chosen = fits.loc[fits["chosen"], ["task", "n", "model", "repeat", "test_auc"]]
    return samples.merge(chosen, how="left", on=["task", "n", "model", "repeat"], validate="one_to_one")


def count_people(samples: pd.DataFrame) -> pd.DataFrame:
    """Return the mean number of participants of each set over samples; index task, n; columns train, test, ..."""
    counts = samples.groupby(["task", "n", "repeat", "set"])["participant_id"].nunique()
    return counts.groupby(["task", "n", "set"]).mean().unstack("set")


def summarise_curves(
    aucs: pd.DataFrame, samples: pd.DataFrame, pool: dict[str, int], level: float = 0.95
) -> pd.DataFrame:
    """Summarise the test AUCs of the chosen settings of each model at each size.

    Parameters
    ----------
    aucs : pandas.DataFrame
        What :func:`chosen_aucs` gave.
    samples : pandas.DataFrame
        Schema ``curve_samples``.
    pool : dict
        Task -> participants of the pool.
    level : float
        Of the interval of the mean.

    Returns
    -------
    pandas.DataFrame
        Schema ``curve_summary``: repeats, missing, median and quantiles, mean, sd over samples (not a standard error),
        lower and upper (pool-corrected interval of the mean, cut at 0 and 1).
    """
    people, drawn = count_people(samples), samples.groupby(["task", "n"])["repeat"].nunique()
    rows = []
    for (task, n, model), part in aucs.groupby(["task", "n", "model"], sort=False):
        values = part["test_auc"].dropna().to_numpy()
        row = {"task": task, "n": n, "model": model, "repeats": len(values), "missing": drawn[task, n] - len(values)}
        if len(values):
            row |= {name: np.quantile(values, share) for name, share in QUANTILES.items()} | {"mean": values.mean()}
        if len(values) > 1:
            found = compare.corrected_t(values, people.loc[(task, n), "test"], pool[task], level)
            row |= {"sd": found["sd"], "lower": max(found["lower"], 0), "upper": min(found["upper"], 1)}
        rows.append(row)
    return pd.DataFrame(rows).reindex(columns=SUMMARY)


def _test_samples(a: np.ndarray, b: np.ndarray, people: pd.Series, pool: int, options: dict, rng) -> dict[str, float]:
    """Test two models on their AUCs of the same samples, as published and corrected."""
    corrected = compare.corrected_t(a - b, people["test"], pool, options["level"])
    classical = compare.corrected_t(a - b, people["test"], pool, options["level"], n_train=people["train"])
    return {
        "repeats": len(a),
        "participants": pool,
        "n_train": people["train"],
        "n_test": people["test"],
        "mean_a": a.mean(),
        "mean_b": b.mean(),
        "median_a": np.median(a),
        "median_b": np.median(b),
        "difference": (a - b).mean(),
        "median_difference": np.median(a - b),
        "lower": corrected["lower"],
        "upper": corrected["upper"],
        "p_permutation": permutation.sign_flip_test(a, b, options["n_permutations"], rng),
        "p_corrected": corrected["p"],
        "p_classical": classical["p"],
    }


def _test_people(scores: pd.DataFrame, a: str, b: str, repeats: pd.Index, level: float) -> dict[str, float]:
    """Test two models by DeLong on each scan's mean held-out rank over the samples that both have."""
    scores = scores[scores["repeat"].isin(repeats)].rename(columns={"repeat": "resample"})
    first, second = (heldout.mean_scores(scores[scores["model"] == name], scale="rank") for name in (a, b))
    both = first.merge(second[["scan_id", "score"]], on="scan_id", suffixes=("_a", "_b"))
    if both["y"].nunique() < 2:
        return {"delong_scans": len(both)}
    clusters = both["participant_id"].to_numpy() if both["participant_id"].duplicated().any() else None
    columns = (both[name].to_numpy() for name in ("y", "score_a", "score_b"))
    found = delong.compare_paired(*columns, level, clusters)
    return {"p_delong": found["p"], "delong_difference": found["difference"], "delong_scans": len(both)}


def compare_models(
    aucs: pd.DataFrame, scores: pd.DataFrame, samples: pd.DataFrame, pool: dict[str, int], options: dict, seed: int
) -> pd.DataFrame:
    """Compare each pair of models at each size, on the samples that both have.

    Parameters
    ----------
    aucs : pandas.DataFrame
        What :func:`chosen_aucs` gave.
    scores : pandas.DataFrame
        Schema ``curve_scores``.
    samples : pandas.DataFrame
        Schema ``curve_samples``.
    pool : dict
        Task -> participants of the pool.
    options : dict
        n_permutations, level.
    seed : int
        Seed of the study.

    Returns
    -------
    pandas.DataFrame
        Schema ``curve_comparisons``; differences are a - b. Each p-value is also adjusted by Holm's rule over the pairs
        and sizes of its task.
    """
    people, rows = count_people(samples), []
    by_size = dict(iter(scores.groupby(["task", "n"])))
    for (task, n), part in aucs.groupby(["task", "n"], sort=False):
        wide = part.pivot(index="repeat", columns="model", values="test_auc")
        for a, b in itertools.combinations(part["model"].unique(), 2):
            both = wide[[a, b]].dropna()
            if len(both) < 2:
                logger.warning("%s, n = %d: %s and %s share %d samples: not compared", task, n, a, b, len(both))
                continue
            rng = generator(seed, "compare_curves", task, n, a, b)
            columns = (both[name].to_numpy() for name in (a, b))
            found = _test_samples(*columns, people.loc[(task, n)], pool[task], options, rng)
            found |= _test_people(by_size[task, n], a, b, both.index, options["level"])
            rows.append({"task": task, "n": n, "a": a, "b": b, **found, "delong_valid": n >= DELONG_FROM})
    table = pd.DataFrame(rows).reindex(columns=COMPARISON)
    for test in TESTS:
        adjusted = table.groupby("task", sort=False)[f"p_{test}"].transform(lambda p: holm(p.to_numpy(dtype=float)))
        table[f"p_{test}_holm"] = adjusted.astype(float)
    return table
