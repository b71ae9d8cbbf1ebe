"""How p-values move with the number of resamples, which anyone can raise at no cost.

A test about the population must not grow surer because a computer ran longer. Shown for both tests
of :mod:`workflow_scripts.lib.evaluate.compare`, from the resamples at hand.
"""

import numpy as np
import pandas as pd

from workflow_scripts.lib.evaluate.summarise import compare_representations

SMALLEST = 10
COLUMNS = ["task", "metric", "a", "b", "n_resamples", "difference", "p_permutation", "p_corrected"]


def resample_counts(n_resamples: int) -> list[int]:
    """Return the numbers of resamples to look at: 10, 20, 40 and so on, and all."""
    counts = []
    count = SMALLEST
    while count < n_resamples:
        counts.append(count)
        count *= 2
    return [*counts, n_resamples]


def sensitivity(values: pd.DataFrame, pool: dict[str, int], options: dict, seed: int) -> pd.DataFrame:
    """Compare each pair on the first 10, 20, 40, ... and on all resamples.

    Parameters
    ----------
    values, pool, options, seed
        As :func:`workflow_scripts.lib.evaluate.summarise.compare_representations`.

    Returns
    -------
    pandas.DataFrame
        task, metric, a, b, n_resamples, difference, p_permutation, p_corrected.
    """
    rank = values["resample"].rank(method="dense").to_numpy(dtype=int)
    parts = [pd.DataFrame(columns=COLUMNS)]
    for count in resample_counts(int(rank.max(initial=0))):
        found = compare_representations(values[np.less_equal(rank, count)], pool, options, seed)
        if len(found):
            parts.append(found[COLUMNS])
    return pd.concat(parts[1:] or parts, ignore_index=True)
