"""Linkage of significant variants with their neighbourhood: r2 among the people of a panel, by plink 1.9."""

import logging
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.genetics import tools
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study.errors import StudyError

LOGGER = logging.getLogger(__name__)
BIM = ["chrom", "id", "cm", "pos", "alt", "ref"]
FEW = 100  # people; the r2 of unlinked variants is about 1 / people, so that few make linkage where there is none
OTHER_BUILD = 0.5  # share of ids found at another position from which the panel is taken to be of another build


@dataclass(frozen=True)
class Panel:
    """Genotypes of a panel of people around some places of the genome.

    Attributes
    ----------
    prefixes : dict of pathlib.Path
        By chromosome: a .bed/.bim/.fam fileset whose variants have the ids of the results.
    known : pandas.Index
        Ids of the results' variants that the panel has, and that differ between its people.
    people : int
    window_kb : float
        Pairs farther apart count as unlinked.
    folder : pathlib.Path
        For working files.
    """

    prefixes: dict[str, Path]
    known: pd.Index
    people: int
    window_kb: float
    folder: Path
    limits: Limits

    def r2(self, ids: list[str], least: float = 0.0) -> pd.DataFrame:
        """Return the squared correlation of variants with all others that are near.

        Parameters
        ----------
        ids : list of str
            Variants, of any chromosomes.
        least : float
            Pairs below are left out.

        Returns
        -------
        pandas.DataFrame
            ``first`` (one of ``ids``), ``id``, ``r2``; the pair of a variant with itself stands there too.
        """
        found = [self._chromosome(prefix, ids, least) for prefix in self.prefixes.values()]
        return pd.concat([EMPTY, *found], ignore_index=True)

    def _chromosome(self, prefix: Path, ids: list[str], least: float) -> pd.DataFrame:
        here = pd.Index(ids)[pd.Index(ids).isin(_read_bim(prefix)["id"])]
        if here.empty:
            return EMPTY
        wanted, out = self.folder / "wanted.txt", self.folder / "pairs"
        wanted.write_text("".join(f"{name}\n" for name in here))
        arguments = ["--bfile", str(prefix), "--r2", "--ld-snp-list", str(wanted), "--ld-window-r2", f"{least:.6f}"]
        # the window in variants has no switch for none
        arguments += ["--ld-window-kb", f"{self.window_kb:.6g}", "--ld-window", "99999999", "--allow-no-sex"]
        tools.run(tools.find("plink1.9"), arguments, out, self.limits)
        names = {"SNP_A": "first", "SNP_B": "id", "R2": "r2"}
        kinds = {"SNP_A": str, "SNP_B": str, "R2": float}
        pairs = pd.read_csv(f"{out}.ld", sep=r"\s+", usecols=list(names), dtype=kinds).rename(columns=names)
        pairs = pairs[pairs["id"].isin(self.known) & pairs["r2"].notna()]
        itself = pd.DataFrame({"first": here, "id": here, "r2": 1.0})  # whether or not plink writes it
        return pd.concat([itself, pairs[pairs["first"] != pairs["id"]]], ignore_index=True)


EMPTY = pd.DataFrame({"first": pd.Series(dtype=str), "id": pd.Series(dtype=str), "r2": pd.Series(dtype=float)})


def make_panel(
    variants: pd.DataFrame,
    near: pd.DataFrame,
    source: dict[str, Path],
    keep: Path | None,
    window_kb: float,
    folder: Path,
    limits: Limits,
) -> Panel:
    """Take what lies around some places out of the genotypes of a panel.

    Parameters
    ----------
    variants : pandas.DataFrame
        Every tested variant: ``chrom``, ``pos`` (base pairs), ``id``, ``ref``, ``alt``.
    near : pandas.DataFrame
        Variants whose neighbourhood is wanted: ``chrom``, ``pos``.
    source : dict of pathlib.Path
        Filesets (.pgen or .bed) by part: chromosome, or ``all``.
    keep : pathlib.Path, optional
        plink's list of people to use; everybody if None.
    window_kb : float
        Reach of the neighbourhood, kilobases, both ways.
    folder : pathlib.Path
        An empty folder for working files.

    Returns
    -------
    Panel
        Variants are matched by chromosome, position and both alleles in either order, else by id and position.

    Raises
    ------
    StudyError
        If a chromosome or every variant is missing in the panel, or its positions are of another build.
    """
    prefixes, known, people = {}, [], 0
    for chrom, places in near.groupby("chrom", sort=False):
        out = folder / f"panel_{chrom}"
        _extract(_fileset(source, str(chrom)), str(chrom), places["pos"], window_kb, keep, out, limits)
        here = variants[variants["chrom"] == chrom]
        matched = match(_read_bim(out), here, str(source))
        _write_ids(matched, out)
        prefixes[str(chrom)], people = out, len(tools.read_samples(out))
        usable = _differing(out, folder / "counts", limits).intersection(matched["match"].dropna())
        known.append(usable)
        text = "chromosome %s: the panel has %d variants near significant ones; %d of them were tested and differ in it"
        LOGGER.info(text, chrom, len(matched), len(usable))
    index = known[0].append(known[1:]) if known else pd.Index([], dtype=str)
    if prefixes and people < FEW:
        LOGGER.warning("r2 comes from %d people only: unlinked variants show r2 of about %.2f", people, 1 / people)
    return Panel(prefixes, index, people, window_kb, folder, limits)


