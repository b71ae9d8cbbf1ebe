"""A normative model as a card: all that another site needs to compute the same gaps, and no participant's id.

The card is JSON: the columns with their means, scales and coefficients, the line and method of debiasing, who trained
(how many, of which ages, in which buckets, and hashed ids, so that nobody is judged by a model that has seen them), how
the columns were made, and how accurate the model is on people it has not seen.
"""

import logging
import os
from collections.abc import Iterable

import numpy as np
import pandas as pd

from workflow_scripts.lib.brainage import debias, gaps, normative
from workflow_scripts.lib.study import files
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.ids import participant_hash, participant_hashes

FORMAT = "brainrep age card 1"
REQUIRED = ("format", "representation", "model", "debiasing", "n_train", "age_range", "participants", "columns_made_by")
logger = logging.getLogger(__name__)


def describe_columns(name: str, features: dict, harmonise: dict, methods: Iterable[str]) -> str:
    """Say how the columns of a representation were made, which another site has to repeat.

    Parameters
    ----------
    name : str
        Representation.
    features, harmonise : dict
        Config sections.
    methods : iterable of str
        Methods that the study trains.
    """
    subset = features.get("subsets", {}).get(name)
    kept = ", ".join(harmonise.get("covariates", [])) or "nothing"
    combat = f"harmonised over this study's sites and to its mean by ComBat, effects of {kept} kept"
    if name == "features" or subset is not None:
        chosen = (subset or {}).get("list") or features["list"]
        chosen = chosen if isinstance(chosen, str) else ", ".join(chosen)
        done = combat if (subset or {}).get("harmonised", True) else "as measured, not harmonised"
        return f"regional features, list {chosen}, {done}"
    if name in methods:
        return (
            f"representation of method {name} by the networks that this study trained, whose weights have to go along"
        )
    return f"representation {name}, a table or an encoder of the user's"


def make_card(name: str, fitted: gaps.Fitted, people: gaps.People, metrics: pd.DataFrame, about: dict) -> dict:
    """Put a fitted model on a card.

    Parameters
    ----------
    name : str
        Representation.
    fitted : gaps.Fitted
    people : gaps.People
    metrics : pandas.DataFrame
        Rows of this representation (schema ``brainage_metrics``).
    about : dict
        ``columns_made_by`` (text), ``seed`` (of the study), ``version`` (of the software) and any others.

    Returns
    -------
    dict
        Numbers, text and lists of them only, for JSON.
    """
    trained = people.table[people.table["train"]]
    numbers = metrics.set_index("sample").drop(columns=["representation", "n_train"])
    return {
        "format": FORMAT,
        "representation": name,
        "model": fitted.model.card(),
        "debiasing": {
            "method": fitted.method,
            "intercept": fitted.line.intercept,
            "slope": fitted.line.slope,
            "fitted_on": fitted.fitted_on,
            "n": fitted.n_line,
        },
        "n_train": len(trained),
        "age_range": [float(trained["age"].min()), float(trained["age"].max())],
        "buckets": people.buckets.to_dict("records"),
        "participants": participant_hashes(trained["participant_id"]),
        "metrics": {sample: _plain(row) for sample, row in numbers.iterrows()},
        **about,
    }


def _plain(row: pd.Series) -> dict:
    """Turn a row into numbers that JSON knows; missing ones become null."""
    return {key: None if pd.isna(value) else float(value) for key, value in row.items()}


def read_card(path: str | os.PathLike) -> dict:
    """Read a card, or refuse what is none; :class:`StudyError` says what is wrong with it."""
    try:
        card = files.read_json(path)
    except (OSError, ValueError) as error:
        raise StudyError(f"{path}: cannot be read as a card of an age model ({error}). Correct the path.") from error
    check_card(card, str(path))
    return card


