"""Points of a Manhattan and a QQ plot: what the figure draws without computing anything."""

import numpy as np
import pandas as pd

from workflow_scripts.lib.genetics import gwas

GAP = 0.01  # space between chromosomes, share of the genome


def genome_positions(table: pd.DataFrame) -> np.ndarray:
    """Return positions along a genome whose chromosomes follow each other (megabases).

    A chromosome takes the length that its variants span, so that a study of short stretches fills the axis too.
    """
    order = pd.to_numeric(table["chrom"].replace({"X": "23", "Y": "24", "MT": "26"}))
    spans = table.groupby(order)["pos"].agg(["min", "max"])
    length = (spans["max"] - spans["min"]) / 1e6
    starts = (length + GAP * length.sum()).cumsum().shift(fill_value=0.0)
    return order.map(starts).to_numpy(float) + (table["pos"] - order.map(spans["min"])).to_numpy(float) / 1e6


def expected(p: pd.Series) -> np.ndarray:
    """Return -log10 of the p-values that as many true null hypotheses give, (rank - 0.5) / n, in the order of ``p``."""
    return -np.log10((p.rank(method="first") - 0.5) / p.notna().sum()).to_numpy()


def plot_points(
    results: dict[str, pd.DataFrame], threshold: float, suggestive: float, keep_below: float = 0.01, most: int = 50_000
) -> pd.DataFrame:
    """Gather what a Manhattan and a QQ plot show.

    Parameters
    ----------
    results : dict of pandas.DataFrame
        By representation, columns of schema ``gwas``.
    threshold, suggestive : float
        p-values of the two lines; leads below ``suggestive`` are marked.
    keep_below : float
        All variants with a lower p are kept.
    most : int
        Of the others, at most this many, evenly along the genome: millions of points show the same picture.

    Returns
    -------
    pandas.DataFrame
        ``representation``, ``chrom``, ``pos``, ``id``, ``p``, ``observed`` (-log10 p), ``expected``, ``x``
        (megabases along the genome), ``lead``, ``lambda_gc``, ``people``, ``threshold``, ``suggestive``.
    """
    parts = []
    for name, table in results.items():
        table = table[table["p"].notna()].reset_index(drop=True)
        strongest = gwas.leads(table, suggestive).index
        points = table[["chrom", "pos", "id", "p"]].assign(
            observed=-np.log10(table["p"].clip(lower=np.finfo(float).tiny)),
            expected=expected(table["p"]),
            x=genome_positions(table),
            lead=table.index.isin(strongest),
            lambda_gc=gwas.lambda_gc(table["p"]),
            people=int(table["n"].max()),
            threshold=threshold,
            suggestive=suggestive,
        )
        weak = np.flatnonzero(points["p"] >= keep_below)
        step = -(-len(weak) // most) or 1
        dropped = np.setdiff1d(weak, weak[::step])
        points.insert(0, "representation", name)
        parts.append(points.drop(index=dropped))
    return pd.concat(parts, ignore_index=True)
