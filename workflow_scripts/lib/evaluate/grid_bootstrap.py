r"""What test images add to the uncertainty of a contrast: bootstrap of the whole grid by groups.

One draw takes the groups (exam, patient, cluster of duplicates) of each dataset with replacement; how often a group
came is the weight of all its images, in the test sets of all splits, for all fits at once. Every AUC of the grid is
recomputed under these weights, and the contrast with it. Fits stay as they are: nothing here knows of other training
sets, seeds or settings.

With :math:`L_f` what fit f counts in a contrast and :math:`K_f` (positives, negatives) 1 where its score puts the
positive above (ties one half), the contrast under weights w is, for each test set,

.. math:: \sum_f L_f \frac{w_1' K_f w_0}{\sum w_1 \sum w_0} = \frac{w_1' (\sum_f L_f K_f) w_0}{\sum w_1 \sum w_0}

so that the fits of a test set are added up before anything is drawn.
"""

import dataclasses

import numpy as np
import pandas as pd
from scipy import stats

from workflow_scripts.lib.evaluate.adjust import holm
from workflow_scripts.lib.evaluate.bootstrap import draw_counts
from workflow_scripts.lib.evaluate.grid_models import GridModel, fit_shares, planned
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.seeds import generator

FITS_AT_ONCE = 64
NEGLIGIBLE = 1e-12  # share of a fit in a contrast
CONTRAST = ["kind", "dataset", "backbone", "a", "b", "estimate"]
SETTINGS = ["se_settings", "df_settings", "lower_settings", "upper_settings", "p_settings", "p_settings_holm"]
GROUPS = ["se_groups", "lower_groups", "upper_groups"]
BOTH = ["se_both", "df_both", "lower_both", "upper_both", "p_both", "p_both_holm"]


@dataclasses.dataclass(frozen=True)
class TestSet:
    """Test images of one split of a dataset and their scores by all fits.

    Attributes
    ----------
    dataset : str
    group : (images,) int, place of each image's group among the dataset's
    positive : (images,) bool
    fits : (fits,) int, rows of the table of fits
    scores : (fits, images)
    """

    __test__ = False  # pytest: no test
    dataset: str
    group: np.ndarray
    positive: np.ndarray
    fits: np.ndarray
    scores: np.ndarray


def gather(fits: pd.DataFrame, scores: pd.DataFrame, groups: dict[str, pd.Series]) -> tuple[list[TestSet], dict]:
    """Arrange the test scores of a grid by dataset and split.

    Parameters
    ----------
    fits : pandas.DataFrame
        cell, split, seed, dataset, and grouping if splits of both kinds are there; rows in the order of the shares.
    scores : pandas.DataFrame
        Schema ``grid_scores``; rows of other fits and sets do not matter.
    groups : dict of str to pandas.Series
        Dataset -> group of each image_id.

    Returns
    -------
    sets : list of TestSet
    sizes : dict
        Dataset -> number of groups that any test set holds.

    Raises
    ------
    StudyError
        A fit has no scores, an image no group, or fits of one split tested different images.
    """
    own = scores[scores["set"] == "test"].merge(
        fits[["cell", "split", "seed", "dataset"]].assign(fit=np.arange(len(fits))), on=["cell", "split", "seed"]
    )
    absent = np.setdiff1d(np.arange(len(fits)), own["fit"].unique())
    if len(absent):
        raise StudyError(
            f"cell {fits['cell'].iloc[absent[0]]} has a test AUC and no test scores. The tables of the grid do not "
            "belong together: delete fit_cells and run it again."
        )
    sets, sizes = [], {}
    kind = fits["grouping"].to_numpy() if "grouping" in fits else np.full(len(fits), "groups")
    for dataset, part in own.groupby("dataset", sort=True):
        members = groups[dataset].reindex(part["image_id"].unique())
        if members.isna().any():
            raise StudyError(f"{dataset}: test image '{members.index[members.isna()][0]}' has no group.")
        place = pd.Series(np.unique(members.astype(str), return_inverse=True)[1], index=members.index)
        sizes[dataset] = int(place.max()) + 1
        for _, block in part.groupby([part["split"], kind[part["fit"]]], sort=True):
            sets.append(_test_set(dataset, block, place))
    return sets, sizes


def _test_set(dataset: str, block: pd.DataFrame, place: pd.Series) -> TestSet:
    """Turn the long scores of a split into a matrix."""
    matrix = block.pivot(index="fit", columns="image_id", values="score")
    if matrix.isna().any(axis=None):
        fit, image = np.argwhere(matrix.isna())[0]
        raise StudyError(
            f"{dataset}: test image '{matrix.columns[image]}' of split {block['split'].iloc[0]} has no score by cell "
            f"{block.loc[block['fit'] == matrix.index[fit], 'cell'].iloc[0]}; others have. Run fit_cells again."
        )
    positive = block.drop_duplicates("image_id").set_index("image_id")["positive"].reindex(matrix.columns)
    return TestSet(
        dataset,
        place.reindex(matrix.columns).to_numpy(),
        positive.to_numpy(bool),
        matrix.index.to_numpy(),
        matrix.to_numpy(),
    )


def summed_kernels(one: TestSet, shares: np.ndarray) -> np.ndarray:
    """Add up what pairs of a positive and a negative count in each contrast, (contrasts, positives, negatives)."""
    positive, negative = one.scores[:, one.positive], one.scores[:, ~one.positive]
    out = np.zeros((len(shares), positive.shape[1] * negative.shape[1]))
    for first in range(0, len(one.fits), FITS_AT_ONCE):
        rows = slice(first, first + FITS_AT_ONCE)
        gap = positive[rows, :, None] - negative[rows, None, :]
        out += shares[:, one.fits[rows]] @ ((np.sign(gap) + 1) / 2).reshape(len(gap), -1)
    return out.reshape(len(shares), positive.shape[1], negative.shape[1])


