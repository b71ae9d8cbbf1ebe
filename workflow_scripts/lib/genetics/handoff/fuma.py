"""Input of FUMA (SNP2GENE) and of MAGMA."""

import pandas as pd

from workflow_scripts.lib.genetics.handoff import files

LIMIT = 600_000_000  # bytes that FUMA takes
# FUMA's reference panels of 1000 Genomes, phase 3
POPULATIONS = ("EUR", "AFR", "AMR", "EAS", "SAS", "ALL")


def _common(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    kept, dropped = files.prepare(table)
    return kept.assign(p=kept["p"].clip(lower=files.LEAST_P)), dropped


def to_fuma(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Bring results into columns whose names FUMA knows by itself.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns of schema ``gwas``.

    Returns
    -------
    fuma : pandas.DataFrame
        ``CHR`` (X is 23), ``BP``, ``rsID``, ``A1`` (effect allele), ``A2``, ``P``, ``BETA``, ``SE``, ``N``. ``rsID``
        is only there if every variant has one: FUMA takes other names in it for errors, and finds the ids itself by
        place and alleles where the column is absent.
    dropped : dict of int
        Reason -> variants.
    """
    kept, dropped = _common(table)
    names = {"chrom": "CHR", "pos": "BP", "id": "rsID", "a1": "A1", "a2": "A2", "p": "P", "beta": "BETA", "se": "SE"}
    fuma = kept.rename(columns=names | {"n": "N"})[[*names.values(), "N"]]
    if not kept["id"].str.fullmatch(files.RS).all():
        fuma = fuma.drop(columns="rsID")
    return fuma, dropped


def parameters(settings: dict, build: str, population: str, people: int) -> pd.DataFrame:
    """List what to choose on FUMA's form so that its loci follow this study's rules.

    Parameters
    ----------
    settings : dict
        Config section ``genetics: loci`` and key ``gene_kb``: p, candidate_p, r2, lead_r2, merge_kb, gene_kb.
    build : {'hg19', 'hg38'}
    population : str
        One of :data:`POPULATIONS`.
    people : int

    Returns
    -------
    pandas.DataFrame
        ``parameter`` (its name in the params.config that FUMA gives back), ``value``, ``form`` (words on the form).
    """
    rows = [
        ("GRCh38", int(build == "hg38"), "Input is build GRCh38"),
        ("Ncol", "N", f"Sample size: column name ({people} people at most)"),
        ("leadP", f"{settings['p']:g}", "Maximum P-value of lead SNPs"),
        ("gwasP", f"{settings['candidate_p']:g}", "Maximum P-value cutoff"),
        ("r2", f"{settings['r2']:g}", "r2 threshold to define independent significant SNPs"),
        ("r2_2", f"{settings['lead_r2']:g}", "2nd r2 threshold to define lead SNPs"),
        ("refpanel", "1KG/Phase3", "Reference panel population: 1000G Phase3"),
        ("pop", population, f"Reference panel population: {population}"),
        ("refSNPs", 1, "Include variants in reference panel (non-GWAS tagged SNPs in LD)"),
        ("MAF", 0, "Minimum Minor Allele Frequency"),
        ("mergeDist", f"{settings['merge_kb']:g}", "Maximum distance between LD blocks to merge into a locus (kb)"),
        ("posMap", 1, "Perform positional mapping"),
        ("posMapWindowSize", f"{settings['gene_kb']:g}", "Distance to genes (kb)"),
        ("genetype", "protein_coding", "Gene type"),
        ("magma", 1, "Perform MAGMA; needed for Cell Type afterwards"),
    ]
    return pd.DataFrame(rows, columns=["parameter", "value", "form"])


def to_magma(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]:
    """Bring results into MAGMA's two files.

    Returns
    -------
    places : pandas.DataFrame
        ``SNP``, ``CHR``, ``BP``, to be written without a header.
    values : pandas.DataFrame
        ``SNP``, ``P``, ``N``; a variant each, since MAGMA goes by name.
    dropped : dict of int
        Reason -> variants.
    """
    kept, dropped = _common(table)
    twice = kept["id"].duplicated(keep=False)
    if twice.any():
        dropped["id repeated"] = int(twice.sum())
        kept = kept[~twice]
    names = {"id": "SNP", "chrom": "CHR", "pos": "BP", "p": "P", "n": "N"}
    named = kept.rename(columns=names)
    return named[["SNP", "CHR", "BP"]], named[["SNP", "P", "N"]], dropped
