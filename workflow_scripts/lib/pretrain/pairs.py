"""Pairs of visits of one participant, for methods that learn from what changes between them."""

import numpy as np
import pandas as pd

from workflow_scripts.lib.study.errors import StudyError

ROUNDING = 6  # decimals of a gap in years, so that ages 63.4 and 64.4 are one year apart, not 1.000000000000007


def find_pairs(scans: pd.DataFrame, minimum_years: float = 1.0, time: str = "age") -> np.ndarray:
    """List all ordered pairs of scans of one participant that lie more than so many years apart.

    Parameters
    ----------
    scans : pandas.DataFrame
        scan_id, participant_id, and ``time``; a scan without a time is in no pair.
    minimum_years : float
        Published 1; not negative.
    time : str
        The column in years from which gaps are taken: age, or years since anything that is the same for
        all scans of a participant.

    Returns
    -------
    numpy.ndarray
        int64, pairs x 2: rows of ``scans`` (counted from 0), the earlier scan first. In the order of the
        earlier scan, then of the later.

    Raises
    ------
    StudyError
        If there is no pair.

    References
    ----------
    Zhao et al., Longitudinal self-supervised learning, Med. Image Anal. 71 (2021) 102051.
    """
    if minimum_years < 0:
        raise StudyError(f"pairs of visits: least gap found {minimum_years} years, expected 0 or more.")
    visits = pd.DataFrame(
        {
            "participant": scans["participant_id"].to_numpy(),
            "years": pd.to_numeric(scans[time]).to_numpy(float),
            "row": np.arange(len(scans)),
        }
    ).dropna()
    both = visits.merge(visits, on="participant", suffixes=("_first", "_second"))
    gap = (both["years_second"] - both["years_first"]).round(ROUNDING)
    pairs = both.loc[gap > minimum_years, ["row_first", "row_second"]].sort_values(["row_first", "row_second"])
    if pairs.empty:
        _refuse(scans, visits, gap, minimum_years, time)
    return pairs.to_numpy(dtype=np.int64)


def _refuse(scans: pd.DataFrame, visits: pd.DataFrame, gap: pd.Series, minimum_years: float, time: str) -> None:
    """Say why there is no pair, and what would mend it."""
    twice = int((scans.groupby("participant_id").size() > 1).sum())
    timed = int((visits.groupby("participant").size() > 1).sum())
    raise StudyError(
        f"no two scans of a participant are more than {minimum_years:g} years apart: of "
        f"{scans['participant_id'].nunique()} participants {twice} have two visits or more, {timed} of them with "
        f"'{time}' at both; the longest gap is {max(gap.max(), 0) if len(gap) else 0:g} years. Add participants with "
        "repeated visits, fill in their ages, or lower min_years; or leave this method out."
    )
