"""Labels of scans: which are learned, as numbers that a network learns and back, and how good predicted ones are."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import mean_absolute_error, r2_score, roc_auc_score

from workflow_scripts.lib.study.errors import StudyError

SHOWN = 5  # values that an error message lists
KINDS = ("continuous", "binary", "bins")


@dataclasses.dataclass(frozen=True)
class Target:
    """A label that is learned.

    Attributes
    ----------
    name, column : str
        What it is called, and the column of the participants table that holds it.
    kind : {'continuous', 'binary', 'bins'}
        Squared error of the standardised value, cross-entropy, or divergence from soft bins.
    weight : float
        Of its loss in the sum; with 0 it is predicted but not learned.
    positive : str, float or None
        binary: the value that counts as 1; all others count as 0.
    low, high, width : float
        bins: first edge, last edge and width of the bins, in units of the label. Defaults: the published 40 of a year.
    sigma : float
        bins: standard deviation of the soft label; 0 puts all of it into the label's own bin.
    renormalise : bool
        bins: whether soft labels sum to 1 where the range cuts them off. Published: they do not, so that a
        label near an end counts for less.
    """

    name: str
    column: str
    kind: str
    weight: float = 1.0
    positive: str | float | None = None
    low: float = 42.0
    high: float = 82.0
    width: float = 1.0
    sigma: float = 1.0
    renormalise: bool = False

    def __post_init__(self):
        if self.kind not in KINDS:
            raise StudyError(f"target {self.name}: kind '{self.kind}' is not known; choose one of {', '.join(KINDS)}")
        if not 0 <= self.weight < float("inf"):
            raise StudyError(f"target {self.name}: weight must be 0 or more; found {self.weight}")
        if self.kind == "binary" and self.positive is None:
            raise StudyError(f"target {self.name}: say which value counts as 1, e.g. positive: M")
        if self.kind == "bins":
            self._check_bins()

    def _check_bins(self) -> None:
        if self.sigma < 0 or self.width <= 0:
            raise StudyError(
                f"target {self.name}: width must be above 0 and sigma not below; found {self.width} and {self.sigma}"
            )
        count = (self.high - self.low) / self.width
        if count < 2 or abs(count - round(count)) > 1e-6:
            raise StudyError(
                f"target {self.name}: from low {self.low:g} to high {self.high:g} there are {count:g} bins of "
                f"{self.width:g}, expected a whole number of 2 or more"
            )

    @classmethod
    def from_config(cls, name: str, entry: Mapping) -> "Target":
        """Make a target of an entry of ``targets``; the column is called like the target if none is named.

        Raises
        ------
        StudyError
            For a key that is not known, no kind, or values that do not fit together.
        """
        known = [field.name for field in dataclasses.fields(cls) if field.name != "name"]
        unknown = sorted(set(entry) - set(known))
        if unknown:
            raise StudyError(f"target {name}: key '{unknown[0]}' is not known; choose from {', '.join(known)}")
        if entry.get("kind") is None:
            raise StudyError(f"target {name}: key 'kind' is missing; choose one of {', '.join(KINDS)}")
        return cls(name=name, **{**entry, "column": entry.get("column") or name})

    @property
    def outputs(self) -> int:
        """How many outputs of the head it takes."""
        return round((self.high - self.low) / self.width) if self.kind == "bins" else 1

    @property
    def edges(self) -> np.ndarray:
        """Edges of the bins, one more than bins."""
        return self.low + self.width * np.arange(self.outputs + 1)

    @property
    def centres(self) -> np.ndarray:
        """Centres of the bins."""
        return self.edges[:-1] + self.width / 2


# the six of Leonardsen et al.; how they were coded and weighted is not published
PUBLISHED = (
    Target("age", "age", "continuous"),
    Target("sex", "sex", "binary", positive="M"),
    Target("handedness", "handedness", "binary", positive="left"),
    Target("bmi", "bmi", "continuous"),
    Target("fluid_intelligence", "fluid_intelligence", "continuous"),
    Target("neuroticism", "neuroticism", "continuous"),
)


def encode(
    table: pd.DataFrame, targets: Sequence[Target], statistics: Mapping[str, Mapping[str, float]] | None = None
) -> tuple[np.ndarray, dict[str, dict[str, float]]]:
    """Turn columns of the participants table into numbers to learn.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a scan.
    targets : sequence of Target
    statistics : mapping, optional
        Of the training scans. None: these are the training scans, and theirs are computed.

    Returns
    -------
    values : numpy.ndarray
        float32, scans x targets: standardised (continuous), 1 or 0 (binary), as they are (bins); NaN
        where missing.
    statistics : dict
        name -> ``mean``, ``sd`` (dividing by n; 1 where labels do not vary) and ``n`` of the known labels.

    Raises
    ------
    StudyError
        For a column that is not there, a value that is no number, and among training scans a bin
        target's label outside its bins or a binary target none of whose labels is the positive one.
    """
    raw = np.column_stack([_numbers(table, target) for target in targets])
    if statistics is None:
        statistics = {}
        for target, values in zip(targets, raw.T, strict=True):
            known = values[~np.isnan(values)]
            _check_training(target, known, table)
            mean, sd = (known.mean(), known.std()) if len(known) else (0.0, 0.0)
            statistics[target.name] = {"mean": float(mean), "sd": float(sd) if sd > 0 else 1.0, "n": len(known)}
    return _standardise(raw, targets, statistics), dict(statistics)


def _numbers(table: pd.DataFrame, target: Target) -> np.ndarray:
    """Read a target's column as float64, NaN where missing."""
    if target.column not in table:
        raise StudyError(
            f"target {target.name}: column '{target.column}' is not in the participants table, which has "
            f"{', '.join(map(str, table.columns))}. Correct the column, or name it in cohort.label_columns."
        )
    column = table[target.column]
    if target.kind == "binary":
        # whatever pandas made of the column: a number may stand there as text
        values = column.astype(str).to_numpy() if isinstance(target.positive, str) else _as_floats(column)
        return np.where(column.isna(), np.nan, values == target.positive)
    numbers = _as_floats(column)
    bad = (np.isnan(numbers) & column.notna().to_numpy()) | np.isinf(numbers)
    if bad.any():
        row = int(bad.argmax())
        name = f" of scan {table['scan_id'].iloc[row]}" if "scan_id" in table else ""
        raise StudyError(
            f"target {target.name}: column '{target.column}'{name} holds '{column.iloc[row]}', expected a number or an "
            "empty cell. Correct the value, or give the target kind: binary."
        )
    return numbers


