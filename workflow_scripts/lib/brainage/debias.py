"""Take the dependence on age out of the gap.

Any regression draws predictions towards the mean age, so that the gap falls with age: young brains look older and old
ones younger. All methods here fit one line, gap = intercept + slope * age, which is the same as
predicted age = intercept + (1 + slope) * age; they differ in what they do with it:

``orthogonal``
    The gap less its line (published). Fitted on the people who are analysed it is what Smith et al. do, and the gap is
    exactly uncorrelated with age in them; fitted on training people, it is nearly so in others.
``beheshti``
    The line's value at a person's age, the offset, is taken from the predicted age. The gap is then the same number
    as ``orthogonal`` gives; what the authors add is that the line comes from the training people and no others, and a
    corrected predicted age, which holds the true age and must not be scored as a prediction.
``delange``
    Corrected age = (predicted age - intercept) / (1 + slope), which needs no true age. Its gap is that of
    ``orthogonal`` divided by 1 + slope: larger, in years of ageing rather than of prediction, and with the same
    correlations and p-values.
``none``
    The gap as it is.

Which people the line is fitted on matters. Residuals of the training people themselves are too small (the model has
seen them) and give too flat a line; hence their out-of-fold predictions. The models of the folds have fewer people
than the final one and draw a little more towards the mean, so that with a dozen people in few folds the line is too
steep and overcorrects: use many folds where people are few.

References
----------
Smith et al. (2019), NeuroImage 200:528. Beheshti et al. (2019), NeuroImage Clin 24:102063. de Lange & Cole (2020),
NeuroImage Clin 26:102229.
"""

import dataclasses

import numpy as np

from workflow_scripts.lib.study.errors import StudyError

METHODS = ("orthogonal", "beheshti", "delange", "none")
FITTED_ON = ("train", "test")
# dividing by less than this blows small errors up to decades
LEAST_SLOPE = 0.05


@dataclasses.dataclass(frozen=True)
class AgeLine:
    """Expected gap at an age: intercept + slope * age, in years."""

    intercept: float
    slope: float

    def at(self, age: np.ndarray) -> np.ndarray:
        """Return the expected gap at these ages, in years."""
        return self.intercept + self.slope * age


def fit_age_line(gap: np.ndarray, age: np.ndarray) -> AgeLine:
    """Regress the gap on age by least squares.

    Parameters
    ----------
    gap : numpy.ndarray, (n_people,)
        Predicted less true age in years, predicted by a model that did not see these people.
    age : numpy.ndarray, (n_people,)
        Years.

    Raises
    ------
    StudyError
        Fewer than 3 people, or all of one age.
    """
    if len(age) < 3 or np.ptp(age) == 0:
        raise StudyError(
            f"brainage: {len(age)} people of {len(np.unique(age))} different ages cannot show how the gap depends on "
            "age. Give the normative sample more people."
        )
    centred = age - age.mean()
    slope = float(centred @ gap / (centred @ centred))
    return AgeLine(float(gap.mean() - slope * age.mean()), slope)


def check_method(method: str, fit_on: str) -> None:
    """Refuse a method that is unknown, or fitted on people that its authors did not fit it on.

    Raises
    ------
    StudyError
        Names the key, what was found and what is allowed.
    """
    if method not in METHODS:
        raise StudyError(f"brainage: debias: found '{method}', expected one of {', '.join(METHODS)}.")
    if fit_on not in FITTED_ON:
        raise StudyError(f"brainage: fit_on: found '{fit_on}', expected one of {', '.join(FITTED_ON)}.")
    if fit_on == "test" and method in ("beheshti", "delange"):
        raise StudyError(
            f"brainage: debias: {method} is defined by the line of the training people, but fit_on is test. "
            "Set brainage: fit_on: train, or debias: orthogonal."
        )


def debias(method: str, line: AgeLine, predicted: np.ndarray, age: np.ndarray) -> np.ndarray:
    """Return the debiased gap.

    Parameters
    ----------
    method : str
        One of :data:`METHODS`.
    line : AgeLine
        From :func:`fit_age_line`.
    predicted, age : numpy.ndarray, (n_people,)
        Years.

    Returns
    -------
    numpy.ndarray, (n_people,)
        Years. True age + this is a "corrected age" that is close to the true age by construction (except that of
        ``delange``) and says nothing about the accuracy of the model.

    Raises
    ------
    StudyError
        ``delange`` with a model whose predictions hardly rise with age.
    """
    gap = predicted - age
    if method == "none":
        return gap
    if method == "orthogonal":
        return gap - line.at(age)
    if method == "beheshti":
        corrected = predicted - line.at(age)
        return corrected - age
    rise = 1 + line.slope
    if rise < LEAST_SLOPE:
        raise StudyError(
            f"brainage: debias: delange divides by the slope of predicted on true age, which is {rise:.3g} (at least "
            f"{LEAST_SLOPE} is needed): the model does not see age. Use debias: orthogonal, or train on more people."
        )
    return (predicted - line.intercept) / rise - age
