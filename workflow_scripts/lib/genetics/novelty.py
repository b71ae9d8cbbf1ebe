"""Which loci are known: comparison with a catalogue of published associations that the user gives."""

from pathlib import Path

import pandas as pd

from workflow_scripts.lib.genetics.build import check_build
from workflow_scripts.lib.study.errors import StudyError

COLUMNS = ["chrom", "pos", "id", "trait", "p"]
GWAS_CATALOG = ["CHR_ID", "CHR_POS", "SNPS", "P-VALUE"]
CATALOG_BUILD = "hg38"  # the GWAS Catalog gives positions on GRCh38 only
# several variants in a cell: haplotypes and interactions
SEPARATOR = r"\s*[;,]\s*|\s+x\s+"


def read_catalogue(path: str | Path, settings: dict, build: str) -> pd.DataFrame:
    """Read known associations.

    Parameters
    ----------
    path : path
        The associations file of the GWAS Catalog (TSV, with or without ontology), or a TSV with the columns
        ``chrom``, ``pos``, ``id``, ``trait``, ``p``; either also as .gz.
    settings : dict
        Config section ``genetics: catalogue``: ``build``, ``match`` (``position``: positions and ids; ``id``: ids
        only, whatever the build), ``p`` (weaker associations do not count), ``traits`` (words, one of which a trait
        must hold; null for all).
    build : str
        ``genetics: build``.

    Returns
    -------
    pandas.DataFrame
        ``chrom``, ``pos`` (missing if unknown or if only ids count), ``id``, ``trait``, ``p``; the strongest first.

    Raises
    ------
    StudyError
        If the builds differ or the columns are of neither kind.
    """
    path = Path(path)
    if not path.exists():
        raise StudyError(f"{path}: no such file (genetics: catalogue: table)")
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, quoting=3, encoding="utf-8-sig")
    published = set(GWAS_CATALOG) <= set(table.columns)
    if not published and not set(COLUMNS) <= set(table.columns):
        raise StudyError(
            f"{path}: found the columns {', '.join(table.columns[:8])}; expected {', '.join(COLUMNS)}, or those of the "
            f"GWAS Catalog's associations ({', '.join(GWAS_CATALOG)}, DISEASE/TRAIT). Rename the columns."
        )
    if settings["match"] == "position":
        _check_builds(settings["build"], build, published)
    table = _published(table) if published else table[COLUMNS]
    table = table.assign(
        chrom=table["chrom"].str.removeprefix("chr"),
        pos=pd.to_numeric(table["pos"], errors="coerce"),
        p=pd.to_numeric(table["p"], errors="coerce"),
    )
    if settings["match"] == "id":
        table["pos"] = float("nan")
    return _choose(table, settings)


def _check_builds(declared: str, build: str, published: bool) -> None:
    if published and declared != CATALOG_BUILD:
        raise StudyError(
            f"genetics: catalogue: build is {declared}, but the GWAS Catalog's positions are {CATALOG_BUILD}. Set "
            f"build: {CATALOG_BUILD}; with genotypes on another build, lift the catalogue over into a table of "
            f"{', '.join(COLUMNS)}, or set match: id, which compares ids only."
        )
    try:
        check_build(declared, build, "catalogue")
    except StudyError as error:
        raise StudyError(f"{error} Or set match: id, which compares ids only.") from None


def _published(table: pd.DataFrame) -> pd.DataFrame:
    """Bring the GWAS Catalog's rows to one variant each."""
    traits = [name for name in ("MAPPED_TRAIT", "DISEASE/TRAIT") if name in table]
    trait = table[traits[0]]
    for name in traits[1:]:
        trait = trait.where(trait != "", table[name])
    names = {"chrom": table["CHR_ID"], "pos": table["CHR_POS"], "id": table["SNPS"]}
    cells = pd.DataFrame({name: values.str.split(SEPARATOR, regex=True) for name, values in names.items()})
    # a row whose cells hold different numbers of variants keeps its ids, without places
    even = cells["chrom"].str.len().eq(cells["pos"].str.len()) & cells["pos"].str.len().eq(cells["id"].str.len())
    for name in ("chrom", "pos"):
        blank = cells["id"].map(lambda ids: [""] * len(ids))
        cells[name] = cells[name].where(even, blank)
    return cells.assign(trait=trait, p=table["P-VALUE"]).explode(["chrom", "pos", "id"], ignore_index=True)[COLUMNS]


def _choose(table: pd.DataFrame, settings: dict) -> pd.DataFrame:
    table = table[~(table["p"] > settings["p"])]
    words = settings.get("traits")
    if words:
        lower = table["trait"].str.lower()
        wanted = pd.Series(False, table.index)
        for word in words:
            wanted |= lower.str.contains(word.lower(), regex=False)
        table = table[wanted]
    return table.sort_values(["p", "trait"], kind="stable").drop_duplicates().reset_index(drop=True)


def known_traits(
    loci: pd.DataFrame, candidates: pd.DataFrame, catalogue: pd.DataFrame, distance_kb: float
) -> pd.Series:
    """Say of each locus which catalogued traits it is known for.

    Parameters
    ----------
    loci : pandas.DataFrame
        ``locus``, ``chrom``, ``start``, ``end``, ``lead_pos`` (base pairs).
    candidates : pandas.DataFrame
        ``locus``, ``id``.
    catalogue : pandas.DataFrame
        As :func:`read_catalogue` returns.
    distance_kb : float
        How near to the lead an association counts, kilobases.

    Returns
    -------
    pandas.Series
        Traits joined by ;, the strongest first, with the index of ``loci``; missing for a novel locus. A locus is
        known if an association lies inside it, or near its lead, or has the id of one of its candidates.
    """
    ids = candidates.groupby("locus")["id"].agg(set).to_dict()
    found = []
    for locus in loci.itertuples():
        near = (catalogue["pos"] - locus.lead_pos).abs() <= distance_kb * 1000
        inside = (catalogue["pos"] >= locus.start) & (catalogue["pos"] <= locus.end)
        known = (catalogue["chrom"] == locus.chrom) & (near | inside)
        known |= catalogue["id"].isin(ids.get(locus.locus, set()))
        found.append("; ".join(dict.fromkeys(catalogue["trait"][known])) or None)
    return pd.Series(found, loci.index, dtype=object)
