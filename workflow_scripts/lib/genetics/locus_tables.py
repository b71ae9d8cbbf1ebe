"""What is reported of loci: genes and known traits beside each, and all that the figure of a locus shows."""

import logging
import tempfile
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.genetics import genes, gwas, ld, loci, novelty
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import tables

LOGGER = logging.getLogger(__name__)
# one row a thing that the figure of a locus shows; columns that a kind lacks are missing
REGION = {
    "panel": int,
    "trait": str,
    "locus": int,
    "lead_id": str,
    "nearest_gene": str,
    "chrom": str,
    "first": int,
    "last": int,
    "kind": str,
    "name": str,
    "group": str,
    "start": int,
    "end": int,
    "strand": str,
    "p": float,
    "observed": float,
    "r2": float,
    "threshold": float,
}
SHOWN = list(REGION)[:8]


def find_linked(
    results: pd.DataFrame, source: dict[str, Path], keep: Path | None, settings: dict, limits: Limits
) -> loci.Loci:
    """Find the loci of one trait with linkage from a panel of people (see :func:`loci.find`, :func:`ld.make_panel`)."""
    significant = results[results["p"] < settings["p"]]
    with tempfile.TemporaryDirectory() as folder:
        panel = ld.make_panel(results, significant, source, keep, settings["window_kb"], Path(folder), limits)
        return loci.find(results, panel.r2, panel.known, settings)


