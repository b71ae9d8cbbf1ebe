"""Faults that quality control finds: in tables of decisions by hand, and in the numbers of a scan."""

from pathlib import Path

from tests.imaging.qc.qc_study import WANTED, settings, study
from tests.malformed.case import Case
from workflow_scripts.lib.imaging.qc.decide import judge, refuse_too_many
from workflow_scripts.lib.imaging.qc.overrides import read_overrides
from workflow_scripts.lib.study.errors import StudyError

SCANS = ["sub-01_1", "sub-02_1"]
HEADER = "scan_id\tdecision\treason\n"


def overrides(text: str, header: str = HEADER):
    """Return what reads a table of decisions by hand and gives its message."""

    def provoke(folder: Path) -> str:
        path = folder / "overrides.tsv"
        path.write_text(header + text)
        try:
            read_overrides(path, SCANS)
        except StudyError as error:
            return str(error)
        return "read without a fault"

    return provoke


def reason(decision: str | None = None, drop: str = "", **columns):
    """Return what judges a study with a fault in its first scan and gives the reason for which it is set aside."""

    def provoke(folder: Path) -> str:
        scans, made, placed, features = study(**columns)
        placed = placed.drop(index=0) if drop == "placed" else placed
        chosen = None
        if decision:
            path = folder / "overrides.tsv"
            path.write_text(f"{HEADER}sub-1_1\t{decision}\tmoved\n")
            chosen = read_overrides(path, scans["scan_id"].tolist())
        row = judge(scans, (made, placed), features, WANTED, settings(), chosen).iloc[0]
        return "included" if row["included"] else f"{row['stage']}: {row['reason']}"

    return provoke


def too_many(folder: Path) -> str:
    """Judge a study that loses half of its scans."""
    scans, made, placed, features = study(4, placed__overlap={0: 0.2, 2: 0.3})
    try:
        refuse_too_many(judge(scans, (made, placed), features, WANTED, settings()), 0.1)
    except StudyError as error:
        return str(error)
    return "goes on"


MEND = "Correct the value or leave out the row."
CASES = [
    Case(
        "overrides",
        "a scan that the study does not have",
        "refused",
        "{folder}/overrides.tsv, line 2, column 'scan_id': found 'sub-1_1', expected a scan of the study. "
        "Did you mean 'sub-01_1'? Correct the id or remove the row.",
        overrides("sub-1_1\texclude\tmoved\n"),
    ),
    Case(
        "overrides",
        "a decision of another word",
        "refused",
        "{folder}/overrides.tsv, line 2, column 'decision': found 'drop', expected one of include, exclude. "
        f"include or exclude. {MEND}",
        overrides("sub-01_1\tdrop\tmoved\n"),
    ),
    Case(
        "overrides",
        "no reason",
        "refused",
        "{folder}/overrides.tsv, line 3, column 'reason': found nothing, expected text, not an empty cell. "
        f"Why, in a few words. {MEND}",
        overrides("sub-01_1\texclude\tmoved\nsub-02_1\texclude\t\n"),
    ),
    Case(
        "overrides",
        "two decisions on one scan",
        "refused",
        "{folder}/overrides.tsv: scan_id 'sub-01_1' stands on lines 2, 3; it must name one row. "
        "Remove the repeated row or give it its own id.",
        overrides("sub-01_1\texclude\tmoved\nsub-01_1\tinclude\tfine\n"),
    ),
    Case(
        "overrides",
        "a column is missing",
        "refused",
        "{folder}/overrides.tsv: column 'reason' is missing (Why, in a few words.). Found columns: scan_id, decision.",
        overrides("sub-01_1\texclude\n", "scan_id\tdecision\n"),
    ),
    Case(
        "overrides",
        "no such file",
        "refused",
        "{folder}/overrides.tsv: no such file",
        lambda folder: _message(lambda: read_overrides(folder / "overrides.tsv", SCANS)),
    ),
    Case(
        "overrides",
        "include for a scan without a registered volume",
        "set aside",
        "register: registration failed (no overlap) "
        "(the override 'include' has no effect: it has no registered volume)",
        reason("include", placed__passed={0: False}, placed__reason={0: "registration failed (no overlap)"}),
    ),
    Case(
        "overrides",
        "a scan excluded by hand",
        "set aside",
        "override: excluded by hand: moved",
        reason("exclude"),
    ),
    Case(
        "scan",
        "brain lies beside the template",
        "set aside",
        "qc: overlap with the template is 0.31, expected at least 0.85",
        reason(placed__overlap={0: 0.3141}),
    ),
    Case(
        "scan",
        "brain is registered at the size of a mouse's",
        "set aside",
        "qc: scale factor to the template is 0.20, expected 0.7 to 1.4",
        reason(placed__scale={0: 0.2}),
    ),
    Case(
        "scan",
        "no contrast between grey and white matter",
        "set aside",
        "qc: contrast of grey and white matter is 0.03, expected at least 0.05",
        reason(made__grey_white_contrast={0: 0.026}),
    ),
    Case(
        "stats",
        "collapsed surfaces: far too little cortex",
        "set aside",
        "qc: cortex volume is 64 ml, expected 200 to 900 ml",
        reason(made__cortex_ml={0: 64.0}),
    ),
    Case(
        "stats",
        "a feature that the study uses is missing",
        "set aside",
        "features: 1 of 6 features missing, e.g. lh_insula_volume; choose a list that the tool gives (features: list)",
        reason(features__lh_insula_volume={0: float("nan")}),
    ),
    Case(
        "scan",
        "registration left no row for a scan",
        "set aside",
        "register: registration left no row for it",
        reason(drop="placed"),
    ),
    Case(
        "study",
        "more scans are lost than the config allows",
        "refused",
        "2 of 4 scans were set aside, more than qc: max_excluded_fraction 0.1 allows. "
        "Mend the scans, drop their rows, or raise the limit:\n"
        "  sub-1_1: qc: overlap with the template is 0.20, expected at least 0.85\n"
        "  sub-3_1: qc: overlap with the template is 0.30, expected at least 0.85",
        too_many,
    ),
]


def _message(act) -> str:
    try:
        act()
    except StudyError as error:
        return str(error)
    return "read without a fault"
