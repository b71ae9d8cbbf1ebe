r"""Linear models of a learning curve: logistic regression on each sample, its penalty chosen on the validation set.

Columns are standardised by the training images of the sample. The fits of a sample go from the
strongest penalty to the weakest, each starting at the one before: a large C on fewer images than
columns separates the classes, and Newton's method from afar would need its halving steps.
"""

import dataclasses
import logging
from collections.abc import Iterator

import numpy as np
import pandas as pd

from workflow_scripts.lib.evaluate.curve_samples import check_sample
from workflow_scripts.lib.evaluate.logistic import ACCEPTED, make_problem, newton
from workflow_scripts.lib.evaluate.metrics import auc_rows
from workflow_scripts.lib.evaluate.probe import align
from workflow_scripts.lib.study.errors import StudyError

FITS = ["task", "model", "n", "repeat", "setting", "parameters", "epochs", "validation_auc", "test_auc", "chosen"]
FITS += ["reason"]
SCORES = ["task", "model", "n", "repeat", "scan_id", "participant_id", "y", "score"]
logger = logging.getLogger(__name__)


def standardise(train: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """Centre and scale columns by the training rows; a column that is constant there becomes 0 everywhere."""
    mean, deviation = train.mean(0), train.std(0)
    deviation = np.where(deviation > 1e-12 * np.maximum(np.abs(train).max(0), 1), deviation, np.inf)
    return [(rows - mean) / deviation for rows in (train, *others)]


def fit_path(x: np.ndarray, y: np.ndarray, penalties: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Fit one sample with every penalty, each fit starting where the one before ended.

    Parameters
    ----------
    x : numpy.ndarray, (n, d), float64
        Standardised columns.
    y : numpy.ndarray, (n,)
        0 or 1, both present.
    penalties : list of float
        C as in scikit-learn, ascending.

    Returns
    -------
    beta : numpy.ndarray, (penalties, d + 1)
        Coefficients and, last, the intercept: those of ``LogisticRegression(C=C)``.
    error : numpy.ndarray, (penalties,)
        Largest gradient per image at the solution.
    """
    problem = make_problem(x, y, np.ones((1, len(x))), 1.0)
    beta = np.zeros((len(penalties) + 1, x.shape[1] + 1))
    error = np.empty(len(penalties))
    for place, c in enumerate(penalties):
        posed = dataclasses.replace(problem, penalty=problem.penalty / c)
        beta[[place + 1]], error[[place]] = newton(posed, beta[[place]])
    return beta[1:], error


def aucs(scores: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the AUC of each row of scores, (settings, n) -> (settings,)."""
    return auc_rows(scores, y, np.ones(scores.shape, dtype=bool))


def choose(validation_auc: np.ndarray) -> int:
    """Return the place of the largest validation AUC, of equal ones the first; -1 if none is known."""
    known = np.nan_to_num(np.asarray(validation_auc, dtype=float), nan=-1.0)
    return int(known.argmax()) if len(known) and known.max() >= 0 else -1


def fit_sample(
    sides: dict[str, tuple[np.ndarray, np.ndarray]], penalties: list[float]
) -> tuple[pd.DataFrame, np.ndarray]:
    """Fit one sample with every penalty and choose one on the validation set.

    Parameters
    ----------
    sides : dict
        train, validation, test -> columns (images, d), labels (images,).
    penalties : list of float
        C, ascending: of equal validation AUCs the smaller C wins.

    Returns
    -------
    fits : pandas.DataFrame
        setting, parameters, validation_auc, test_auc, chosen, reason.
    scores : numpy.ndarray, (test images,)
        Log odds by the chosen fit.
    """
    x = dict(zip(sides, standardise(*(columns for columns, _ in sides.values())), strict=True))
    beta, error = fit_path(x["train"], sides["train"][1], penalties)
    scores = {name: beta[:, :-1] @ x[name].T + beta[:, -1:] for name in ("validation", "test")}
    good = error <= ACCEPTED
    fits = pd.DataFrame({"setting": range(len(penalties)), "parameters": [f"c={c:g}" for c in penalties]})
    for name in scores:
        fits[f"{name}_auc"] = np.where(good, aucs(scores[name], sides[name][1]), np.nan)
    fits["reason"] = [None if rest <= ACCEPTED else f"did not converge (gradient {rest:.1e})" for rest in error]
    place = choose(fits["validation_auc"].to_numpy())
    fits["chosen"] = fits["setting"] == place
    return fits, scores["test"][place]


def read_sides(sample: pd.DataFrame, x: np.ndarray, rows: pd.Index) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Take columns and labels of the three sets of a sample; ``rows`` are the scans of the rows of x."""
    check_sample(sample)
    place, y = rows.get_indexer(sample["scan_id"]), sample["y"].to_numpy(dtype=np.float64)
    sides = {name: (sample["set"] == name).to_numpy() for name in ("train", "validation", "test")}
    return {name: (x[place[mask]], y[mask]) for name, mask in sides.items()}


def _fit_task(representation: pd.DataFrame, samples: pd.DataFrame, penalties: list[float], model: str) -> Iterator:
    """Yield fits and scores of each sample of one task."""
    scans = samples[["scan_id", "participant_id"]].drop_duplicates("scan_id")
    x, known = align(representation, scans)
    if not known.all():
        scan = scans["scan_id"].to_numpy()[~known][0]
        raise StudyError(f"model {model} lacks scan {scan}, which is in a sample. Draw the samples again.")
    rows = pd.Index(scans["scan_id"])
    for (task, n, repeat), sample in samples.groupby(["task", "n", "repeat"], sort=False):
        fits, scores = fit_sample(read_sides(sample, x, rows), penalties)
        names = {"task": task, "model": model, "n": n, "repeat": repeat}
        test = sample.loc[sample["set"] == "test", ["scan_id", "participant_id", "y"]]
        test = test.assign(**names, score=scores)
        yield fits.assign(**names), test if fits["chosen"].any() else test.iloc[:0]


def fit_linear(
    representation: pd.DataFrame, samples: pd.DataFrame, penalties: list[float], model: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fit a linear model to every sample of every task.

    Parameters
    ----------
    representation : pandas.DataFrame
        scan_id, participant_id, then numeric columns.
    samples : pandas.DataFrame
        What :func:`workflow_scripts.lib.evaluate.curve_samples.draw_samples` gave.
    penalties : list of float
        C of the settings.
    model : str
        Name of the model.

    Returns
    -------
    fits : pandas.DataFrame
        A row a fit (schema ``curve_fits``); ``setting`` counts the penalties from the strongest.
    scores : pandas.DataFrame
        A row a test image of the chosen fit (schema ``curve_scores``), in log odds.

    Raises
    ------
    StudyError
        The representation lacks a scan, or has a number missing.
    LeakageError
        A participant stands in two sets of a sample.
    """
    fits, scores = [], []
    for task, part in samples.groupby("task", sort=False):
        for one, score in _fit_task(representation, part, sorted(penalties), model):
            fits.append(one)
            scores.append(score)
        logger.info("%s, %s: %d samples", model, task, part.groupby(["n", "repeat"]).ngroups)
    fits = pd.concat(fits, ignore_index=True).assign(epochs=pd.array([pd.NA] * sum(map(len, fits)), dtype="Int64"))
    failed = fits["reason"].notna()
    if failed.any():
        logger.warning("%s: %d of %d fits failed: %s", model, failed.sum(), len(fits), fits["reason"][failed].iloc[0])
    return fits[FITS], pd.concat(scores, ignore_index=True)[SCORES]
