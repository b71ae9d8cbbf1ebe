"""LD scores of one chromosome by annotation: everything, the union of all peaks, each cell type's peaks."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.lib.genetics import gwas, peaks
from workflow_scripts.lib.genetics.ldsc import scores
from workflow_scripts.lib.genetics.ldsc.names import BASE, CELLS, FREQUENCIES, UNION, WEIGHTS
from workflow_scripts.lib.genetics.ldsc.panel import Chromosome
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.files import atomic

LOGGER = logging.getLogger(__name__)
COMMON = 0.05  # LDSC's border of common variants (.M_5_50), exclusive


@dataclass(frozen=True)
class Window:
    """Within what distance variants are looked at.

    Attributes
    ----------
    unit : str
        cm or kb.
    reach : float
        In that unit.
    place : numpy.ndarray, (variants,)
        Centimorgan or base pairs: whole numbers leave no doubt about what lies on the border.
    """

    unit: str
    reach: float
    place: np.ndarray

    @property
    def span(self) -> float:
        """The reach in the unit of ``place``."""
        return self.reach * (1000 if self.unit == "kb" else 1)


def choose_window(chromosome: Chromosome, window_cm: float, window_kb: float) -> Window:
    """Take centimorgan where the genotypes have a genetic map (``cm`` not all 0), else kilobases.

    Raises
    ------
    StudyError
        If the map falls.
    """
    cm = chromosome.variants["cm"].to_numpy(float)
    if not cm.any():
        LOGGER.info("chromosome %s: no genetic map, window of %g kb", chromosome.chrom, window_kb)
        return Window("kb", window_kb, chromosome.variants["pos"].to_numpy())
    falls = np.flatnonzero(np.diff(cm) < 0)
    if len(falls):
        row = chromosome.variants.iloc[falls[0] + 1]
        raise StudyError(
            f"genetics: reference: the genetic map of chromosome {chromosome.chrom} falls at {row['id']} (position "
            f"{row['pos']}, {row['cm']:g} cM after {cm[falls[0]]:g}). Expected centimorgan that never fall with "
            "position, or 0 everywhere for a window in kilobases."
        )
    LOGGER.info("chromosome %s: genetic map, window of %g cM", chromosome.chrom, window_cm)
    return Window("cm", window_cm, cm)


def annotate(chromosome: Chromosome, intervals: pd.DataFrame | None) -> pd.DataFrame:
    """Say to which annotations each variant belongs.

    Parameters
    ----------
    intervals : pandas.DataFrame, optional
        Peaks of cell types, as :func:`peaks.read_peaks` returns.

    Returns
    -------
    pandas.DataFrame
        bool, one row a variant: ``base``, with several cell types ``union``, then ``cells.NAME``.
    """
    variants = chromosome.variants.assign(chrom=chromosome.chrom)
    marks = {BASE: np.ones(len(variants), bool)}
    if intervals is not None:
        names = sorted(intervals["cell_type"].unique())
        if len(names) > 1:  # the union of one is that one, and a regression cannot tell two equal columns apart
            marks[UNION] = peaks.inside(variants, intervals)
        for name in names:
            marks[CELLS + name] = peaks.inside(variants, intervals[intervals["cell_type"] == name])
    return pd.DataFrame(marks)


def score(
    chromosome: Chromosome, settings: dict, intervals: pd.DataFrame | None, printed: set[str] | None, folder: Path
) -> pd.DataFrame:
    """Compute the LD scores of a chromosome and write them as LDSC reads them.

    Parameters
    ----------
    settings : dict
        Config section ``genetics: ldsc``: ``window_cm``, ``window_kb``, ``min_maf``.
    intervals : pandas.DataFrame, optional
        Peaks of cell types.
    printed : set of str, optional
        Ids of the variants whose scores are written, and over which the weights sum; every one if None.
    folder : pathlib.Path
        Gets ``NAME.CHROM.l2.ldscore.gz``, ``.l2.M``, ``.l2.M_5_50`` and ``.annot.gz`` of every annotation, ``weights``
        without the last three, and ``frequencies.CHROM.frq``.

    Returns
    -------
    pandas.DataFrame
        One row an annotation: schema ``ld_scores``.
    """
    frequency = scores.minor_frequency(chromosome.calls)
    chosen = (frequency >= settings["min_maf"]) & scores.varies(chromosome.calls)
    chromosome, frequency = chromosome.take(chosen), frequency[chosen]
    written = np.ones(len(frequency), bool) if printed is None else chromosome.variants["id"].isin(printed).to_numpy()
    window = choose_window(chromosome, settings["window_cm"], settings["window_kb"])
    marks = annotate(chromosome, intervals)
    values = scores.ld_scores(
        chromosome.calls, window.place, window.span, np.column_stack([marks.to_numpy(float), written])
    )
    common, rows = frequency > COMMON, []
    for column, name in enumerate([*marks, WEIGHTS]):
        inside = written if name == WEIGHTS else marks[name].to_numpy()
        _write_scores(chromosome, name, values[written, column], written, folder)
        if name != WEIGHTS:
            _write_annotation(chromosome, name, inside, common, folder)
        mean = values[written, column].mean() if written.any() else np.nan
        counts = {"variants": int(inside.sum()), "common": int((inside & common).sum()), "mean_l2": mean}
        place = {"chrom": chromosome.chrom, "annotation": name, "unit": window.unit, "reach": window.reach}
        rows.append(place | counts | {"people": chromosome.calls.shape[1], "written": int(written.sum())})
    _write_frequencies(chromosome, frequency, folder)
    return pd.DataFrame(rows)


def _prefix(folder: Path, name: str, chrom: str) -> str:
    return str(folder / f"{name}.{chrom}")


def _places(chromosome: Chromosome) -> pd.DataFrame:
    variants = chromosome.variants
    return pd.DataFrame({"CHR": chromosome.chrom, "SNP": variants["id"], "BP": variants["pos"]})


def _write_scores(chromosome: Chromosome, name: str, values: np.ndarray, written: np.ndarray, folder: Path) -> None:
    table = _places(chromosome)[written].assign(L2=values)
    gwas.write_gzip(table, f"{_prefix(folder, name, chromosome.chrom)}.l2.ldscore.gz")


def _write_annotation(chromosome: Chromosome, name: str, inside: np.ndarray, common: np.ndarray, folder: Path) -> None:
    prefix = _prefix(folder, name, chromosome.chrom)
    for suffix, count in ((".l2.M", inside.sum()), (".l2.M_5_50", (inside & common).sum())):
        with atomic(f"{prefix}{suffix}") as temporary:
            temporary.write_text(f"{count}\n")
    table = _places(chromosome)[["CHR", "BP", "SNP"]].assign(CM=chromosome.variants["cm"], ANNOT=inside.astype(int))
    gwas.write_gzip(table, f"{prefix}.annot.gz")


def _write_frequencies(chromosome: Chromosome, frequency: np.ndarray, folder: Path) -> None:
    table = _places(chromosome)[["CHR", "SNP"]].assign(FRQ=frequency)
    with atomic(f"{_prefix(folder, FREQUENCIES, chromosome.chrom)}.frq") as temporary:
        table.to_csv(temporary, sep="\t", index=False, float_format="%.10g")
