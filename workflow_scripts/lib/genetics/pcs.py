"""Genetic principal components: ancestry as covariates of the association."""

from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.lib.genetics import tools
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study.errors import StudyError

EXACT_BELOW = 5000  # people; plink2's randomised algorithm is meant for more, and slower and less exact for fewer
# Regions where linkage reaches over megabases (inversions, centromeres, HLA): components would show these and not
# ancestry. Megabases by build. Price et al., Am J Hum Genet 83:132, 2008; Anderson et al., Nat Protoc 5:1564, 2010.
LONG_RANGE = {
    "hg19": """1:48-52 2:86-100.5 2:134.5-138 2:183-190 3:47.5-50 3:83.5-87 3:89-97.5 5:44.5-50.5 5:98-100.5 5:129-132
        5:135.5-138.5 6:25-35 6:57-64 6:140-142.5 7:55-66 8:7-13 8:43-50 8:112-115 10:37-43 11:46-57 11:87.5-90.5
        12:33-40 12:109.5-112 20:32-34.5""",
    "hg38": """1:47.7-51.8 2:85.9-100.6 2:182.4-189.1 3:47.4-50 3:83.3-86.9 5:44.4-51.2 5:129.6-132.7 6:25.3-33.5
        6:57.7-58.5 6:61.1-61.5 6:139.6-142.2 7:54.9-66.9 8:8.1-12.2 8:43-49 8:110.9-113.9 10:36.6-43.2 11:88.1-91.2
        12:32.9-41.4 20:33.9-36.5""",
}


def write_regions(build: str, path: Path) -> None:
    """Write the regions of long-range linkage of a build (``hg19``, ``hg38``) as plink's 1-based ranges."""
    rows = []
    for region in LONG_RANGE[build].split():
        chrom, _, span = region.partition(":")
        first, last = (round(float(end) * 1e6) for end in span.split("-"))
        rows.append(f"{chrom} {first} {last} long_range\n")
    path.write_text("".join(rows))


def components(
    prefix: str | Path, settings: dict, folder: Path, limits: Limits, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compute principal components from independent common variants.

    Parameters
    ----------
    prefix : path
        Genotypes after quality control.
    settings : dict
        Config section ``genetics: pcs``: ``count``, ``build``, ``prune_window`` (variants), ``prune_step``,
        ``prune_r2``, ``min_maf``.
    folder : pathlib.Path
        An empty folder for working files.
    seed : int
        For the randomised algorithm, used from 5,000 people on.

    Returns
    -------
    table : pandas.DataFrame
        ``participant_id``, ``PC1`` ... as plink2 scales them (unit length).
    eigenvalues : pandas.DataFrame
        ``component``, ``eigenvalue``.

    Raises
    ------
    StudyError
        If there are fewer than 50 people or fewer variants than components.
    """
    samples, count = tools.read_samples(prefix), settings["count"]
    if count == 0:
        return samples[["participant_id"]], pd.DataFrame({"component": [], "eigenvalue": []})
    if len(samples) < max(tools.LEAST_PEOPLE, count + 1):
        raise StudyError(
            f"{len(samples)} people passed the quality control of genotypes; genetic components need at least "
            f"{max(tools.LEAST_PEOPLE, count + 1)}. Give more people the role gwas, loosen genetics: qc, or set "
            "genetics: pcs: count: 0."
        )
    write_regions(settings["build"], folder / "regions.txt")
    plink2, source = tools.find("plink2"), tools.genotype_arguments(prefix)
    window = [str(settings[key]) for key in ("prune_window", "prune_step", "prune_r2")]
    flags = ["--exclude", "bed1", str(folder / "regions.txt"), "--maf", str(settings["min_maf"])]
    tools.run(plink2, [*source, *flags, "--indep-pairwise", *window], folder / "prune", limits)
    variants = len((folder / "prune.prune.in").read_text().split())
    if variants <= count:
        raise StudyError(
            f"pruning left {variants} variants for {count} genetic components. Loosen genetics: pcs: prune_r2 or "
            "min_maf, or lower count."
        )
    flags = ["--extract", str(folder / "prune.prune.in"), "--pca", str(count)]
    flags += ["approx", "--seed", str(seed % 2**32)] if len(samples) >= EXACT_BELOW else []
    tools.run(plink2, [*source, *flags], folder / "pca", limits)
    return read_components(folder / "pca")


def read_components(out: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read plink2's ``out.eigenvec`` and ``out.eigenval``."""
    table = pd.read_csv(f"{out}.eigenvec", sep="\t", dtype={"IID": str, "#IID": str, "#FID": str})
    table = table.rename(columns={"#IID": "IID"}).drop(columns="#FID", errors="ignore")
    table = table.rename(columns={"IID": "participant_id"})
    values = np.loadtxt(f"{out}.eigenval", ndmin=1)
    return table, pd.DataFrame({"component": table.columns[1:], "eigenvalue": values})
