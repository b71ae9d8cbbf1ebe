"""A linear model of age in healthy people, and a card by which another site can apply it."""

import dataclasses

import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeCV

from workflow_scripts.lib.study.errors import StudyError

# from nearly none to enough to shrink all but the strongest direction of standardised columns
ALPHAS = np.logspace(-2, 5, 29)


@dataclasses.dataclass(frozen=True)
class AgeModel:
    """Predicted age = intercept + sum of coefficient * (column - mean) / scale.

    Attributes
    ----------
    columns : tuple of str
    mean, scale, coefficients : numpy.ndarray, (n_columns,), float64
        A column that is constant in training has coefficient 0.
    intercept : float
        Years.
    alpha : float
        Ridge penalty on standardised columns; 0 is ordinary least squares.
    """

    columns: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray
    coefficients: np.ndarray
    intercept: float
    alpha: float

    def predict(self, table: pd.DataFrame) -> np.ndarray:
        """Predict age in years for each row of a representation.

        Raises
        ------
        StudyError
            A column is missing.
        """
        absent = [column for column in self.columns if column not in table.columns]
        if absent:
            raise StudyError(f"brain-age model: column '{absent[0]}' is missing from the table. Add it.")
        x = np.ascontiguousarray(table[list(self.columns)].to_numpy(dtype=np.float64))
        # summed row by row: a matrix product rounds differently with the number of rows, and a card must give
        # another site the same last digit
        return self.intercept + ((x - self.mean) / self.scale * self.coefficients).sum(axis=1)

    def card(self) -> dict:
        """Return the model as plain numbers and text, for JSON."""
        numbers = {name: [float(v) for v in getattr(self, name)] for name in ("mean", "scale", "coefficients")}
        return {
            "columns": list(self.columns),
            **numbers,
            "intercept": float(self.intercept),
            "alpha": float(self.alpha),
        }

    @classmethod
    def from_card(cls, card: dict) -> "AgeModel":
        """Rebuild a model from its card."""
        arrays = {name: np.asarray(card[name], dtype=np.float64) for name in ("mean", "scale", "coefficients")}
        return cls(columns=tuple(card["columns"]), intercept=card["intercept"], alpha=card["alpha"], **arrays)


def _ordinary(z: np.ndarray, age: np.ndarray) -> np.ndarray:
    """Return least-squares coefficients of centred columns."""
    n, d = z.shape
    if n <= d + 1:
        raise StudyError(
            f"brainage: alpha: 0 (ordinary least squares) with {n} people and {d} columns fits any ages exactly. "
            "Set brainage: alpha: auto, or raise brainage: per_bucket."
        )
    return np.linalg.lstsq(z, age - age.mean(), rcond=None)[0]


def fit_age_model(table: pd.DataFrame, age: np.ndarray, alpha: float | str) -> AgeModel:
    """Fit age on a representation.

    The published study fits ordinary least squares to 4,000 people. With fewer people than a few
    times the columns that fits noise, so ``auto`` chooses a ridge penalty by the closed-form
    leave-one-out error on the training people themselves; no one else's age is looked at.

    Parameters
    ----------
    table : pandas.DataFrame, (n_people, n_columns)
        Numeric columns only.
    age : numpy.ndarray, (n_people,)
        Years.
    alpha : float or ``"auto"``
        0 for ordinary least squares, a penalty on standardised columns, or ``auto``.

    Returns
    -------
    AgeModel

    Raises
    ------
    StudyError
        A number is missing, or least squares has too few people.
    """
    x = table.to_numpy(dtype=np.float64)
    if not np.isfinite(x).all():
        row, column = np.argwhere(~np.isfinite(x))[0]
        raise StudyError(f"brainage: column '{table.columns[column]}' has {x[row, column]} in row {row}. Fill it in.")
    age = np.asarray(age, dtype=np.float64)
    mean, scale = x.mean(0), x.std(0)
    constant = scale <= 1e-12 * np.maximum(np.abs(x).max(0), 1)
    scale = np.where(constant, 1.0, scale)
    z = ((x - mean) / scale)[:, ~constant]
    coefficients = np.zeros(x.shape[1])
    if alpha == "auto":
        ridge = RidgeCV(alphas=ALPHAS).fit(z, age)
        coefficients[~constant], alpha = ridge.coef_, float(ridge.alpha_)
    elif alpha == 0:
        coefficients[~constant] = _ordinary(z, age)
    else:
        coefficients[~constant] = np.linalg.solve(z.T @ z + alpha * np.eye(z.shape[1]), z.T @ (age - age.mean()))
    return AgeModel(tuple(map(str, table.columns)), mean, scale, coefficients, float(age.mean()), float(alpha))


def out_of_fold(table: pd.DataFrame, age: np.ndarray, folds: np.ndarray, alpha: float | str) -> np.ndarray:
    """Predict each training person's age by a model that did not see them.

    Parameters
    ----------
    table, age, alpha
        As :func:`fit_age_model`; an automatic penalty is chosen anew without the fold.
    folds : numpy.ndarray of int, (n_people,)

    Returns
    -------
    numpy.ndarray, (n_people,)
        Years.
    """
    predicted = np.empty(len(age))
    for fold in np.unique(folds):
        out = folds == fold
        predicted[out] = fit_age_model(table[~out], age[~out], alpha).predict(table[out])
    return predicted
