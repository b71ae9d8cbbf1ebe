"""Quality control: which scans go on, which are set aside and why."""

import pandas as pd

from workflow_scripts.lib.study.errors import StudyError


def judge(preprocessed: pd.DataFrame, registered: pd.DataFrame, limits: dict) -> pd.DataFrame:
    """Put the stages' tables together and decide on every scan.

    Parameters
    ----------
    preprocessed, registered : pandas.DataFrame
        Schema ``stage_scans``: ``scan_id``, ``passed``, ``reason`` and numbers; ``registered`` holds the scans that
        preprocessing passed, with ``overlap`` and ``scale``.
    limits : dict
        Config section ``qc``: ``min_overlap``, ``scale_range``, ``min_contrast``.

    Returns
    -------
    pandas.DataFrame
        ``scan_id``, ``included``, ``stage``, ``reason`` and all numbers, in the order of ``preprocessed``.
    """
    if "grey_white_contrast" not in preprocessed:  # not one scan passed
        preprocessed = preprocessed.assign(grey_white_contrast=float("nan"))
    table = preprocessed.merge(registered, on="scan_id", how="left", suffixes=("", "_register"))
    table["stage"] = pd.Series([None] * len(table), dtype=object)
    low, high = limits["scale_range"]
    rules = [
        ("preprocess", table["passed"] != True, table["reason"]),  # noqa: E712 (a column, not a value)
        ("register", table["passed_register"] != True, table["reason_register"]),  # noqa: E712
        (
            "qc",
            table["overlap"] < limits["min_overlap"],
            _say("overlap with the template", table["overlap"], limits["min_overlap"]),
        ),
        (
            "qc",
            ~table["scale"].between(low, high),
            _say("scale factor to the template", table["scale"], f"{low} to {high}"),
        ),
        (
            "qc",
            table["grey_white_contrast"] < limits["min_contrast"],
            _say("contrast of grey and white matter", table["grey_white_contrast"], limits["min_contrast"]),
        ),
    ]
    reasons = pd.Series([None] * len(table), dtype=object)
    for stage, bad, why in rules:
        first = bad.fillna(True).astype(bool) & table["stage"].isna()
        table.loc[first, "stage"] = stage
        reasons[first] = why[first]
    table["included"] = table["stage"].isna()
    table["reason"] = reasons
    numbers = [
        name
        for name in table
        if name not in ("scan_id", "passed", "passed_register", "reason_register", "included", "stage", "reason")
    ]
    return table[["scan_id", "included", "stage", "reason", *numbers]]


def _say(what: str, values: pd.Series, limit: object) -> pd.Series:
    return values.map(lambda value: f"{what} is {value:.2f}, expected {limit}")


def refuse_too_many(table: pd.DataFrame, largest_fraction: float) -> None:
    """Stop the study when too many scans were set aside, with the list.

    Raises
    ------
    StudyError
        If more than ``largest_fraction`` of the scans are not included.
    """
    lost = table[~table["included"]]
    if len(lost) > largest_fraction * len(table):
        lines = [f"  {row.scan_id}: {row.stage}: {row.reason}" for row in lost.head(20).itertuples()]
        raise StudyError(
            f"{len(lost)} of {len(table)} scans were set aside, more than qc: max_excluded_fraction "
            f"{largest_fraction} allows. "
            "Mend the scans, drop their rows, or raise the limit:\n" + "\n".join(lines)
        )
