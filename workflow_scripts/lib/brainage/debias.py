"""Take the dependence on age out of the gap.

Any regression draws predictions towards the mean age, so that the gap falls with age: young brains
look older and old ones younger. The published study makes the gap orthogonal to age.

Which people the line is fitted on matters. Residuals of the training people themselves are too
small (the model has seen them) and give too flat a line; hence their out-of-fold predictions.
"""

import dataclasses

import numpy as np

from workflow_scripts.lib.study.errors import StudyError


@dataclasses.dataclass(frozen=True)
class AgeLine:
    """Expected gap at an age: intercept + slope * age, in years."""

    intercept: float
    slope: float

    def debias(self, gap: np.ndarray, age: np.ndarray) -> np.ndarray:
        """Return the gap less what is expected at this age, in years.

        The result uses the true age: a "debiased predicted age" (true age + this) correlates with
        age by construction and says nothing about the accuracy of the model.
        """
        return gap - (self.intercept + self.slope * age)


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

    References
    ----------
    Smith et al. (2019), NeuroImage 200:528.
    """
    if len(age) < 3 or np.ptp(age) == 0:
        raise StudyError(
            f"brainage: {len(age)} people of {len(np.unique(age))} different ages cannot show how the gap depends on "
            "age. Give the normative sample more people."
        )
    centred = age - age.mean()
    slope = float(centred @ gap / (centred @ centred))
    return AgeLine(float(gap.mean() - slope * age.mean()), slope)
