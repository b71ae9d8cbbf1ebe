"""Genetic principal components: ancestry as covariates of the association."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.lib.genetics import genotypes, tools
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study.errors import StudyError

LOGGER = logging.getLogger(__name__)
EXACT_BELOW = 5000  # people; plink2's randomised algorithm is meant for more, and slower and less exact for fewer
# Regions where linkage reaches over megabases (inversions, centromeres, HLA): components would show these and not
# ancestry. Megabases by build. Price et al., Am J Hum Genet 83:132, 2008; Anderson et al., Nat Protoc 5:1564, 2010.
LONG_RANGE = {
    "hg19": """1:48-52 2:86-100.5 2:134.5-138 2:183-190 3:47.5-50 3:83.5-87 3:89-97.5 5:44.5-50.5 5:98-100.5 5:129-132
        5:135.5-138.5 6:25-35 6:57-64 6:140-142.5 7:55-66 8:7-13 8:43-50 8:112-115 10:37-43 11:46-57 11:87.5-90.5
        12:33-40 12:109.5-112 20:32-34.5""",
    "hg38": """1:47.7-51.8 2:85.9-100.6 2:133.7-137.3 2:182.4-189.1 3:47.4-50 3:83.3-86.9 3:88.9-97.8 5:44.4-51.2
        5:98.6-101.2 5:129.6-132.7 5:136.1-139.2 6:25.3-33.5 6:57.7-58.5 6:61.1-61.5 6:139.6-142.2 7:54.9-66.9
        8:8.1-12.2 8:43-49 8:110.9-113.9 10:36.6-43.2 11:45.9-57.3 11:88.1-91.2 12:32.9-41.4 12:109-111.6
        20:33.9-36.5""",
}


def write_regions(build: str, path: Path) -> None:
    """Write the regions of long-range linkage of a build (``hg19``, ``hg38``) as plink's 1-based ranges."""
    rows = []
    for region in LONG_RANGE[build].split():
        chrom, _, span = region.partition(":")
        first, last = (round(float(end) * 1e6) for end in span.split("-"))
        rows.append(f"{chrom} {first} {last} long_range\n")
    path.write_text("".join(rows))


def thin_genotypes(
    parts: dict[str, Path], people: Path, settings: dict, build: str, out: str | Path, folder: Path, limits: Limits
) -> int:
    """Write independent common variants of all parts, outside long-range linkage, to ``out.bed``, ``.bim``, ``.fam``.

    Parameters
    ----------
    parts : dict
        Part -> prefix of genotypes after quality control.
    people : pathlib.Path
        plink's list of who is left.
    settings : dict
        Config section ``genetics: pcs``: ``prune_window`` (variants), ``prune_step``, ``prune_r2``, ``min_maf``,
        ``max_variants`` (before pruning, evenly spread).
    build : str
        ``hg19`` or ``hg38``.
    folder : pathlib.Path
        An empty folder for working files.

    Returns
    -------
    int
        Variants written.

    Raises
    ------
    StudyError
        If there are fewer than 50 people or nothing is left.
    """
    samples = tools.read_ids(people)
    _refuse_few(len(samples), settings["count"])
    write_regions(build, folder / "regions.txt")
    plink2, window = tools.find("plink2"), [str(settings[key]) for key in ("prune_window", "prune_step", "prune_r2")]
    thinned = {}
    for part, prefix in parts.items():
        given = [*tools.genotype_arguments(prefix), "--keep", str(people)]
        flags = ["--exclude", "bed1", str(folder / "regions.txt"), "--maf", str(settings["min_maf"])]
        listed, pruned, thinned[part] = (folder / f"{step}_{part}" for step in ("common", "pruned", "thin"))
        try:
            tools.run(plink2, [*given, *flags, "--make-just-pvar", "cols="], listed, limits)
        except StudyError as error:
            if "No variants remaining" not in str(error):
                raise
            del thinned[part]  # a chromosome may lie in such regions altogether, in a small study
            continue
        chosen = genotypes.thin(genotypes.read_variants(listed), settings["max_variants"], build)
        (folder / "chosen.txt").write_text("\n".join(chosen["id"]) + "\n")
        flags = ["--extract", str(folder / "chosen.txt"), "--indep-pairwise", *window]
        tools.run(plink2, [*given, *flags], pruned, limits)
        flags = ["--extract", f"{pruned}.prune.in", "--make-bed"]
        tools.run(plink2, [*given, *flags], thinned[part], limits)
    if not thinned:
        raise StudyError(
            "no variant is common and outside regions of long-range linkage. Lower genetics: pcs: min_maf, or set "
            "genetics: pcs: count: 0."
        )
    genotypes.join_beds(thinned, samples, Path(out), folder, limits)
    with Path(f"{out}.bim").open("rb") as stream:
        return sum(1 for _ in stream)