def _as_floats(column: pd.Series) -> np.ndarray:
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


def _check_training(target: Target, known: np.ndarray, table: pd.DataFrame) -> None:
    """Refuse labels that a target cannot learn from."""
    if target.kind == "bins" and ((known < target.low) | (known > target.high)).any():
        outside = int(((known < target.low) | (known > target.high)).sum())
        raise StudyError(
            f"target {target.name}: {outside} of {len(known)} training labels lie outside its bins from "
            f"{target.low:g} to {target.high:g}; they run from {known.min():g} to {known.max():g}. Widen low and high."
        )
    if target.kind == "binary" and len(known) and not known.any():
        found = table[target.column].dropna().unique()[:SHOWN]
        raise StudyError(
            f"target {target.name}: none of {len(known)} training labels is '{target.positive}'; found "
            f"{', '.join(map(repr, map(str, found)))}. Correct positive, or leave the target out."
        )


def _standardise(raw: np.ndarray, targets: Sequence[Target], statistics: Mapping) -> np.ndarray:
    mean, sd = _scales(targets, statistics)
    return ((raw - mean) / sd).astype(np.float32)


def restore(values: np.ndarray, targets: Sequence[Target], statistics: Mapping) -> np.ndarray:
    """Undo the standardisation of :func:`encode`: scans x targets, float64, in the labels' units."""
    mean, sd = _scales(targets, statistics)
    return np.asarray(values, dtype=np.float64) * sd + mean


def _scales(targets: Sequence[Target], statistics: Mapping) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation by which each target's values are standardised: 0 and 1 unless continuous."""
    absent = [target.name for target in targets if target.name not in statistics]
    if absent:
        raise StudyError(
            f"no training statistics for target {absent[0]}; there are some for {', '.join(statistics) or 'none'}. "
            "Use the targets that the network was trained on."
        )
    known = [statistics[target.name] if target.kind == "continuous" else {"mean": 0, "sd": 1} for target in targets]
    return np.array([one["mean"] for one in known]), np.array([one["sd"] for one in known])


def metrics(predictions: np.ndarray, truth: np.ndarray, targets: Sequence[Target], statistics: Mapping) -> pd.DataFrame:
    """Score predicted labels against known ones.

    Parameters
    ----------
    predictions, truth : numpy.ndarray
        Scans x targets in the labels' units, from :func:`predict` and :func:`restore`; truth is NaN
        where missing.
    targets : sequence of Target
    statistics : mapping
        Of the training scans, for the naive predictor.

    Returns
    -------
    pandas.DataFrame
        target, metric, value (NaN where it cannot be had), n (scans with a label), reason (why it cannot be
        had, else empty). Metrics: ``mae``, ``mae_naive`` (of predicting the training mean for everybody), ``mae_gain``
        (``mae_naive`` less ``mae``), ``r2`` (against the mean of these scans) and ``r`` (Pearson); ``auc`` of a binary
        target.
    """
    rows = []
    for column, target in enumerate(targets):
        known = ~np.isnan(truth[:, column])
        y, predicted = truth[known, column], predictions[known, column]
        score = _score_binary if target.kind == "binary" else _score_continuous
        for metric, value, reason in score(y, predicted, statistics[target.name]):
            rows.append((target.name, metric, float(value), int(known.sum()), reason))
    return pd.DataFrame(rows, columns=["target", "metric", "value", "n", "reason"])


def _score_binary(y: np.ndarray, predicted: np.ndarray, _: Mapping) -> Iterator[tuple[str, float, str]]:
    if len(np.unique(y)) < 2:
        yield "auc", np.nan, "labels of one class only" if len(y) else "no labels"
    else:
        yield "auc", roc_auc_score(y, predicted), ""


def _score_continuous(y: np.ndarray, predicted: np.ndarray, training: Mapping) -> Iterator[tuple[str, float, str]]:
    if not len(y):
        yield from ((metric, np.nan, "no labels") for metric in ("mae", "mae_naive", "mae_gain", "r2", "r"))
        return
    error = mean_absolute_error(y, predicted)
    yield "mae", error, ""
    if training["n"]:
        naive = mean_absolute_error(y, np.full_like(y, training["mean"]))
        yield from (("mae_naive", naive, ""), ("mae_gain", naive - error, ""))
    else:
        yield from ((metric, np.nan, "no training labels") for metric in ("mae_naive", "mae_gain"))
    if np.ptp(y) == 0:
        yield from ((metric, np.nan, "all labels are equal") for metric in ("r2", "r"))
        return
    yield "r2", r2_score(y, predicted), ""
    if np.ptp(predicted) == 0:
        yield "r", np.nan, "all predictions are equal"
    else:
        yield "r", np.corrcoef(y, predicted)[0, 1], ""