def draw_contrasts(
    sets: list[TestSet], sizes: dict[str, int], shares: np.ndarray, n_bootstrap: int, seed: int
) -> np.ndarray:
    """Recompute contrasts under draws of test groups.

    Parameters
    ----------
    sets, sizes
        From :func:`gather`.
    shares : numpy.ndarray, (contrasts, fits)
        From :func:`~workflow_scripts.lib.evaluate.grid_models.fit_shares`.
    n_bootstrap, seed : int
        Draws, and the study's seed; draws of a dataset are named by it.

    Returns
    -------
    numpy.ndarray, (n_bootstrap, contrasts)
        Missing where an AUC that the contrast needs has no weight on one class.
    """
    out = np.zeros((n_bootstrap, len(shares)))
    for dataset in sizes:
        counts = draw_counts(n_bootstrap, sizes[dataset], generator(seed, "grid bootstrap", dataset))
        for one in (one for one in sets if one.dataset == dataset):
            weights = counts[:, one.group]
            w1, w0 = weights[:, one.positive], weights[:, ~one.positive]
            needed = np.flatnonzero((np.abs(shares[:, one.fits]) > NEGLIGIBLE).any(1))
            kernels = summed_kernels(one, shares[needed])
            with np.errstate(invalid="ignore", divide="ignore"):
                scale = 1 / (w1.sum(1) * w0.sum(1))
                for contrast, kernel in zip(needed, kernels, strict=True):
                    out[:, contrast] += np.einsum("dj,dj->d", w1 @ kernel, w0) * scale
    out[~np.isfinite(out)] = np.nan
    return out


def _settings(model: GridModel, row: np.ndarray, level: float) -> dict[str, float]:
    """Test a contrast in the mixed model; missing without one."""
    if model.fitted is None:
        return dict.fromkeys(SETTINGS[:-1], np.nan)
    found = model.fitted.contrast(dict(zip(model.fitted.terms["term"], row, strict=True)), level)
    return {name: found[name.removesuffix("_settings")] for name in SETTINGS[:-1]}


def _both(estimate: float, se: float, df: float, se_groups: float, groups: int, level: float) -> dict[str, float]:
    """Add up both variances; degrees of freedom by Satterthwaite, with those of groups their number less one."""
    total = se**2 + se_groups**2
    if not total > 0 or groups < 2:
        return dict.fromkeys(BOTH[:-1], np.nan)
    free = total**2 / (se**4 / df + se_groups**4 / (groups - 1))
    width = stats.t.ppf(0.5 + level / 2, free) * np.sqrt(total)
    p = 2 * stats.t.sf(abs(estimate) / np.sqrt(total), free)
    return dict(zip(BOTH[:-1], [np.sqrt(total), free, estimate - width, estimate + width, p], strict=True))


def contrasts_table(
    model: GridModel,
    scores: pd.DataFrame,
    groups: dict[str, pd.Series],
    n_bootstrap: int,
    seed: int,
    level: float = 0.95,
) -> pd.DataFrame:
    """Estimate the planned contrasts with three intervals each.

    Parameters
    ----------
    model : GridModel
        The recommended one.
    scores : pandas.DataFrame
        Schema ``grid_scores``.
    groups : dict of str to pandas.Series
        Dataset -> group of each image_id.
    n_bootstrap, seed : int
    level : float

    Returns
    -------
    pandas.DataFrame
        Schema ``grid_contrasts``. ``_settings``: the mixed model's, about other settings, splits and seeds with these
        test images. ``_groups``: about these fits with other test groups. ``_both``: their variances added, which
        counts part of the noise of test images twice: rather too wide than too narrow.
    """
    names, rows = planned(model)
    shares = fit_shares(model, rows)
    table = model.table
    fits = table.assign(split=table["split"].str.rsplit(" ", n=1).str[1].astype(int))
    sets, sizes = gather(fits, scores, groups)
    draws = draw_contrasts(sets, sizes, shares, n_bootstrap, seed)
    estimates = shares @ table["test_auc"].to_numpy(dtype=np.float64)
    found = []
    for number, estimate in enumerate(estimates):
        drawn = draws[np.isfinite(draws[:, number]), number]
        held = [size for name, size in sizes.items() if _touches(shares[number], table, name)]
        # a single group, drawn again and again, has no spread and bounds nothing
        drawn = drawn if min(held, default=0) > 1 else drawn[:0]
        ends = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2]) if len(drawn) else [np.nan, np.nan]
        spread = float(drawn.std(ddof=1)) if len(drawn) > 1 else np.nan
        own = _settings(model, rows[number], level)
        both = _both(estimate, own["se_settings"], own["df_settings"], spread, sum(held), level)
        ends = dict(zip(GROUPS, [spread, *ends], strict=True))
        counts = {"fits": len(table), "groups": sum(held), "n_bootstrap": len(drawn)}
        found.append({"estimate": estimate, **own, **ends, **both, **counts})
    if not found:
        return pd.DataFrame(columns=[*CONTRAST, *SETTINGS, *GROUPS, *BOTH, "fits", "groups", "n_bootstrap"])
    out = pd.concat([names, pd.DataFrame(found)], axis=1)
    for kind in ("settings", "both"):
        out[f"p_{kind}_holm"] = holm(out[f"p_{kind}"].to_numpy())
    return out[[*CONTRAST, *SETTINGS, *GROUPS, *BOTH, "fits", "groups", "n_bootstrap"]]


def _touches(shares: np.ndarray, table: pd.DataFrame, dataset: str) -> bool:
    return bool((np.abs(shares[(table["dataset"] == dataset).to_numpy()]) > NEGLIGIBLE).any())