def check_card(card: object, source: str) -> None:
    """Refuse what is no card of an age model, a card of another format, or a damaged one."""
    if not isinstance(card, dict):
        raise StudyError(f"{source}: not a card of an age model. Give a card that rule estimate_gaps wrote.")
    absent = [key for key in REQUIRED if key not in card]
    if absent or card["format"] != FORMAT:
        found = f"key '{absent[0]}' is missing" if absent else f"format is '{card['format']}', expected '{FORMAT}'"
        raise StudyError(f"{source}: not a card of an age model: {found}. Give a card that rule estimate_gaps wrote.")
    model, line, ages = card["model"], card["debiasing"], card["age_range"]
    numbers = [(model, "intercept"), (model, "alpha"), (line, "intercept"), (line, "slope"), (line, "n")]
    sound = isinstance(model, dict) and isinstance(line, dict) and isinstance(ages, list) and len(ages) == 2
    if not sound or not all(isinstance(part.get(key), int | float) for part, key in numbers) or "method" not in line:
        raise StudyError(
            f"{source}: the card is damaged: expected numbers for model (intercept, alpha), debiasing (intercept, "
            "slope, n, and a method) and two ages under age_range. Get it anew."
        )
    lengths = {key: len(model.get(key, [])) for key in ("columns", "mean", "scale", "coefficients")}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{count} {key}" for key, count in lengths.items())
        raise StudyError(f"{source}: the card is damaged: {said}; expected as many of each. Get it anew.")


def read_fitted(card: dict) -> gaps.Fitted:
    """Rebuild a fitted model from its card; the card's numbers are kept to the last digit."""
    entry = card["debiasing"]
    line = debias.AgeLine(entry["intercept"], entry["slope"])
    model = normative.AgeModel.from_card(card["model"])
    return gaps.Fitted(model, line, entry["method"], entry["fitted_on"], entry["n"])


def apply_card(card: dict, representation: pd.DataFrame, scans: pd.DataFrame) -> pd.DataFrame:
    """Apply a card to scans, of any visit and any site.

    Parameters
    ----------
    card : dict
        From :func:`make_card`, through JSON or not.
    representation : pandas.DataFrame
        scan_id and the card's columns, made and harmonised as in training; other columns are ignored.
    scans : pandas.DataFrame
        scan_id, participant_id, age (years; missing ages give a predicted age and no gap).

    Returns
    -------
    pandas.DataFrame
        scan_id, participant_id, representation, role (train: the card's model has seen this person, and the gap is
        too small; test), in_range (whether the age is one that the model was trained on; missing without an age), age,
        predicted_age, gap, gap_debiased (years). Scans that both tables have, in the order of ``scans``.

    Raises
    ------
    StudyError
        A column of the card or a number is missing.
    """
    table = scans[scans["scan_id"].isin(representation["scan_id"])].reset_index(drop=True)
    if len(table) < len(scans):
        logger.warning(
            "%d of %d scans are not in the representation and get no gap", len(scans) - len(table), len(scans)
        )
    fitted, name = read_fitted(card), card["representation"]
    x = representation.set_index("scan_id").loc[table["scan_id"]]
    predicted = fitted.model.predict(x)
    if not np.isfinite(predicted).all():
        bad = table["scan_id"].iloc[int(np.argmin(np.isfinite(predicted)))]
        raise StudyError(f"age card of {name}: a number of scan {bad} is missing. Fill it in or leave out the scan.")
    age = table["age"].to_numpy(dtype=np.float64)
    low, high = card["age_range"]
    seen = table["participant_id"].map(participant_hash).isin(set(card["participants"]))
    inside = ((age >= low) & (age <= high)).astype(object)
    inside[np.isnan(age)] = None
    out = table[["scan_id", "participant_id"]].assign(representation=name, role=np.where(seen, "train", "test"))
    return out.assign(in_range=inside, age=age, **fitted.gaps(predicted, age))


def warn_of(card: dict, applied: pd.DataFrame, source: str) -> None:
    """Log what whoever applies a card must know: how columns were made, ages outside training, people who trained."""
    low, high = card["age_range"]
    logger.warning(
        "%s: columns must be made as in training (%s); otherwise gaps hold the difference of the two makings.",
        source,
        card["columns_made_by"],
    )
    outside = int((applied["in_range"] == False).sum())  # noqa: E712 - three values
    if outside:
        logger.warning(
            "%s: %d of %d scans are of people outside %.1f to %.1f years, on whom the model was not trained; "
            "column in_range tells which.",
            source,
            outside,
            len(applied),
            low,
            high,
        )
    seen = applied.loc[applied["role"] == "train", "participant_id"].nunique()
    if seen:
        logger.warning(
            "%s: %d people have ids of people who trained this model; their gaps, too small if they are the same, "
            "enter no metrics (column role).",
            source,
            seen,
        )