def reference_parts(path: str, chromosomes: list[str]) -> dict[str, Path]:
    """Name the filesets of a reference panel: ``{chrom}`` in its path stands for the chromosome.

    Raises
    ------
    StudyError
        If there is no fileset.
    """
    parts = {c: Path(path.replace("{chrom}", c)) for c in chromosomes} if "{chrom}" in path else {"all": Path(path)}
    found = {part: p for part, p in parts.items() if any(Path(f"{p}{end}").exists() for end in (".bed", ".pgen"))}
    if not found:
        raise StudyError(
            f"genetics: reference: found no {path}.bed or {path}.pgen. Give the path of a .bed/.bim/.fam or "
            ".pgen/.pvar/.psam fileset without its ending ({chrom} in it stands for the chromosome), or null for the "
            "study's own people."
        )
    return found


def _fileset(source: dict[str, Path], chrom: str) -> Path:
    prefix = source.get(chrom, source.get("all"))
    if prefix is None:
        raise StudyError(
            f"genotypes for linkage: chromosome {chrom} has significant variants but no fileset; there are "
            f"{', '.join(source)}. Add its files to genetics: reference (or genetics: genotypes)."
        )
    return prefix


def _extract(
    prefix: Path, chrom: str, positions: pd.Series, window_kb: float, keep: Path | None, out: Path, limits: Limits
) -> None:
    reach = round(window_kb * 1000)
    ranges = Path(f"{out}.ranges")
    ranges.write_text("".join(f"{chrom} {max(p - reach, 1)} {p + reach} near\n" for p in positions.unique()))
    arguments = [*tools.genotype_arguments(prefix), "--chr", chrom, "--extract", "bed1", str(ranges)]
    arguments += ["--keep", str(keep)] if keep else []
    arguments += ["--max-alleles", "2", "--output-chr", "26", "--make-bed"]
    try:
        tools.run(tools.find("plink2"), arguments, out, limits)
    except StudyError as error:
        if "No variants remaining" not in str(error):
            raise
        raise StudyError(
            f"{prefix}: no variant within {window_kb:g} kb of the significant variants of chromosome {chrom} (e.g. "
            f"position {positions.iloc[0]}). The panel must be on the build of genetics: build and have this "
            "chromosome; name another one under genetics: reference, or null for the study's own people."
        ) from error


def _read_bim(prefix: Path) -> pd.DataFrame:
    kinds = {"chrom": str, "id": str, "pos": int, "alt": str, "ref": str}
    return pd.read_csv(f"{prefix}.bim", sep="\t", header=None, names=BIM, dtype=kinds, keep_default_na=False)


def _place(table: pd.DataFrame) -> pd.Series:
    """Name variants by position and alleles, whichever of them is the reference."""
    first = table["ref"].where(table["ref"] < table["alt"], table["alt"])
    second = table["alt"].where(table["ref"] < table["alt"], table["ref"])
    return table["pos"].astype(str) + ":" + first + ":" + second


def match(panel: pd.DataFrame, variants: pd.DataFrame, source: str) -> pd.DataFrame:
    """Find the results' variants in a panel of one chromosome.

    Parameters
    ----------
    panel : pandas.DataFrame
        ``id``, ``pos``, ``ref``, ``alt``.
    variants : pandas.DataFrame
        ``id``, ``pos``, ``ref``, ``alt``.
    source : str
        The panel's name, for messages.

    Returns
    -------
    pandas.DataFrame
        ``panel`` with ``match``: id of the results' variant, or missing. Each is matched once.

    Raises
    ------
    StudyError
        If most ids that both know stand at other positions.
    """
    both = panel.merge(variants[["id", "pos"]].drop_duplicates("id"), on="id", suffixes=("", "_tested"))
    moved = both["pos"] != both["pos_tested"]
    if moved.sum() > OTHER_BUILD * max(len(both), 1):
        row = both[moved].iloc[0]
        raise StudyError(
            f"genetics: reference ({source}): {moved.sum()} of {len(both)} variants known by id stand at other "
            f"positions than in the results, e.g. {row['id']} at {row['pos']} instead of {row['pos_tested']}. The "
            "panel must be on the build of genetics: build; lift it over or name another panel."
        )
    by_place = pd.Series(variants["id"].to_numpy(), _place(variants))
    found = _place(panel).map(by_place[~by_place.index.duplicated()])
    same = panel["id"].where(panel["id"].isin(both["id"][~moved]))
    same = same.where(~same.isin(found.dropna()))
    found = found.where(found.notna(), same)
    return panel.assign(match=found.where(~found.duplicated()))


def _write_ids(matched: pd.DataFrame, prefix: Path) -> None:
    """Give a .bed fileset the ids of the results; variants that the results lack get names that nobody has."""
    spare = pd.Series([f"panel_only_{row}" for row in range(len(matched))], matched.index)
    table = matched.assign(id=matched["match"].where(matched["match"].notna(), spare))
    table[BIM].to_csv(f"{prefix}.bim", sep="\t", header=False, index=False)


def _differing(prefix: Path, out: Path, limits: Limits) -> pd.Index:
    """List variants with more than one genotype in the panel; the others have no correlation with anything."""
    arguments = ["--bfile", str(prefix), "--geno-counts", "cols=homref,refalt1,homalt1"]
    tools.run(tools.find("plink2"), arguments, out, limits)
    counts = pd.read_csv(f"{out}.gcount", sep="\t", dtype={"#ID": str}, keep_default_na=False)
    kinds = (counts.drop(columns="#ID") > 0).sum(axis=1)
    return pd.Index(counts["#ID"][kinds > 1], dtype=str)
