"""Exported tables with planted values, as aparcstats2table and asegstats2table lay them out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.lib.imaging.stats.structures import ASEG, DK, DKT

# parcellation -> atlas
PARCELLATIONS = {"aparc": "DK", "aparc.DKTatlas": "DKT", "aparc.DKTatlas40": "DKT", "aparc.DKTatlas.mapped": "DKT"}


def write_tables(
    folder: str | Path,
    subjects: Sequence[str],
    seed: int,
    separator: str = "\t",
    transpose: bool = False,
    parcellation: str = "aparc",
    measures: Sequence[str] = ("thickness",),
    aseg: bool = True,
    proper: bool = False,
) -> tuple[list[str], pd.DataFrame]:
    """Write tables of a few people.

    Parameters
    ----------
    folder : path
    subjects : sequence of str
        Names of the rows.
    seed : int
    separator : str
        Between cells: tab, comma, semicolon, space or several spaces.
    transpose : bool
        Subjects in columns.
    parcellation : str
        One of ``PARCELLATIONS``.
    measures : sequence of {"thickness", "volume"}
        A table for each and each hemisphere.
    aseg : bool
        Write the table of the segmentation too.
    proper : bool
        Call the thalamus as FreeSurfer did before 7.

    Returns
    -------
    paths : list of str
    planted : pandas.DataFrame
        Index subject, columns features and ``icv``.
    """
    folder, rng = Path(folder), np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    suffix = "csv" if separator in ",;" else "tsv"
    atlas, icv = PARCELLATIONS[parcellation], [f"{value:.6f}" for value in rng.normal(1.5e6, 1e5, len(subjects))]
    regions, prefix = (DK, "") if atlas == "DK" else (DKT, "DKT_")
    paths, planted = [], {}
    for measure in measures:
        for side in ("lh", "rh"):
            columns, shape = {}, (len(subjects), len(regions))
            drawn = rng.normal(2.5, 0.2, shape) if measure == "thickness" else rng.normal(6000, 600, shape)
            for region, values in zip(regions, drawn.T, strict=True):
                texts = [f"{value:.3f}" if measure == "thickness" else f"{value:.0f}" for value in values]
                columns[f"{side}_{region}_{measure}"] = texts
                planted[f"{side}_{prefix}{region}_{measure}"] = texts
            if measure == "thickness":
                columns[f"{side}_MeanThickness_thickness"] = [f"{2.45:.5f}"] * len(subjects)
            columns |= {"BrainSegVolNotVent": ["1100000.0"] * len(subjects), "eTIV": icv}
            path = folder / f"{side}.{measure}.{suffix}"
            _write(path, f"{side}.{parcellation}.{measure}", subjects, columns, separator, transpose)
            paths.append(str(path))
    if aseg:
        columns = {}
        for name in ASEG.values():
            texts = [f"{value:.1f}" for value in rng.normal(4000, 300, len(subjects))]
            planted[name] = texts
            columns[f"{name}-Proper" if proper and name.endswith("Thalamus") else name] = texts
        columns |= {"BrainSegVol": ["1150000.0"] * len(subjects), "EstimatedTotalIntraCranialVol": icv}
        path = folder / f"aseg.{suffix}"
        _write(path, "Measure:volume", subjects, columns, separator, transpose)
        paths.append(str(path))
    return paths, pd.DataFrame(planted | {"icv": icv}, index=list(subjects)).astype(float)


def _write(path: Path, corner: str, subjects, columns: dict[str, list[str]], separator: str, transpose: bool) -> None:
    rows = [
        [corner, *columns],
        *([subject, *values] for subject, *values in zip(subjects, *columns.values(), strict=True)),
    ]
    rows = list(zip(*rows, strict=True)) if transpose else rows
    path.write_text("".join(separator.join(row) + "\n" for row in rows))
