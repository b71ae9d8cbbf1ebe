"""Features of a scan that lie far from those of other people of the same age at the same site."""

import numpy as np
import pandas as pd

ROUNDS = 30
TUNING = 4.685  # Tukey's biweight: 95 % of least squares' efficiency at a Gaussian (Beaton and Tukey 1974)
LEAST_SCANS = 10  # a median of deviations over fewer says nothing


def count_outliers(
    features: pd.DataFrame, age: pd.Series, site: pd.Series, tool: pd.Series, settings: dict
) -> pd.Series:
    """Count, for every scan, the features whose robust z exceeds a limit.

    A feature is compared within the scan's site if the site has ``min_scans`` scans of the same tool, else over all
    scans of that tool: numbers of two tools do not compare.

    Parameters
    ----------
    features : pandas.DataFrame
        Index scan_id, regional features in mm or mm3; NaN where missing.
    age : pandas.Series
        Years; a scan without an age is compared with people of all ages.
    site, tool : pandas.Series
        Groups, same index.
    settings : dict
        Config section ``qc: outliers``: ``z``, ``min_scans``.

    Returns
    -------
    pandas.Series
        float; NaN for scans without features or with fewer than 10 others to compare with.
    """
    scores = robust_scores(features, age, site, tool, settings["min_scans"])
    counts = (scores.abs() > settings["z"]).sum(axis=1).astype(float)
    return counts.where(scores.notna().any(axis=1)).rename("outlier_features")


def robust_scores(
    features: pd.DataFrame, age: pd.Series, site: pd.Series, tool: pd.Series, min_scans: int
) -> pd.DataFrame:
    """Give every feature's robust z: residual of a robust line on age over the residuals' scaled median deviation.

    Returns
    -------
    pandas.DataFrame
        Shape and index of ``features``; NaN where a feature is missing, has no spread or too few scans have it.
    """
    scores = pd.DataFrame(np.nan, index=features.index, columns=features.columns)
    tool = tool.reindex(features.index).fillna("unknown").astype(str)
    site = site.reindex(features.index).fillna("unknown").astype(str)
    for _, everyone in features.groupby(tool):
        sites = site[everyone.index]
        large = sites.map(sites.value_counts()) >= max(min_scans, LEAST_SCANS)
        groups = [part.index for _, part in everyone[large].groupby(sites[large])]
        if (~large).any():
            scores.loc[everyone.index[~large]] = _score(everyone, age)[(~large).to_numpy()]
        for group in groups:
            scores.loc[group] = _score(features.loc[group], age)
    return scores


def _score(table: pd.DataFrame, age: pd.Series) -> np.ndarray:
    """Score the scans of one group against each other; float64, scans x features."""
    values = table.to_numpy(float)
    years = age.reindex(table.index).to_numpy(float)
    known = np.isfinite(years)
    # without an age a scan is compared with the spread of all ages
    scores = _deviations(values, np.zeros(len(values)))
    if known.sum() >= LEAST_SCANS:
        scores[known] = _deviations(values[known], years[known])
    return scores


def _deviations(values: np.ndarray, years: np.ndarray) -> np.ndarray:
    """Divide the residuals of every feature by their scaled median deviation; NaN where that cannot be told."""
    scores = np.full(values.shape, np.nan)
    enough = np.isfinite(values).sum(axis=0) >= LEAST_SCANS
    if enough.any():
        values = values[:, enough]
        residuals = values - fit_on_age(values, years)
        spread = 1.4826 * np.nanmedian(np.abs(residuals), axis=0)
        # a spread of rounding errors is none: features such as vessels are zero in most people
        spread[spread <= 1e-9 * np.nanmax(np.abs(values), axis=0)] = np.nan
        scores[:, enough] = residuals / spread
    return scores


def fit_on_age(values: np.ndarray, years: np.ndarray) -> np.ndarray:
    """Fit a line on age to every feature by iteratively reweighted least squares with Tukey's biweight.

    Parameters
    ----------
    values : numpy.ndarray
        float64, scans x features; NaN where missing, but no feature that nobody has.
    years : numpy.ndarray
        float64, scans.

    Returns
    -------
    numpy.ndarray
        float64, scans x features: what the line says; the residuals' median is zero.

    References
    ----------
    Beaton and Tukey 1974, Technometrics 16:147; Holland and Welsch 1977, Commun Stat A 6:813.
    """
    there = np.isfinite(values)
    filled = np.where(there, values, 0.0)
    x = (years - np.median(years))[:, None]
    with np.errstate(all="ignore"):  # no spread at all: the weights' 0 / 0 becomes 0
        level = np.nanmedian(values, axis=0)
        slope = np.zeros(values.shape[1])
        for _ in range(ROUNDS):
            residual = values - level - slope * x
            scale = 1.4826 * np.nanmedian(np.abs(residual), axis=0)
            weight = np.where(there, np.clip(1 - (residual / (TUNING * scale)) ** 2, 0, None) ** 2, 0.0)
            weight = np.nan_to_num(weight)
            total = weight.sum(axis=0)
            mean_x, mean_y = (weight * x).sum(axis=0) / total, (weight * filled).sum(axis=0) / total
            spread = (weight * (x - mean_x) ** 2).sum(axis=0)
            steep = (weight * (x - mean_x) * (filled - mean_y)).sum(axis=0)
            slope = np.where(spread > 1e-9 * np.maximum(total, 1), steep / spread, 0.0)
            level = np.where(total > 0, mean_y - slope * mean_x, level)
        line = level + slope * x
        return line + np.nanmedian(values - line, axis=0)
