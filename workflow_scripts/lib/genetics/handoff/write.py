"""Write every handoff of a study into one folder."""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.genetics.handoff import files, fuma, models, readme, ssf, validate

SUMMARY_TARGETS = ("gwas_ssf", "fuma", "ldsc", "magma")
COLUMNS = ["target", "trait", "file", "rows", "bytes", "individuals", "left_out"]


def _row(target: str, trait: str | None, path: Path, rows: int, dropped: Mapping[str, int] | None = None) -> tuple:
    said = "; ".join(f"{reason}: {count}" for reason, count in (dropped or {}).items())
    name = f"{target}/{path.name}"
    return (target, trait, name, rows, path.stat().st_size, readme.is_private(target), said or "nothing")


def link(source: Path, target: Path) -> None:
    """Put a file into a folder without a second copy where the disk allows it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def write_statistics(
    trait: str, table: pd.DataFrame, munged: Path | None, folder: Path, targets: list[str], about: dict
) -> list[tuple]:
    """Write one trait's summary statistics for each target that takes them.

    Parameters
    ----------
    trait : str
    table : pandas.DataFrame
        Columns of schema ``gwas``.
    munged : pathlib.Path or None
        The trait's file for LDSC.
    folder : pathlib.Path
        Of all handoffs.
    targets : list of str
    about : dict
        See :func:`ssf.write`.

    Returns
    -------
    list of tuple
        Rows of :data:`COLUMNS`.
    """
    rows = []
    if "gwas_ssf" in targets:
        path = folder / "gwas_ssf" / f"{trait}.tsv.gz"
        written, dropped = ssf.write(table, path, trait, about)
        rows.append(_row("gwas_ssf", trait, path, len(written), dropped))
        rows.append(_row("gwas_ssf", trait, path.with_name(f"{path.name}-meta.yaml"), 1))
    if "fuma" in targets:
        path = folder / "fuma" / f"{trait}.txt.gz"
        written, dropped = fuma.to_fuma(table)
        files.write_columns(written, path)
        rows.append(_row("fuma", trait, path, len(written), dropped))
    if "ldsc" in targets and munged is not None:
        path = folder / "ldsc" / f"{trait}.sumstats.gz"
        link(munged, path)
        lines = pd.read_csv(path, sep=r"\s+", usecols=[0]).shape[0]
        rows.append(_row("ldsc", trait, path, lines))
    if "magma" in targets:
        places, values, dropped = fuma.to_magma(table)
        for frame, name, header in ((places, "snp_loc", False), (values, "pval", True)):
            path = folder / "magma" / f"{trait}.{name}.txt"
            files.write_columns(frame, path, header=header)
            rows.append(_row("magma", trait, path, len(frame), dropped))
    return rows


def write_people(people: models.People, folder: Path, targets: list[str]) -> list[tuple]:
    """Write traits and covariates for each target that takes them; rows of :data:`COLUMNS`."""
    writers: dict[str, Callable] = {
        "regenie": models.write_regenie,
        "gcta": models.write_gcta,
        "bolt": models.write_bolt,
    }
    rows = []
    for target in (name for name in writers if name in targets):
        for path in writers[target](people, folder / target):
            trait = path.stem if path.suffix == ".phen" else None
            rows.append(_row(target, trait, path, len(people.ids)))
    return rows


def _words(people: models.People, listed: pd.DataFrame, settings: dict, about: dict) -> dict:
    """Gather what the READMEs say of this study."""
    discrete, quantitative = models.split_covariates(people.covariates)
    largest = listed.loc[listed["target"] == "fuma", "bytes"].max()
    size = "None is larger." if not largest > fuma.LIMIT else "LARGER: leave variants out by frequency, or split."
    return settings | {
        "assembly": ssf.ASSEMBLY[about["build"]],
        "build": ssf.ASSEMBLY[about["build"]],
        "build_line": readme.BUILD_LINES[about["build"]],
        "population": about["population"],
        "size_line": size,
        "traits": ", ".join(people.traits),
        "discrete": ", ".join(discrete) or "none, hence no such file",
        "quantitative": ", ".join(quantitative) or "none, hence no such file",
        "columns": " ".join(f"--qCovarCol {name}" for name in people.covariates),
    }


def write_all(
    traits: list[str],
    read: Callable[[str], tuple[pd.DataFrame, Path | None]],
    people: models.People,
    folder: Path,
    targets: list[str],
    settings: dict,
    about: dict,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write every handoff.

    Parameters
    ----------
    traits : list of str
    read : callable
        Gives a trait's results (columns of schema ``gwas``) and its file for LDSC; called once a trait, so that one
        table at a time is in memory.
    people : models.People
    folder : pathlib.Path
    targets : list of str
        Keys of :data:`readme.TEXTS`.
    settings : dict
        Rules of loci: see :func:`fuma.parameters`.
    about : dict
        See :func:`ssf.write`, and ``population``.

    Returns
    -------
    listed : pandas.DataFrame
        Schema ``handoff_files``.
    verdicts : pandas.DataFrame
        Schema ``handoff_validation``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for trait in traits if set(targets) & set(SUMMARY_TARGETS) else []:
        table, munged = read(trait)
        rows += write_statistics(trait, table, munged, folder, targets, about)
    if "fuma" in targets:
        chosen = fuma.parameters(settings, about["build"], about["population"], len(people.ids))
        files.write_columns(chosen, folder / "fuma" / "parameters.tsv")
        rows.append(_row("fuma", None, folder / "fuma" / "parameters.tsv", len(chosen)))
    rows += write_people(people, folder, targets)
    listed = pd.DataFrame(rows, columns=COLUMNS)
    words = _words(people, listed, settings, about)
    for target in targets:
        with files.open_text(folder / target / "README.txt") as stream:
            stream.write(readme.target_text(target, words))
    with files.open_text(folder / "README.txt") as stream:
        stream.write(readme.folder_text(targets))
    tables = listed[(listed["target"] == "gwas_ssf") & listed["file"].str.endswith(".tsv.gz")]
    found = {row.trait: (folder / row.file, row.rows) for row in tables.itertuples()}
    return listed, validate.check_all(found)
