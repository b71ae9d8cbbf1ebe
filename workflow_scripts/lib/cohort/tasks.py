"""Evaluation tasks: which scan has which label, by rules that the config states."""

import pandas as pd

from workflow_scripts.lib.study.errors import StudyError

COLUMNS = ["task", "kind", "scan_id", "participant_id", "y"]
KINDS = ("binary", "continuous", "conversion")
NEEDED = {
    "binary": ("column", "positive", "negative"),
    "continuous": ("column",),
    "conversion": ("window_years",),
}


def matches(values: pd.Series, legal: list) -> pd.Series:
    """Say which values are among the legal ones; numbers compare as numbers, the rest as text.

    Parameters
    ----------
    values : pandas.Series
        A column of the scans table.
    legal : list
        Values as the config gives them: ``[1]`` matches 1, 1.0 and ``"1"``.

    Returns
    -------
    pandas.Series of bool
        False where the value is missing.
    """
    wanted = pd.to_numeric(pd.Series(legal, dtype=object), errors="coerce")
    hit = values.astype("string").isin([str(value) for value in legal])
    if wanted.notna().all():
        hit |= pd.to_numeric(values, errors="coerce").isin(wanted.astype(float))
    return (hit & values.notna()).astype(bool)


def conversion_label(conversion_years: pd.Series, followup_years: pd.Series, window: float) -> pd.Series:
    """Label scans by conversion to AD within a window, leaving out those that cannot be known.

    * 1: converted at most ``window`` years after the scan.
    * 0: seen unconverted for the whole window: converted later, or never seen to convert and
      followed for at least ``window`` years.
    * missing: left the study unconverted before the window ended (censored), or had converted
      before this scan.

    Parameters
    ----------
    conversion_years : pandas.Series
        Years from the scan to the first AD diagnosis; missing if never seen.
    followup_years : pandas.Series
        Years from the scan to the last clinical visit.
    window : float
        Years.

    Returns
    -------
    pandas.Series of float
        1, 0 or missing.
    """
    conversion = pd.to_numeric(conversion_years, errors="coerce")
    followup = pd.to_numeric(followup_years, errors="coerce")
    label = pd.Series(float("nan"), index=conversion.index)
    label[(conversion >= 0) & (conversion <= window)] = 1.0
    label[(conversion > window) | (conversion.isna() & (followup >= window))] = 0.0
    return label


def _column(scans: pd.DataFrame, name: str, task: str) -> pd.Series:
    if name not in scans.columns:
        raise StudyError(
            f"tasks: {task}: the scans table has no column '{name}'. Found: {', '.join(scans.columns)}. "
            "Correct the name, or declare the column in config under cohort: label_columns."
        )
    return scans[name]


def check_definition(task: str, definition: dict) -> None:
    """Refuse a task whose keys do not fit its kind.

    Raises
    ------
    StudyError
        Names the task, the key, what was found and what is needed.
    """
    kind = definition.get("kind")
    if kind not in KINDS:
        raise StudyError(f"tasks: {task}: kind is {kind!r}; choose one of {', '.join(KINDS)}.")
    for key in NEEDED[kind]:
        if definition.get(key) in (None, []):
            raise StudyError(f"tasks: {task}: a task of kind '{kind}' needs '{key}'. Add it.")
    both = set(map(str, definition.get("positive", []))) & set(map(str, definition.get("negative", [])))
    if both:
        raise StudyError(f"tasks: {task}: {', '.join(sorted(both))} is both positive and negative. Remove one.")


def _label(scans: pd.DataFrame, task: str, definition: dict) -> pd.Series:
    """Return y for every scan, missing where the task does not apply."""
    kind = definition["kind"]
    if kind == "conversion":
        history = [_column(scans, name, task) for name in ("conversion_years", "followup_years")]
        label = conversion_label(*history, float(definition["window_years"]))
    elif kind == "continuous":
        label = pd.to_numeric(_column(scans, definition["column"], task), errors="coerce").astype(float)
    else:
        values = _column(scans, definition["column"], task)
        label = pd.Series(float("nan"), index=scans.index)
        label[matches(values, definition["negative"])] = 0.0
        label[matches(values, definition["positive"])] = 1.0
    for column, legal in (definition.get("filters") or {}).items():
        label = label.where(matches(_column(scans, column, task), legal))
    return label


def build_tasks(scans: pd.DataFrame, tasks: dict, evaluate_ids: set[str]) -> pd.DataFrame:
    """Build the long table of tasks and labels.

    Parameters
    ----------
    scans : pandas.DataFrame
        The table of scans (schema ``scans``).
    tasks : dict
        Config section ``tasks``: name -> kind (binary, continuous, conversion), column, positive,
        negative, filters, window_years.
    evaluate_ids : set of str
        Participants with the role ``evaluate``; only their scans enter.

    Returns
    -------
    pandas.DataFrame
        task, kind (binary or continuous), scan_id, participant_id, y (float; 0 or 1 if binary):
        every scan whose label is known, longitudinal ones included, in the order of ``scans``.

    Raises
    ------
    StudyError
        A definition does not fit its kind, or names a column that does not exist.
    """
    scans = scans[scans["participant_id"].isin(evaluate_ids)].reset_index(drop=True)
    parts = []
    for task, definition in tasks.items():
        check_definition(task, definition)
        label = _label(scans, task, definition).dropna()
        part = scans.loc[label.index, ["scan_id", "participant_id"]]
        kind = "continuous" if definition["kind"] == "continuous" else "binary"
        parts.append(part.assign(task=task, kind=kind, y=label)[COLUMNS])
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=COLUMNS)


def _reason(classes: dict[str, pd.DataFrame], min_participants: int) -> str:
    """Say why a task cannot be used; empty if it can."""
    people = {name: rows["participant_id"].nunique() for name, rows in classes.items()}
    if not any(people.values()):
        return "no scan with a known label"
    for name, count in people.items():
        if count < min_participants:
            return f"class {name} has {count} participants, at least {min_participants} are needed"
    return ""


def count_tasks(table: pd.DataFrame, tasks: dict, min_participants: int) -> pd.DataFrame:
    """Count people and scans in each class of each task, and say which tasks can be used.

    Parameters
    ----------
    table : pandas.DataFrame
        What :func:`build_tasks` gave, or a part of it (scans that passed quality control).
    tasks : dict
        Config section ``tasks``.
    min_participants : int
        Fewest participants in each class, and in all for a continuous task.

    Returns
    -------
    pandas.DataFrame
        task, class (``0`` and ``1``, or ``all``), participants, scans, used (``true``, ``false``),
        reason (missing if used). Somebody whose label changes between sessions counts in both classes.
    """
    rows = []
    for task, definition in tasks.items():
        part = table[table["task"] == task]
        if definition["kind"] == "continuous":
            classes = {"all": part}
        else:
            classes = {"0": part[part["y"] == 0], "1": part[part["y"] == 1]}
        reason = _reason(classes, min_participants)
        for name, members in classes.items():
            people = members["participant_id"].nunique()
            used = "false" if reason else "true"
            rows.append((task, name, people, len(members), used, reason or None))
    return pd.DataFrame(rows, columns=["task", "class", "participants", "scans", "used", "reason"])


def keep_used(table: pd.DataFrame, counts: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows of tasks that :func:`count_tasks` found usable."""
    used = counts.loc[counts["used"] == "true", "task"].unique()
    return table[table["task"].isin(used)].reset_index(drop=True)
