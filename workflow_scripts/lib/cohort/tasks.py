"""Evaluation tasks: which scan has which label, by rules that the config states."""

import logging

import pandas as pd

from workflow_scripts.lib.cohort.conversion import label_conversion
from workflow_scripts.lib.cohort.select import VISITS, absent_values, as_numbers, keep_visits, matches, passes
from workflow_scripts.lib.study.errors import StudyError

COLUMNS = ["task", "kind", "scan_id", "participant_id", "y"]
KINDS = ("binary", "continuous", "conversion")
NEEDED = {
    "binary": ("column", "positive", "negative"),
    "continuous": ("column",),
    "conversion": ("window_years",),
}
ALLOWED = {"binary": (), "continuous": (), "conversion": ("slack_years",)}
COMMON = ("kind", "title", "filters", "visits")
logger = logging.getLogger(__name__)
NO_LABEL, OTHER_VALUE = "no label", "another value"


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
    allowed = (*NEEDED[kind], *ALLOWED[kind], *COMMON)
    for key in definition:
        if key not in allowed:
            raise StudyError(
                f"tasks: {task}: a task of kind '{kind}' has no key '{key}'. Known keys: {', '.join(allowed)}. "
                "Remove it, or correct the kind."
            )
    if definition.get("visits", "all") not in VISITS:
        raise StudyError(f"tasks: {task}: visits is {definition['visits']!r}; choose one of {', '.join(VISITS)}.")
    both = set(map(str, definition.get("positive", []))) & set(map(str, definition.get("negative", [])))
    if both:
        raise StudyError(f"tasks: {task}: {', '.join(sorted(both))} is both positive and negative. Remove one.")
    for column, rule in (definition.get("filters") or {}).items():
        if isinstance(rule, dict) and rule.get("min", -float("inf")) > rule.get("max", float("inf")):
            raise StudyError(
                f"tasks: {task}: filters: {column}: found min {rule['min']} and max {rule['max']}, expected the "
                "smaller number for min."
            )


def _label(scans: pd.DataFrame, definition: dict) -> tuple[pd.Series, pd.Series]:
    """Return y for every scan, missing where the task does not apply, and why it does not; no filter takes part."""
    kind = definition["kind"]
    if kind == "conversion":
        return label_conversion(scans, float(definition["window_years"]), float(definition.get("slack_years") or 0))
    column = definition["column"]
    if kind == "continuous":
        label = as_numbers(scans, column)
    else:
        label = pd.Series(float("nan"), index=scans.index)
        label[matches(scans[column], definition["negative"])] = 0.0
        label[matches(scans[column], definition["positive"])] = 1.0
    why = pd.Series("", index=scans.index, dtype=object)
    why[label.isna()] = OTHER_VALUE
    why[scans[column].isna()] = NO_LABEL
    return label, why


def trace_task(scans: pd.DataFrame, task: str, definition: dict) -> pd.DataFrame:
    """Follow every scan through one task.

    Parameters
    ----------
    scans : pandas.DataFrame
        The table of scans (schema ``scans``) of the people to evaluate.
    task : str
    definition : dict
        Entry of config section ``tasks``.

    Returns
    -------
    pandas.DataFrame
        Index of ``scans``: scan_id, participant_id, y (missing where unknown), left_out: why the scan does not enter
        (``filter COLUMN``, ``no label``, ``another value``, ``AD already``, ``left unconverted before the window
        ended``, ``not the first visit``), empty if it does.
    """
    check_definition(task, definition)
    filters = definition.get("filters") or {}
    needed = {"conversion": ["age", "diagnosis"]}.get(definition["kind"], [definition.get("column")])
    for column in [*needed, *filters]:
        _column(scans, column, task)
    label, why = _label(scans, definition)
    left_out = pd.Series("", index=scans.index, dtype=object)
    for column, rule in filters.items():
        left_out[~passes(scans, column, rule) & (left_out == "")] = f"filter {column}"
    left_out = left_out.where(left_out != "", why)
    visits = definition.get("visits", "all")
    left = scans[left_out == ""]
    left_out[left.index[~keep_visits(left, visits).to_numpy()]] = f"not the {visits} visit"
    return scans[["scan_id", "participant_id"]].assign(y=label, left_out=left_out)


def _evaluated(scans: pd.DataFrame, evaluate_ids: set[str]) -> pd.DataFrame:
    return scans[scans["participant_id"].isin(evaluate_ids)].reset_index(drop=True)