def _refuse_few(people: int, count: int) -> None:
    if people < max(tools.LEAST_PEOPLE, count + 1):
        raise StudyError(
            f"{people} people passed the quality control of genotypes; genetic components need at least "
            f"{max(tools.LEAST_PEOPLE, count + 1)}. Give more people the role gwas, loosen genetics: qc, or set "
            "genetics: pcs: count: 0."
        )


def components(
    prefix: str | Path, count: int, folder: Path, limits: Limits, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compute principal components of thinned genotypes: exactly below 5,000 people, by a randomised algorithm above.

    Parameters
    ----------
    prefix : path
        What :func:`thin_genotypes` wrote.
    count : int
        How many.
    folder : pathlib.Path
        For working files.
    seed : int
        For the randomised algorithm.

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

    References
    ----------
    .. [1] Galinsky et al., Am J Hum Genet 98:456, 2016 (the randomised algorithm).
    """
    people, variants = (_lines(f"{prefix}{ending}") for ending in (".fam", ".bim"))
    _refuse_few(people, count)
    if variants <= count:
        raise StudyError(
            f"pruning left {variants} variants for {count} genetic components. Loosen genetics: pcs: prune_r2 or "
            "min_maf, or lower count."
        )
    flags = ["--bfile", str(prefix), "--pca", str(count)]
    flags += ["approx", "--seed", str(seed % 2**32)] if people >= EXACT_BELOW else []
    tools.run(tools.find("plink2"), flags, folder / "pca", limits)
    return read_components(folder / "pca")


def _lines(path: str) -> int:
    with open(path, "rb") as stream:
        return sum(1 for _ in stream)


def read_components(out: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read plink2's ``out.eigenvec`` and ``out.eigenval``."""
    table = pd.read_csv(f"{out}.eigenvec", sep="\t", dtype={"IID": str, "#IID": str, "#FID": str})
    table = table.rename(columns={"#IID": "IID"}).drop(columns="#FID", errors="ignore")
    table = table.rename(columns={"IID": "participant_id"})
    values = np.loadtxt(f"{out}.eigenval", ndmin=1)
    return table, pd.DataFrame({"component": table.columns[1:], "eigenvalue": values})


def no_components(people: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return tables without components, for a study that adjusts for none."""
    return people[["participant_id"]], pd.DataFrame({"component": [], "eigenvalue": []})


def components_of_table(path: str | Path, people: pd.DataFrame, count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Take the components of a user's table, such as those that come with UK Biobank's genotypes.

    Parameters
    ----------
    path : path
        One row a person: a column of ids, and the components in their order, any names.
    people : pandas.DataFrame
        Who is left after quality control: ``participant_id``.
    count : int
        How many components to take.

    Returns
    -------
    table, eigenvalues : pandas.DataFrame
        As :func:`components`; people without components are left out, eigenvalues unknown.

    Raises
    ------
    StudyError
        If columns are too few, values are no numbers, or nobody of the study is in it.
    """
    table = genotypes.read_user_table(path)
    named = [name for name in table.columns if name not in ("participant_id", "FID", "#FID")]
    if len(named) < count:
        raise StudyError(
            f"{path}: found {len(named)} columns beside the ids ({', '.join(named[:6])}), expected {count} genetic "
            "components (genetics: pcs: count). Lower count or give a table with more."
        )
    values = table[named[:count]].apply(pd.to_numeric, errors="coerce")
    wrong = (values.isna() & table[named[:count]].notna()).any()
    if wrong.any():
        raise StudyError(f"{path}, column '{wrong.idxmax()}': found text, expected a number (a genetic component).")
    values.columns = [f"PC{place + 1}" for place in range(count)]
    table = pd.concat([table["participant_id"], values], axis=1).dropna().drop_duplicates("participant_id")
    table = people[["participant_id"]].merge(table, on="participant_id")
    if not len(table):
        raise StudyError(
            f"{path}: none of the {len(people)} people after quality control is in it (they are e.g. "
            f"{', '.join(people['participant_id'][:3])}). Its ids must equal participant_id."
        )
    if len(table) < len(people):
        LOGGER.warning("%s: %d of %d people have no components and leave", path, len(people) - len(table), len(people))
    return table, pd.DataFrame({"component": values.columns, "eigenvalue": np.nan})
