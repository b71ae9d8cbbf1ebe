"""Scores of the units that tests between selected models are made on: exams where there are any, else images.

A selected cell has a fit for each seed and split. Its score of an image is the mean softmax over seeds (with one seed,
the fit's own); slices of an exam then become one score, their mean or largest. Each split has its own test set, and
splits overlap: a unit that several splits test counts once in what is said over all splits.
"""

import dataclasses

import numpy as np
import pandas as pd

from workflow_scripts.lib.evaluate.delong import share_below
from workflow_scripts.lib.study.errors import StudyError

EXAM_SCORES = ("mean", "max")
ALL = "all"


@dataclasses.dataclass(frozen=True)
class Units:
    """Units of one dataset as a selected cell scores them.

    Attributes
    ----------
    dataset, weights, cell : str
    kind : str, ``exam`` or ``image``
    table : pandas.DataFrame
        set (validation, test), split, unit, group, positive, score.
    """

    dataset: str
    weights: str
    cell: str
    kind: str
    table: pd.DataFrame

    def part(self, which: str, split: int) -> pd.DataFrame:
        """Return the units of one set of one split, in the order of their names."""
        own = self.table[(self.table["set"] == which) & (self.table["split"] == split)]
        return own.sort_values("unit", ignore_index=True)

    @property
    def splits(self) -> list[int]:
        """Numbers of the splits that have test scores."""
        return sorted(int(split) for split in self.table.loc[self.table["set"] == "test", "split"].unique())


def score_units(
    scores: pd.DataFrame,
    images: pd.DataFrame,
    dataset: str,
    weights: str,
    cell: str,
    exam_score: str = "mean",
) -> Units:
    """Make units of the scores of one cell.

    Parameters
    ----------
    scores : pandas.DataFrame
        Schema ``grid_scores``.
    images : pandas.DataFrame
        image_id, group, exam_id of the dataset.
    dataset, weights, cell : str
    exam_score : {'mean', 'max'}

    Returns
    -------
    Units
        An exam is positive if a slice is. Without exam ids, units are images; beside exams, an image without one
        is its own, named ``image ID``.

    Raises
    ------
    StudyError
        The cell has no scores, or an image no group.
    """
    if exam_score not in EXAM_SCORES:
        raise ValueError(f"exam_score is '{exam_score}'; expected mean or max")
    own = scores[(scores["cell"] == cell) & scores["score"].notna()]
    if own.empty:
        raise StudyError(f"cell {cell} has no scores; every fit of it failed. See fits.tsv of the grid.")
    keys = ["set", "split", "image_id"]
    means = own.groupby(keys, sort=True).agg(positive=("positive", "first"), score=("score", "mean")).reset_index()
    told = images.set_index("image_id")[["group", "exam_id"]]
    means = means.join(told, on="image_id")
    if means["group"].isna().any():
        raise StudyError(f"{dataset}: image '{means.loc[means['group'].isna(), 'image_id'].iloc[0]}' has no group.")
    kind = "exam" if means["exam_id"].notna().any() else "image"
    # a stand-in cannot be the name of an exam: ids have no blank
    alone = means["image_id"].astype(str) if kind == "image" else "image " + means["image_id"].astype(str)
    means["unit"] = means["exam_id"].astype(object).where(means["exam_id"].notna(), alone).astype(str)
    units = means.groupby(["set", "split", "unit"], sort=True).agg(
        group=("group", "first"), positive=("positive", "max"), score=("score", exam_score)
    )
    table = units.reset_index().astype({"positive": bool, "split": int, "group": str})
    return Units(dataset, weights, cell, kind, table)


def over_splits(units: Units) -> pd.DataFrame:
    """Return unit, group, positive and the mean rank of each unit over the splits that test it, 0 to 1.

    Fits of different splits have scores of different spread; ranks among the units of a test set are alike.
    """
    parts = []
    for split in units.splits:
        part = units.part("test", split)
        score = part["score"].to_numpy()
        parts.append(part.assign(score=share_below(score, score)))
    every = pd.concat(parts, ignore_index=True)
    return every.groupby("unit", sort=True, as_index=False).agg(
        group=("group", "first"), positive=("positive", "first"), score=("score", "mean")
    )


def best_threshold(positive: np.ndarray, score: np.ndarray) -> float:
    """Return the threshold with the largest sensitivity + specificity (Youden's J) on a validation set.

    Parameters
    ----------
    positive : numpy.ndarray of bool, (n,)
    score : numpy.ndarray, (n,)
        A unit is called positive from the threshold on.

    Returns
    -------
    float
        Midway between two neighbouring scores; of equally good places the middle one. Missing if a class is.

    References
    ----------
    Youden (1950), Cancer 3:32.
    """
    positive = np.asarray(positive, dtype=bool)
    values = np.unique(score)
    if not 0 < positive.sum() < len(positive):
        return np.nan
    if len(values) < 2:
        return float(values[0])
    places = (values[1:] + values[:-1]) / 2
    called = np.asarray(score)[None, :] >= places[:, None]
    j = called[:, positive].mean(1) - called[:, ~positive].mean(1)
    best = np.flatnonzero(j >= j.max() - 1e-12)
    return float(places[best[len(best) // 2]])


def decide(units: Units, split: int) -> tuple[pd.Series, float]:
    """Return whether each test unit of a split is decided rightly, indexed by unit, and the threshold.

    The threshold is fixed on the validation units of the same split. Missing where validation has one class.
    """
    validation, test = units.part("validation", split), units.part("test", split)
    threshold = best_threshold(validation["positive"].to_numpy(), validation["score"].to_numpy())
    right = (test["score"] >= threshold) == test["positive"]
    return pd.Series(right.to_numpy(), index=pd.Index(test["unit"], name="unit")), threshold
