"""How p-values move with the number of resamples, which anyone can raise at no cost.

A test about the population must not grow surer because a computer ran longer. Shown for the published test and for
every test that is meant to hold, from the resamples at hand: no fit is made again.
"""

import dataclasses

import pandas as pd

from workflow_scripts.lib.evaluate.collect import Collected
from workflow_scripts.lib.evaluate.pairs import CompareOptions, compare_representations

KEYS = ["task", "metric", "a", "b"]
COLUMNS = [*KEYS, "first", "n_resamples", "n_scans", "difference", "heldout_difference"]
COLUMNS += ["p_permutation", "p_corrected", "p_nadeau_bengio", "p_delong", "p_swap"]


def sensitivity(collected: Collected, comparisons: pd.DataFrame, options: CompareOptions, seed: int) -> pd.DataFrame:
    """Compare each pair on the first 10, 20, 40, ... and on all resamples.

    Parameters
    ----------
    collected : Collected
        With ``early`` held-out scores.
    comparisons : pandas.DataFrame
        What :func:`workflow_scripts.lib.evaluate.pairs.compare_representations` found with all of them.
    options, seed
        As there.

    Returns
    -------
    pandas.DataFrame
        task, metric, a, b, first (resamples looked at), n_resamples (those in which both have the metric), n_scans
        (held out at least once), difference, heldout_difference and the p-values, not adjusted.
    """
    options = dataclasses.replace(options, n_bootstrap=0)  # an interval is no p-value
    *early, last = sorted(collected.heldout)
    parts = [compare_representations(collected, options, seed, first).assign(first=first) for first in early]
    table = pd.concat([*parts, comparisons.assign(first=last)], ignore_index=True)[COLUMNS]
    # sorted by task and pair as they first stand, then by resamples
    place = table.groupby(KEYS, sort=False).ngroup()
    return table.iloc[place.argsort(kind="stable")].reset_index(drop=True)
