"""How much of what was planted is measured: long tables of planted and measured values.

Every function gives columns ``check``, ``group`` (a region, a stage, a representation), ``item`` (a scan or a locus),
``planted`` and ``measured``.
"""

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from workflow_scripts.lib.imaging.registration import distance

REGIONS = {"Hippocampus": ("Left-Hippocampus", "Right-Hippocampus")}
REGIONS["Lateral ventricle"] = ("Left-Lateral-Ventricle", "Right-Lateral-Ventricle")
BRAIN_AXES = [f"{i}{j}" for i in range(3) for j in range(4)]


def _rows(check: str, group: object, items: pd.Series, planted: object, measured: object) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "check": check,
            "group": group,
            "item": np.asarray(items),
            "planted": np.asarray(planted),
            "measured": np.asarray(measured),
        }
    )


def volumes(planted: pd.DataFrame, features: pd.DataFrame) -> pd.DataFrame:
    """Compare true and measured regional volumes, both sides together, as log change from the mean."""
    both = planted.merge(features, on="scan_id", suffixes=("", "_measured"))
    parts = []
    for region, sides in REGIONS.items():
        true = np.log(sum(both[f"volume_{side}"] for side in sides))
        found = np.log(sum(both[side] for side in sides))
        parts.append(_rows("volume", region, both["scan_id"], true - true.mean(), found - found.mean()))
        change = np.mean([both[f"change_{side}"] for side in sides], axis=0)
        share = np.log(sum(both[side] for side in sides) / both["icv"])
        parts.append(_rows("atrophy", region, both["scan_id"], change, share - share.mean()))
    return pd.concat(parts, ignore_index=True)


def poses(planted: pd.DataFrame, qc: pd.DataFrame) -> pd.DataFrame:
    """Measure, for every registered scan, the mean distance in mm over the brain between planted and found pose.

    ``planted`` is the displacement that the pose caused, ``measured`` what is left after registration.
    """
    found = planted.merge(qc[qc["overlap"].notna()], on="scan_id", suffixes=("", "_qc"))

    def matrix(row: pd.Series, prefix: str) -> np.ndarray:
        return np.vstack([row[[f"{prefix}_{axis}" for axis in BRAIN_AXES]].to_numpy(float).reshape(3, 4), [0, 0, 0, 1]])

    before = [distance(matrix(row, "pose"), np.eye(4)).mean() for _, row in found.iterrows()]
    after = [distance(matrix(row, "pose"), matrix(row, "transform")).mean() for _, row in found.iterrows()]
    return _rows("pose", "all", found["scan_id"], before, after)


def sites(planted: pd.DataFrame, raw: pd.DataFrame, harmonised: pd.DataFrame) -> pd.DataFrame:
    """Say whether a scan's site is guessed from its features before and after ComBat, 1 or 0.

    The guess is learned on the population cohort, on which ComBat is estimated, and made for the clinical cohort, which
    neither has seen. ``planted`` is the chance level: the share of the largest site.
    """
    parts = []
    for group, table in (("before ComBat", raw), ("after ComBat", harmonised)):
        both = planted[["scan_id", "site"]].merge(table, on="scan_id")
        values = both.drop(columns=["scan_id", "site", "participant_id", "icv"]).to_numpy(float)
        seen = both["participant_id"].str.startswith("sub-pop")
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
        model.fit(values[seen], both.loc[seen, "site"])
        test = both[~seen]
        right = model.predict(values[~seen]) == test["site"]
        chance = test["site"].value_counts(normalize=True).max()
        parts.append(_rows("site", group, test["scan_id"], chance, right.astype(float)))
    return pd.concat(parts, ignore_index=True)


def brain_age(planted: pd.DataFrame, gaps: pd.DataFrame) -> pd.DataFrame:
    """Compare the planted gap (true brain age less age) with the measured one, of people who did not train."""
    test = gaps[gaps["role"] == "test"].merge(planted[["scan_id", "brain_age"]], on="scan_id")
    parts = [
        _rows("gap", name, part["scan_id"], part["brain_age"] - part["age"], part["gap_debiased"])
        for name, part in test.groupby("representation", sort=False)
    ]
    return pd.concat(parts, ignore_index=True)


def loci(planted: pd.DataFrame, tests: dict[str, pd.DataFrame], window: int = 100_000) -> pd.DataFrame:
    """Compare the share of the genetic offset that a named locus makes with its evidence in the association study.

    ``measured`` is -log10 of the smallest p within ``window`` base pairs, since variants in linkage disequilibrium
    stand for each other.
    """
    named = planted[planted["locus"] != "background"]
    parts = []
    for name, table in tests.items():
        near = [
            table[(table["chrom"].astype(str) == str(locus.chrom)) & ((table["pos"] - locus.pos).abs() <= window)]
            for locus in named.itertuples()
        ]
        evidence = [-np.log10(rows["p"].min()) for rows in near]
        parts.append(_rows("locus", name, named["locus"], named["share"], evidence))
    return pd.concat(parts, ignore_index=True)


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Summarise each check and group: number, correlation of planted and measured, and the means and maxima.

    Returns
    -------
    pandas.DataFrame
        ``check``, ``group``, ``n``, ``r`` (missing where nothing varies), ``planted_mean``, ``measured_mean``,
        ``measured_max``.
    """
    rows = []
    for (check, group), part in table.groupby(["check", "group"], sort=False):
        varies = part["planted"].nunique() > 1 and part["measured"].nunique() > 1
        rows.append(
            {
                "check": check,
                "group": group,
                "n": len(part),
                "r": part["planted"].corr(part["measured"]) if varies else None,
                "planted_mean": part["planted"].mean(),
                "measured_mean": part["measured"].mean(),
                "measured_max": part["measured"].max(),
            }
        )
    return pd.DataFrame(rows)
