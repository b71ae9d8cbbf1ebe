"""Tests and intervals over participants, from each scan's mean held-out score.

Every participant counts once, however many resamples left him or her out, so that more resamples make scores smoother
but nobody surer. What is scored is the mean of many models that did not see the person, which does a little better than
one of them: the difference here and the mean difference over resamples answer the same question on two scales.
"""

import dataclasses

import numpy as np
import pandas as pd

from workflow_scripts.lib.evaluate import bootstrap, delong
from workflow_scripts.lib.evaluate.metrics import r2_rows
from workflow_scripts.lib.evaluate.permutation import swap_test

FEWEST = 2  # participants of each class, or in all, that a variance needs
NONE = float("nan")
TESTED = ["n_scans", "heldout_a", "heldout_b", "heldout_difference", "p_delong", "lower_delong", "upper_delong"]
TESTED += ["p_swap", "lower_percentile", "upper_percentile", "lower_bca", "upper_bca"]


def _clusters(ids: np.ndarray) -> np.ndarray | None:
    """Return the participants where somebody has several scans, else nothing: scans are then independent."""
    return ids if len(np.unique(ids)) < len(ids) else None


def _too_few(y: np.ndarray, ids: np.ndarray, metric: str) -> bool:
    """Say whether there are too few people, or labels that do not vary, for any test."""
    if metric == "auc":
        return min(len(np.unique(ids[y > 0.5])), len(np.unique(ids[y <= 0.5]))) < FEWEST
    return len(np.unique(ids)) <= FEWEST or bool(np.ptp(y) == 0)


@dataclasses.dataclass(frozen=True)
class TaskScores:
    """Mean held-out scores of one task.

    Attributes
    ----------
    y : (n,)
    ids : (n,) participant of each scan, as whole numbers
    scores : representation -> (n,), missing where it has none
    """

    y: np.ndarray
    ids: np.ndarray
    scores: dict[str, np.ndarray]

    @classmethod
    def of(cls, heldout: pd.DataFrame) -> "TaskScores":
        """Take them from representation, scan_id, participant_id, y, score."""
        wide = heldout.pivot(index=["participant_id", "scan_id", "y"], columns="representation", values="score")
        ids = pd.factorize(wide.index.get_level_values("participant_id"))[0]
        y = wide.index.get_level_values("y").to_numpy(dtype=float)
        return cls(y, ids, {name: wide[name].to_numpy(dtype=float) for name in wide})


def _r2(y: np.ndarray, score: np.ndarray) -> float:
    return float(r2_rows(score[None], y, np.ones((1, len(y)), dtype=bool))[0])


def test_pair(
    task: TaskScores,
    pair: tuple[str, str],
    metric: str,
    level: float,
    n_swaps: int,
    n_bootstrap: int,
    generators: tuple[np.random.Generator, np.random.Generator],
) -> dict[str, float]:
    """Compare two representations by all tests over participants.

    Parameters
    ----------
    task : TaskScores
    pair : tuple of str
        The representations a and b; scans that one of them lacks are left out.
    metric : {'auc', 'r2'}
    level : float
        Coverage of the intervals.
    n_swaps, n_bootstrap : int
        Permutations of the swap test; draws of participants, 0 for no bootstrap.
    generators : two of numpy.random.Generator
        For swaps and for the bootstrap.

    Returns
    -------
    dict
        n_scans; heldout_a, heldout_b, heldout_difference (metric of the mean held-out scores); p_delong, lower_delong,
        upper_delong (AUC only; Obuchowski's form where somebody has several scans); p_swap; lower_percentile,
        upper_percentile, lower_bca, upper_bca. What there are too few people for is missing.
    """
    a, b = (task.scores[name] for name in pair)
    known = np.isfinite(a) & np.isfinite(b)
    y, ids, a, b = task.y[known], task.ids[known], a[known], b[known]
    out = dict.fromkeys(TESTED, NONE) | {"n_scans": len(y)}
    if _too_few(y, ids, metric):
        return out
    clusters = _clusters(ids)
    if metric == "auc":
        found = delong.compare_paired(y, a, b, level, clusters)
        out |= {f"heldout_{side}": found[f"auc_{side}"] for side in "ab"} | {"p_delong": found["p"]}
        out |= {f"{end}_delong": found[end] for end in ("lower", "upper")}
    else:
        out |= {"heldout_a": _r2(y, a), "heldout_b": _r2(y, b)}
    out["heldout_difference"] = out["heldout_a"] - out["heldout_b"]
    out["p_swap"] = swap_test(y, a, b, metric, n_swaps, generators[0], clusters)
    if n_bootstrap:
        bounds = bootstrap.bootstrap_difference(y, a, b, metric, n_bootstrap, generators[1], clusters, level)
        ends = [f"{end}_{kind}" for end in ("lower", "upper") for kind in ("percentile", "bca")]
        out |= {end: bounds[end] for end in ends}
    return out


test_pair.__test__ = False  # not a test of pytest's, whatever its name


def score_interval(
    scans: pd.DataFrame, metric: str, level: float, n_bootstrap: int, rng: np.random.Generator
) -> dict[str, float]:
    """Bound one representation's metric of mean held-out scores, over participants.

    Parameters
    ----------
    scans : pandas.DataFrame
        participant_id, y, score.
    metric : {'auc', 'r2'}
    level : float
    n_bootstrap : int
        For R2.
    rng : numpy.random.Generator

    Returns
    -------
    dict
        heldout, lower_heldout, upper_heldout: DeLong's on the logit scale for AUC, which stays within 0 and 1 and is
        missing at 0 and 1; for R2 percentiles over draws of participants, whose rival is the mean of everybody.
    """
    y, ids = scans["y"].to_numpy(dtype=float), pd.factorize(scans["participant_id"])[0]
    score = scans["score"].to_numpy(dtype=float)
    if _too_few(y, ids, metric):
        return {"heldout": NONE, "lower_heldout": NONE, "upper_heldout": NONE}
    if metric == "auc":
        found = delong.auc_interval(y, score, level, "logit", _clusters(ids))
        return {"heldout": found["auc"], "lower_heldout": found["lower"], "upper_heldout": found["upper"]}
    # R2 is the gain over a model that says everybody's mean
    rival = np.full(len(y), y.mean())
    found = bootstrap.bootstrap_difference(y, score, rival, "r2", n_bootstrap, rng, _clusters(ids), level)
    bounds = {f"{end}_heldout": found[f"{end}_percentile"] for end in ("lower", "upper")}
    return {"heldout": _r2(y, score)} | bounds
