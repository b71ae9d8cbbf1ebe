"""Which scans go on, which are set aside and why."""

import logging

import numpy as np
import pandas as pd

from workflow_scripts.lib.imaging.qc.checks import NEEDED, make_checks
from workflow_scripts.lib.imaging.qc.metrics import derived_numbers
from workflow_scripts.lib.imaging.qc.outliers import count_outliers
from workflow_scripts.lib.imaging.qc.overrides import apply_overrides
from workflow_scripts.lib.study.errors import StudyError

KEYS = ("scan_id", "participant_id", "icv")
logger = logging.getLogger(__name__)
WORDS_COLUMNS = ("scan_id", "passed", "reason", "tool", "tool_version", "volume")


def judge(
    scans: pd.DataFrame,
    stages: tuple[pd.DataFrame, pd.DataFrame],
    features: pd.DataFrame,
    wanted: list[str],
    settings: dict,
    overrides: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Put the stages' tables together and decide on every scan.

    The first stage that failed gives the reason: cohort (not found), preprocess, register, features (some are missing),
    qc (a number outside its limits). Neither diagnosis nor any label takes part.

    Parameters
    ----------
    scans : pandas.DataFrame
        Schema ``scans``: every scan wanted, found or not.
    stages : tuple of pandas.DataFrame
        Of preprocess and of register, schema ``stage_scans``; the second holds the scans with a volume.
    features : pandas.DataFrame
        Schema ``features``, one row a preprocessed scan.
    wanted : list of str
        Features that every scan must have; may be empty.
    settings : dict
        Config section ``qc``.
    overrides : pandas.DataFrame, optional
        Schema ``qc_overrides``.

    Returns
    -------
    pandas.DataFrame
        Schema ``qc_scans``, in the order of ``scans``.
    """
    table = scans.set_index("scan_id")[["participant_id", "cohort", "site"]]
    made, placed = (stage.set_index("scan_id").reindex(table.index) for stage in stages)
    features = features.set_index("scan_id").reindex(table.index)
    numbers = _measure(scans, made, placed, features, wanted, settings["outliers"])
    passed = made["passed"] == True  # noqa: E712 (a column with gaps, not a value)
    brain = passed & (made["volume"] == True)  # noqa: E712
    volume = brain & (placed["passed"] == True)  # noqa: E712
    for name in ("tool", "tool_version"):
        table[name] = made[name].where(passed) if name in made else None
    table["volume"] = volume
    odd = mark_mixed(table)
    failing, words = _check(numbers, volume, settings["checks"])
    if settings["mixed_tools"] != "nothing":
        failing["mixed_tools"] = odd
    if settings["mixed_tools"] == "exclude":
        words = words.where(words.notna() | ~odd, _say_mixed(table))
    missing = _say_missing(features, wanted)
    cohort = scans.set_index("scan_id")
    steps = [
        ("cohort", cohort["found"] != True, cohort["reason"]),  # noqa: E712
        ("preprocess", ~passed, made["reason"].fillna("preprocessing left no row for it")),
        ("register", brain & ~volume, placed["reason"].fillna("registration left no row for it")),
        ("features", missing.notna(), missing),
        ("qc", words.notna(), words),
    ]
    table["stage"], table["reason"] = (pd.Series([None] * len(table), table.index, object) for _ in range(2))
    for stage, bad, why in steps:
        first = bad & table["stage"].isna()
        table.loc[first, "stage"] = stage
        table.loc[first, "reason"] = why[first]
    failing = failing & passed.to_numpy()[:, None]
    table["flags"] = [";".join(failing.columns[row]) or None for row in failing.to_numpy(bool)]
    table = apply_overrides(table.reset_index(), overrides)
    table.insert(1, "included", table["stage"].isna())
    order = ["scan_id", "participant_id", "included", "stage", "reason", "flags", "override", "override_reason"]
    order += ["cohort", "site", "tool", "tool_version", "volume"]
    return pd.concat([table[order], numbers.reset_index(drop=True)], axis=1)


def _measure(
    scans: pd.DataFrame,
    made: pd.DataFrame,
    placed: pd.DataFrame,
    features: pd.DataFrame,
    wanted: list[str],
    settings: dict,
) -> pd.DataFrame:
    """Gather the numbers of all stages and work out those that follow from several; index scan_id."""
    parts = [part.drop(columns=[name for name in part if name in WORDS_COLUMNS]) for part in (made, placed)]
    numbers = pd.concat([parts[0], parts[1].drop(columns=parts[0].columns, errors="ignore")], axis=1)
    numbers = numbers.apply(pd.to_numeric)
    derived = derived_numbers(numbers, features)
    numbers[derived.columns] = derived
    if "brain_segmented_ml" in numbers:
        brain = numbers.get("brain_ml", np.nan)
        numbers["brain_ml"] = pd.Series(brain, numbers.index).fillna(numbers["brain_segmented_ml"])
    people = scans.set_index("scan_id")
    names = [name for name in wanted if name in features] or [name for name in features if name not in KEYS]
    values = features[names].apply(pd.to_numeric)
    tool = made.get("tool", pd.Series("unknown", made.index))
    numbers["outlier_features"] = count_outliers(values, people["age"].astype(float), people["site"], tool, settings)
    return numbers


def _check(numbers: pd.DataFrame, volume: pd.Series, limits: dict) -> tuple[pd.DataFrame, pd.Series]:
    """Tell which checks every scan fails, and put the first one that sets it aside into words."""
    failing = pd.DataFrame(index=numbers.index)
    words = pd.Series([None] * len(numbers), numbers.index, object)
    for check in make_checks(limits):
        values = numbers[check.name] if check.name in numbers else pd.Series(np.nan, numbers.index)
        bad = check.outside(values) | (values.isna() & volume if check.name in NEEDED else False)
        failing[check.name] = bad
        if check.does == "exclude":
            first = bad & words.isna()
            words[first] = [check.say(value) for value in values[first]]
    return failing, words


def _say_missing(features: pd.DataFrame, wanted: list[str]) -> pd.Series:
    """Say of every scan which of the wanted features it lacks; None if it has all."""
    gaps = features.reindex(columns=wanted).isna().to_numpy()
    return pd.Series(
        [
            f"{row.sum()} of {len(wanted)} features missing, e.g. {wanted[row.argmax()]}; "
            "choose a list that the tool gives (features: list)"
            if row.any()
            else None
            for row in gaps
        ],
        features.index,
        object,
    )


def count_tools(table: pd.DataFrame) -> pd.DataFrame:
    """Count the scans of every cohort by tool and version (schema ``qc_tools``), the commonest first.

    Versions of one tool do not measure alike: thickness from FreeSurfer 5.3 and 6.0 of the same people correlates at
    0.8 only, so a cohort of mixed versions shows differences that no person has.
    """
    made = table[table["tool"].notna()].fillna({"tool_version": "unknown"})
    counts = made.groupby(["cohort", "tool", "tool_version"]).size().rename("scans").reset_index()
    counts = counts.rename(columns={"tool_version": "version"})
    return counts.sort_values(["cohort", "scans", "tool", "version"], ascending=[True, False, True, True])


def mark_mixed(table: pd.DataFrame) -> pd.Series:
    """Tell which scans were made by another tool or version than most of their cohort; bool."""
    commonest = count_tools(table).drop_duplicates("cohort").set_index("cohort")
    made = table["tool"].notna()
    same = pd.Series(True, table.index)
    for column, name in (("tool", "tool"), ("tool_version", "version")):
        same &= table[column].fillna("unknown") == table["cohort"].map(commonest[name])
    return made & ~same


def _say_mixed(table: pd.DataFrame) -> pd.Series:
    commonest = count_tools(table).drop_duplicates("cohort").set_index("cohort")
    usual = table["cohort"].map(commonest["tool"] + " " + commonest["version"])
    found = table["tool"] + " " + table["tool_version"].fillna("unknown")
    return "made by " + found + ", most of the cohort by " + usual


def warn(table: pd.DataFrame, tools: pd.DataFrame) -> None:
    """Say in the log what a person should know: what was set aside, what is flagged, which cohorts mix tools.

    Parameters
    ----------
    table : pandas.DataFrame
        Schema ``qc_scans``.
    tools : pandas.DataFrame
        From :func:`count_tools`.
    """
    for row in table[~table["included"]].itertuples():
        logger.warning("%s set aside by %s: %s", row.scan_id, row.stage, row.reason)
    flags = table.loc[table["included"], "flags"].dropna().str.split(";").explode()
    for name, count in flags.value_counts().items():
        logger.warning("%d scans go on with flag %s", count, name)
    for cohort, part in tools.groupby("cohort"):
        if len(part) > 1:
            made = ", ".join(f"{row.scans} scans by {row.tool} {row.version}" for row in part.itertuples())
            logger.warning(
                "cohort %s mixes tools or versions (%s), which do not measure alike. "
                "Process all its scans with one, or give each its own cohort and site.",
                cohort,
                made,
            )


def refuse_too_many(table: pd.DataFrame, largest_fraction: float) -> None:
    """Stop the study when too many scans were set aside, with the list.

    Scans excluded by hand do not count: that was a decision, no accident.

    Raises
    ------
    StudyError
        If more than ``largest_fraction`` of the scans are not included.
    """
    lost = table[~table["included"] & (table["stage"] != "override")]
    if len(lost) > largest_fraction * len(table):
        lines = [f"  {row.scan_id}: {row.stage}: {row.reason}" for row in lost.head(20).itertuples()]
        more = [f"  and {len(lost) - 20} more"] if len(lost) > 20 else []
        raise StudyError(
            f"{len(lost)} of {len(table)} scans were set aside, more than qc: max_excluded_fraction "
            f"{largest_fraction} allows. "
            "Mend the scans, drop their rows, or raise the limit:\n" + "\n".join(lines + more)
        )
