"""How well a classifier of images does on one set: AUC, F1, accuracy and loss."""

import numpy as np

from workflow_scripts.lib.evaluate.delong import share_below
from workflow_scripts.lib.study.errors import StudyError

MEASURES = ("auc", "f1", "accuracy", "loss")
SMALLEST = float(np.finfo(np.float64).eps)  # a probability of 0 has no finite loss
SUM_LIMIT = 1e-3  # softmax in float16 is this far from 1


def _check(y: np.ndarray, probabilities: np.ndarray, positive: int) -> None:
    """Refuse what is no table of class probabilities of these images."""
    if probabilities.ndim != 2 or probabilities.shape[1] < 2 or len(y) != len(probabilities) or not len(y):
        raise ValueError(
            f"{probabilities.shape} probabilities for {len(y)} images; expected (images, 2 or more classes)"
        )
    classes = probabilities.shape[1]
    if not 0 <= positive < classes:
        raise StudyError(
            f"the positive class {positive} is none of the classes 0 to {classes - 1}. Correct the config."
        )
    strange = ~np.isin(y, np.arange(classes))
    if strange.any():
        raise StudyError(
            f"image in row {strange.argmax()} has class {y[strange.argmax()]}; expected 0 to {classes - 1}."
        )
    sums = probabilities.sum(1)
    if np.isfinite(sums).all() and (np.abs(sums - 1) > SUM_LIMIT).any():
        row = int(np.abs(sums - 1).argmax())
        raise ValueError(f"probabilities of row {row} sum to {sums[row]:.6g}, not 1; give the softmax, not the logits")


def measure(y: np.ndarray, probabilities: np.ndarray, positive: int) -> dict[str, float]:
    """Measure one classifier on one set of images.

    Parameters
    ----------
    y : numpy.ndarray of int, (n,)
        Class of each image: 0, 1, ...
    probabilities : numpy.ndarray, (n, classes)
        Of each class; rows sum to 1.
    positive : int
        The class that is looked for.

    Returns
    -------
    dict
        auc: of the positive class against all others, ties one half; missing where only one side is there. f1: of the
        positive class, by the most probable class; 0 where there is neither a positive nor a call of it. accuracy:
        share of images whose most probable class (the first of equal ones) is theirs. loss: mean -log of the
        probability of the image's class. All are missing where a probability is: training diverged.

    Raises
    ------
    StudyError
        An image's class or ``positive`` is none of the classes.
    ValueError
        The arrays do not belong together, or rows do not sum to 1.
    """
    y, probabilities = np.asarray(y), np.asarray(probabilities, dtype=np.float64)
    _check(y, probabilities, positive)
    if not np.isfinite(probabilities).all():
        return dict.fromkeys(MEASURES, np.nan)
    predicted, is_positive, score = probabilities.argmax(1), y == positive, probabilities[:, positive]
    called = predicted == positive
    both_sides = 0 < is_positive.sum() < len(y)
    own = probabilities[np.arange(len(y)), y.astype(int)]
    return {
        "auc": float(share_below(score[is_positive], score[~is_positive]).mean()) if both_sides else np.nan,
        "f1": float(2 * (called & is_positive).sum() / max(called.sum() + is_positive.sum(), 1)),
        "accuracy": float((predicted == y).mean()),
        "loss": float(-np.log(np.maximum(own, SMALLEST)).mean()),
    }
