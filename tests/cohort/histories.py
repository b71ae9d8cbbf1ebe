"""Hand-made histories of participants and the labels that conversion within 2 years gives their scans.

The docs show them as a table: ./run python -m tests.cohort.histories.
"""

from dataclasses import dataclass

import pandas as pd

TASK = {"kind": "conversion", "window_years": 2, "filters": {"diagnosis": ["MCI"]}}


@dataclass(frozen=True)
class History:
    """A participant of whom one scan is asked.

    Attributes
    ----------
    told : str
        What happened, for the docs.
    scans : tuple of (float or None, str or None)
        Age and diagnosis at every scan; the first is the one asked.
    label : float or None
        Its label.
    why : str
        Why it has none.
    years : tuple of (float or None, float or None)
        conversion_years and followup_years of the scan asked.
    """

    told: str
    scans: tuple
    label: float | None
    why: str = ""
    years: tuple = (None, None)


def _one(told, conversion, followup, label, why="", diagnosis="MCI"):
    return History(told, ((70.0, diagnosis),), label, why, (conversion, followup))


CENSORED, ALREADY = "left unconverted before the window ended", "AD already"
HISTORIES = {
    "inside": _one("converts inside the window", 1.5, 6.0, 1),
    "edge": _one("converts on the window's last day", 2.0, 2.0, 1),
    "after": _one("converts after the window", 2.01, 4.0, 0),
    "late": _one("converts later; the last visit is not told", 3.0, None, 0),
    "gone": _one("converts inside the window and is never seen again", 1.5, 1.5, 1),
    "stable": _one("never converts, followed beyond the window", None, 4.0, 0),
    "exact": _one("never converts, last visit on the window's last day", None, 2.0, 0),
    "left": _one("unconverted, leaves before the window ends", None, 1.9, None, CENSORED),
    "never": _one("never seen again", None, None, None, CENSORED),
    "nothing": _one("follow-up missing, diagnosis at the scan missing", None, None, None, "filter diagnosis", None),
    "ill": _one("AD at the scan", 0.0, 3.0, None, "filter diagnosis", "AD"),
    "mixed": _one("converted by the scan's date, though MCI stands at the scan", 0.0, 3.0, None, ALREADY),
    "healthy": _one(
        "cognitively normal at the scan (the filter asks for MCI)", 1.0, 9.0, None, "filter diagnosis", "CN"
    ),
    "told_by_visits": History("a later scan has AD, inside", ((70.0, "MCI"), (71.0, "MCI"), (71.9, "AD")), 1),
    "told_edge": History("a later scan has AD, on the last day", ((70.1, "MCI"), (72.1, "AD")), 1),
    "told_after": History("a later scan has AD, after the window", ((70.0, "MCI"), (73.0, "AD")), 0),
    "told_stable": History("later scans up to 3 years have MCI", ((70.0, "MCI"), (71.0, "MCI"), (73.0, "MCI")), 0),
    "told_left": History("the last scan with a diagnosis is too early", ((70.0, "MCI"), (71.5, "MCI")), None, CENSORED),
    "undiagnosed": History(
        "scanned after 3 years, but nobody said with what", ((70.0, "MCI"), (73.0, None)), None, CENSORED
    ),
    "reverter": History("goes back to cognitively normal, followed", ((70.0, "MCI"), (71.0, "CN"), (72.5, "CN")), 0),
    "there_and_back": History(
        "AD after a year, MCI again later: the first AD counts", ((70.0, "MCI"), (71.0, "AD"), (72.0, "MCI")), 1
    ),
    "after_conversion": History(
        "scan after the conversion, MCI again", ((72.0, "MCI"), (71.0, "AD"), (76.0, "MCI")), None, ALREADY
    ),
    "ageless": History(
        "AD at another scan whose age is missing, followed",
        ((70.0, "MCI"), (None, "AD")),
        None,
        "AD at a scan of unknown age",
        (None, 4.0),
    ),
    "column_wins": History(
        "the table says 1.2, the scans 2.5 years", ((70.0, "MCI"), (72.5, "AD")), 1, "", (1.2, None)
    ),
    "followup_only": History(
        "the table gives the follow-up, a scan the conversion", ((70.0, "MCI"), (71.0, "AD")), 1, "", (None, 5.0)
    ),
    "seen_in_clinic": History("one scan, but visits without scans up to 4 years", ((70.0, "MCI"),), 0, "", (None, 4.0)),
}


def scans_of(histories: dict[str, History]) -> pd.DataFrame:
    """Build the table of scans: the one asked is session 1."""
    rows = []
    for name, history in histories.items():
        for place, (age, diagnosis) in enumerate(history.scans):
            years = history.years if place == 0 else (None, None)
            rows.append((f"{name}_{place + 1}", name, str(place + 1), age, diagnosis, *years))
    columns = ["scan_id", "participant_id", "session_id", "age", "diagnosis", "conversion_years", "followup_years"]
    return pd.DataFrame(rows, columns=columns).astype({"conversion_years": float, "followup_years": float})


def table() -> str:
    """Render the histories as Markdown."""
    lines = ["| history | scans (age, diagnosis) | conversion, follow-up in the table | label, 2 years |"]
    lines.append("| --- | --- | --- | --- |")
    for history in HISTORIES.values():
        scans = "; ".join(f"{age or '?'} {diagnosis or '?'}" for age, diagnosis in history.scans)
        years = ", ".join("–" if value is None else f"{value:g}" for value in history.years)
        label = f"none: {history.why}" if history.label is None else f"**{history.label:g}**"
        lines.append(f"| {history.told} | {scans} | {years} | {label} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
