"""Points of a Manhattan and a QQ plot: what the figure draws without computing anything."""

import numpy as np
import pandas as pd

from workflow_scripts.lib.genetics import results

GAP = 0.01  # space between chromosomes, share of the genome


def genome_positions(table: pd.DataFrame) -> np.ndarray:
    """Return positions along a genome whose chromosomes follow each other (megabases).

    A chromosome takes the length that its variants span, so that a study of short stretches fills the axis too.
    """
    order = results.chromosome_order(table["chrom"])
    spans = table.groupby(order)["pos"].agg(["min", "max"])
    length = (spans["max"] - spans["min"]) / 1e6
    starts = (length + GAP * length.sum()).cumsum().shift(fill_value=0.0)
    return order.map(starts).to_numpy(float) + (table["pos"] - order.map(spans["min"])).to_numpy(float) / 1e6


def expected(strength: np.ndarray) -> np.ndarray:
    """Return -log10 of the p-values that as many true null hypotheses give, (rank - 0.5) / n.

    Parameters
    ----------
    strength : numpy.ndarray
        -log10 p, none missing.

    Returns
    -------
    numpy.ndarray
        In the order of ``strength``; of equal ones the first has the lowest rank.
    """
    ranks = np.empty(len(strength))
    ranks[np.argsort(-strength, kind="stable")] = np.arange(1, len(strength) + 1)
    return -np.log10((ranks - 0.5) / len(strength))


def thin(strength: np.ndarray, keep_from: float, most: int) -> np.ndarray:
    """Choose the variants that a figure shows: all strong ones, and of each decade below an even share of the genome.

    Parameters
    ----------
    strength : numpy.ndarray
        -log10 p, in the order of the genome.
    keep_from : float
        From this on all are kept.
    most : int
        Of each decade of p below it (0.1 to 1, 0.01 to 0.1, ...) at most so many. Cutting all weak ones alike would
        leave a visible step.

    Returns
    -------
    numpy.ndarray of bool
    """
    kept = strength >= keep_from
    decade = np.floor(strength)
    for level in np.unique(decade[~kept]):
        here = np.flatnonzero(~kept & (decade == level))
        kept[here[:: -(-len(here) // most)]] = True
    return kept


def plot_points(
    trait: str, table: pd.DataFrame, threshold: float, suggestive: float, keep_below: float = 1e-3, most: int = 20_000
) -> pd.DataFrame:
    """Gather what a Manhattan and a QQ plot of a trait show.

    Parameters
    ----------
    trait : str
    table : pandas.DataFrame
        See :func:`results.read_light`.
    threshold, suggestive : float
        p-values of the two lines; leads below ``suggestive`` are marked.
    keep_below, most : float, int
        All variants with a lower p are shown, and at most so many of each decade above (:func:`thin`): millions of
        points show the same picture.

    Returns
    -------
    pandas.DataFrame
        Schema ``gwas_points``. ``observed`` is -log10 p whatever its size.
    """
    table = table[table["p"].notna()].reset_index(drop=True)
    strength = table["neg_log10_p"].to_numpy()
    kept = thin(strength, -np.log10(keep_below), most)
    lead = table.index.isin(results.leads(table, suggestive).index)
    kept |= lead
    columns = {
        "observed": strength,
        "expected": expected(strength),
        "x": genome_positions(table),
        "lead": lead,
    }
    shown = table.loc[kept, ["chrom", "pos", "id", "p"]].assign(
        **{name: values[kept] for name, values in columns.items()}
    )
    shown["chrom"] = shown["chrom"].astype(str)
    shown.insert(0, "trait", trait)
    return shown.assign(
        lambda_gc=results.lambda_gc(table["p"].to_numpy()),
        people=int(table["n"].max()),
        threshold=threshold,
        suggestive=suggestive,
    ).reset_index(drop=True)