def annotate(
    found: loci.Loci, table: pd.DataFrame | None, window_kb: float, known: pd.DataFrame | None, distance_kb: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Say of each locus which genes are there and whether it is known.

    Parameters
    ----------
    table : pandas.DataFrame, optional
        Genes (:func:`genes.read_genes`); without them the columns are missing.
    window_kb : float
        Reach on both sides of a gene, kilobases.
    known : pandas.DataFrame, optional
        Published associations (:func:`novelty.read_catalogue`); without them novelty is missing.
    distance_kb : float
        How near to the lead an association counts, kilobases.

    Returns
    -------
    annotated : pandas.DataFrame
        ``found.loci`` with ``genes``, ``nearest_gene``, ``novel`` (true, false, or missing), ``known_traits``.
    mapped : pandas.DataFrame
        Genes of each locus (:func:`genes.map_genes`).
    """
    table = table if table is not None else pd.DataFrame(columns=genes.COLUMNS)
    mapped = genes.map_genes(found.candidates, table, window_kb)
    leads = found.loci.rename(columns={"lead_pos": "pos"})
    annotated = found.loci.assign(
        genes=genes.names_of_loci(mapped, found.loci["locus"]), nearest_gene=genes.nearest(leads, table)
    )
    if len(table) and len(leads) and annotated["nearest_gene"].isna().all():
        names = ", ".join(sorted(table["chrom"].unique())[:5])
        LOGGER.warning("no gene on any chromosome with a locus; chromosomes of the table of genes are e.g. %s", names)
    if known is None:
        return annotated.assign(novel=None, known_traits=None), mapped
    traits = novelty.known_traits(found.loci, found.candidates, known, distance_kb)
    return annotated.assign(novel=traits.isna().map({True: "true", False: "false"}), known_traits=traits), mapped


def strongest(table: pd.DataFrame, count: int, flank_kb: float) -> pd.DataFrame:
    """Choose the strongest loci of all traits for the figure; of loci that overlap between traits the strongest.

    Parameters
    ----------
    table : pandas.DataFrame
        Loci of all traits: ``trait``, ``locus``, ``chrom``, ``start``, ``end``, ``lead_id``, ``lead_p``,
        ``lead_beta``, ``lead_se``, ``nearest_gene``.
    count : int
        How many.
    flank_kb : float
        What to show on both sides, kilobases.

    Returns
    -------
    pandas.DataFrame
        ``panel`` (1 for the strongest), ``trait``, ``locus``, ``lead_id``, ``nearest_gene``, ``chrom``, ``first``,
        ``last`` (base pairs shown, both inside).
    """
    table = table.assign(z=-(table["lead_beta"] / table["lead_se"]).abs())
    table = table.sort_values(["lead_p", "z", "trait", "locus"], kind="stable")
    chosen: list = []
    for row in table.itertuples():
        same = [c for c in chosen if c.chrom == row.chrom and c.start <= row.end and row.start <= c.end]
        if not same and len(chosen) < count:
            chosen.append(row)
    flank = round(flank_kb * 1000)
    rows = [
        (
            panel,
            row.trait,
            row.locus,
            row.lead_id,
            row.nearest_gene,
            row.chrom,
            max(row.start - flank, 1),
            row.end + flank,
        )
        for panel, row in enumerate(chosen, 1)
    ]
    return pd.DataFrame(rows, columns=SHOWN) if rows else loci.empty({name: REGION[name] for name in SHOWN})


def variants_shown(
    shown: pd.DataFrame, tested: pd.DataFrame, trait: str, linkage: pd.DataFrame, threshold: float
) -> pd.DataFrame:
    """List the variants of one trait in the regions shown, with r2 to the lead.

    Parameters
    ----------
    shown : pandas.DataFrame
        As :func:`strongest` returns.
    tested : pandas.DataFrame
        ``chrom``, ``pos``, ``id``, ``p``, ``neg_log10_p`` of ``trait``.
    linkage : pandas.DataFrame
        ``trait``, ``locus``, ``id``, ``r2``, of the traits of ``shown``.
    threshold : float
        p-value of genome-wide significance.

    Returns
    -------
    pandas.DataFrame
        Columns of :data:`REGION`; kind ``variant``, ``group`` the tested trait; r2 is missing where the panel lacks
        the variant or it is out of the window of linkage.
    """
    parts = []
    for region in shown.itertuples(index=False):
        here = tested[(tested["chrom"] == region.chrom) & tested["pos"].between(region.first, region.last)]
        mine = linkage[(linkage["trait"] == region.trait) & (linkage["locus"] == region.locus)]
        r2 = here["id"].map(mine.drop_duplicates("id").set_index("id")["r2"])
        rows = {
            "kind": "variant",
            "name": here["id"],
            "group": trait,
            "start": here["pos"],
            "end": here["pos"],
            "p": here["p"],
            "observed": here["neg_log10_p"],
            "r2": r2,
            "threshold": threshold,
        }
        parts.append(_rows(region, here.index, rows))
    return region_table(parts)


def genes_shown(shown: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """List the genes that reach into the regions shown, as rows of :data:`REGION` of kind ``gene``."""
    parts = []
    for region in shown.itertuples(index=False):
        here = table[
            (table["chrom"] == region.chrom) & (table["start"] <= region.last) & (table["end"] >= region.first)
        ]
        rows = {"kind": "gene", "name": here["gene"], **{name: here[name] for name in ("start", "end", "strand")}}
        parts.append(_rows(region, here.index, rows))
    return region_table(parts)


def peaks_shown(shown: pd.DataFrame, table: pd.DataFrame, overlaps: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """List the peaks in the regions shown, and the significant variants in them.

    Parameters
    ----------
    table : pandas.DataFrame
        As :func:`peaks.read_peaks` returns.
    overlaps : pandas.DataFrame
        ``trait`` and the columns of :func:`peaks.overlaps`.

    Returns
    -------
    pandas.DataFrame
        Columns of :data:`REGION`; kind ``peak`` (``group`` the cell type; positions from 1, the end inside) and kind
        ``overlap`` (``name`` the variant, ``group`` the cell type). Cell types without a peak there have one row
        without positions, so that the figure shows that they were looked at.
    """
    parts = []
    for region in shown.itertuples(index=False):
        near = (table["chrom"] == region.chrom) & (table["start"] < region.last) & (table["end"] >= region.first)
        here = table[near]
        rows = {"kind": "peak", "group": here["cell_type"], "start": here["start"] + 1, "end": here["end"]}
        parts.append(_rows(region, here.index, rows))
        bare = pd.Series(sorted(set(table["cell_type"]) - set(here["cell_type"])), dtype=str)
        parts.append(_rows(region, bare.index, {"kind": "peak", "group": bare}))
        held = overlaps[(overlaps["trait"] == region.trait) & (overlaps["p"] < threshold)]
        held = held[(held["chrom"] == region.chrom) & held["pos"].between(region.first, region.last)]
        held = held.drop_duplicates(["id", "cell_type"])
        rows = {
            "name": held["id"],
            "group": held["cell_type"],
            "start": held["pos"],
            "end": held["pos"],
            "p": held["p"],
        }
        parts.append(_rows(region, held.index, {"kind": "overlap", **rows}))
    return region_table(parts)


def _rows(region: tuple, index: pd.Index, columns: dict) -> pd.DataFrame:
    given = {name: getattr(region, name) for name in SHOWN}
    return pd.DataFrame(given | columns, index=index)


def region_table(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Join rows of regions to one table with the columns of :data:`REGION`; without rows, with its columns."""
    parts = [part.reindex(columns=list(REGION)) for part in parts if len(part)]
    if not parts:
        return loci.empty(REGION)
    table = pd.concat(parts, ignore_index=True)
    for name in ("start", "end"):
        table[name] = table[name].astype("Int64")
    order = table["kind"].map({"variant": 0, "gene": 1, "peak": 2, "overlap": 3})
    keys = ["panel", "order", "group", "start", "end", "name"]
    return table.assign(order=order).sort_values(keys).drop(columns="order").reset_index(drop=True)


def join(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Join tables of several traits; those without a row keep no column from its type."""
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else parts[0]


def write(table: pd.DataFrame, path: str | Path, schema: str) -> None:
    """Check a table against its schema and write it as .tsv.gz."""
    tables.check_table(table, schema, str(path))
    gwas.write_gzip(table, path)