def build_tasks(scans: pd.DataFrame, tasks: dict, evaluate_ids: set[str]) -> pd.DataFrame:
    """Build the long table of tasks and labels.

    Parameters
    ----------
    scans : pandas.DataFrame
        The table of scans (schema ``scans``).
    tasks : dict
        Config section ``tasks``: name -> kind (binary, continuous, conversion), column, positive, negative,
        filters, window_years, slack_years, visits.
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
    scans, parts = _evaluated(scans, evaluate_ids), []
    for task, definition in tasks.items():
        traced = trace_task(scans, task, definition)
        part = traced[traced["left_out"] == ""]
        kind = "continuous" if definition["kind"] == "continuous" else "binary"
        parts.append(part.assign(task=task, kind=kind)[COLUMNS])
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=COLUMNS)


def count_left_out(scans: pd.DataFrame, tasks: dict, evaluate_ids: set[str]) -> dict[str, dict[str, int]]:
    """Count the scans that each task leaves out, by reason: task -> reason -> scans."""
    scans = _evaluated(scans, evaluate_ids)
    traced = {task: trace_task(scans, task, definition)["left_out"] for task, definition in tasks.items()}
    # the commonest first, ties by name
    counts = {task: left[left != ""].value_counts().sort_index() for task, left in traced.items()}
    return {task: one.sort_values(ascending=False, kind="stable").to_dict() for task, one in counts.items()}


def name_absent(scans: pd.DataFrame, tasks: dict, evaluate_ids: set[str]) -> dict[str, str]:
    """Say of each task which of the values that it names no scan has; tasks whose values all occur are left out.

    Raises
    ------
    StudyError
        If a value can never occur, see :func:`workflow_scripts.lib.cohort.select.absent_values`.
    """
    scans, notes = _evaluated(scans, evaluate_ids), {}
    for task, definition in tasks.items():
        lists = [(key, definition["column"], definition[key]) for key in ("positive", "negative") if key in definition]
        filters = (definition.get("filters") or {}).items()
        lists += [(f"filters: {column}", column, rule) for column, rule in filters if not isinstance(rule, dict)]
        said = [absent_values(scans, column, rule, f"tasks: {task}: {key}") for key, column, rule in lists]
        if any(said):
            notes[task] = "; ".join(sentence for sentence in said if sentence)
    return notes


def _reason(classes: dict[str, pd.DataFrame], min_participants: int) -> str:
    """Say why a task cannot be used; empty if it can."""
    people = {name: rows["participant_id"].nunique() for name, rows in classes.items()}
    if not any(people.values()):
        return "no scan with a known label"
    for name, count in people.items():
        if count < min_participants:
            return f"class {name} has {count} participants, at least {min_participants} are needed"
    return ""


def count_tasks(
    table: pd.DataFrame, tasks: dict, min_participants: int, notes: dict[str, str] | None = None
) -> pd.DataFrame:
    """Count people and scans in each class of each task, and say which tasks can be used.

    Parameters
    ----------
    table : pandas.DataFrame
        What :func:`build_tasks` gave, or a part of it (scans that passed quality control).
    tasks : dict
        Config section ``tasks``.
    min_participants : int
        Fewest participants in each class, and in all for a continuous task.
    notes : dict, optional
        From :func:`name_absent`; follows the reason of a task that is not used.

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
        if reason and (notes or {}).get(task):
            reason += f"; {notes[task]}"
        for name, members in classes.items():
            people = members["participant_id"].nunique()
            used = "false" if reason else "true"
            rows.append((task, name, people, len(members), used, reason or None))
    return pd.DataFrame(rows, columns=["task", "class", "participants", "scans", "used", "reason"])


def say_counts(counts: pd.DataFrame, tasks: dict, left_out: dict[str, dict[str, int]]) -> str:
    """Write the counts for the terminal, a line a class, with what each task leaves out and why some are not used.

    Parameters
    ----------
    counts : pandas.DataFrame
        From :func:`count_tasks`.
    tasks : dict
        Config section ``tasks``.
    left_out : dict
        From :func:`count_left_out`.
    """
    words = {task: _class_words(definition) for task, definition in tasks.items()}
    wide = max(12, *map(len, tasks)), max(12, *(len(word) for one in words.values() for word in one.values()))
    lines = [f"{'task':{wide[0]}}  {'class':{wide[1]}}  people  scans"]
    for task, rows in counts.groupby("task", sort=False):
        name = task
        for row in rows.itertuples():
            word = words[task][row[2]]
            lines.append(f"{name:{wide[0]}}  {word:{wide[1]}}  {row.participants:6d}  {row.scans:5d}")
            name = ""
        lost = ", ".join(f"{count} {reason}" for reason, count in left_out.get(task, {}).items())
        if lost:
            lines.append(f"{'':{wide[0]}}  left out: {lost}")
        if rows["used"].iloc[0] == "false":
            lines.append(f"{'':{wide[0]}}  SET ASIDE: {rows['reason'].iloc[0]}")
    return "\n".join(lines)


def report_tasks(
    scans: pd.DataFrame, tasks: dict, evaluate_ids: set[str], min_participants: int
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Label the scans of every task, count people and scans, and say so.

    Returns
    -------
    table, counts : pandas.DataFrame
        See :func:`build_tasks` and :func:`count_tasks`.
    said : str
        For the terminal. Values that a usable task names in vain are warned of in the log.
    """
    table, notes = build_tasks(scans, tasks, evaluate_ids), name_absent(scans, tasks, evaluate_ids)
    counts = count_tasks(table, tasks, min_participants, notes)
    used = set(counts.loc[counts["used"] == "true", "task"])
    for task in [task for task in notes if task in used]:
        logger.warning("tasks: %s: %s; the task does without", task, notes[task])
    lines = say_counts(counts, tasks, count_left_out(scans, tasks, evaluate_ids))
    evaluated = scans.loc[scans["participant_id"].isin(evaluate_ids), "participant_id"]
    heading = f"Tasks, before quality control, of {len(evaluated)} scans of {evaluated.nunique()} people to evaluate:"
    return table, counts, f"{heading}\n{lines}"


def _class_words(definition: dict) -> dict[str, str]:
    if definition["kind"] == "continuous":
        return {"all": definition["column"]}
    if definition["kind"] == "conversion":
        return {"0": "0 unconverted", "1": "1 converts"}
    return {str(y): f"{y} {'/'.join(map(str, definition[key]))}" for y, key in enumerate(("negative", "positive"))}


def keep_used(table: pd.DataFrame, counts: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows of tasks that :func:`count_tasks` found usable."""
    used = counts.loc[counts["used"] == "true", "task"].unique()
    return table[table["task"].isin(used)].reset_index(drop=True)
