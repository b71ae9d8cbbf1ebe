"""Mean held-out scores the long way, for tests of the short ones."""

import numpy as np
from scipy import stats


def mean_grid(scores: np.ndarray, held_out: np.ndarray, scale: str = "rank") -> np.ndarray:
    """Average each column over the rows that held it out, ranks within a row first if wanted; NaN where none did."""
    placed = np.full(scores.shape, np.nan)
    for row, mask in enumerate(held_out):
        values = scores[row, mask]
        placed[row, mask] = (stats.rankdata(values) - 0.5) / mask.sum() if scale == "rank" else values
    out = np.full(scores.shape[1], np.nan)
    for column in np.flatnonzero(held_out.any(0)):
        out[column] = placed[held_out[:, column], column].mean()
    return out
