"""Genomic loci by FUMA's rules: independent significant variants, leads, candidates, and blocks merged into loci."""

import bisect
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.lib.study.errors import StudyError

LOGGER = logging.getLogger(__name__)
R2 = Callable[[list[str], float], pd.DataFrame]  # as ld.Panel.r2: first, id, r2 of pairs at or above a least r2
NEEDED = ["chrom", "pos", "id", "ref", "alt", "a1", "a1_freq", "n", "beta", "se", "p"]
# The extended major histocompatibility complex, where linkage reaches over megabases, base pairs on chromosome 6; both
# builds within 0.1 Mb
MHC = ("6", 25_000_000, 34_000_000)
LOCI = {
    "locus": int,
    "chrom": str,
    "start": int,
    "end": int,
    "lead_id": str,
    "lead_pos": int,
    "lead_p": float,
    "lead_beta": float,
    "lead_se": float,
    "lead_a1": str,
    "lead_a1_freq": float,
    "n_independent": int,
    "n_leads": int,
    "n_candidates": int,
}
VARIANT = {"id": str, "chrom": str, "pos": int, "ref": str, "alt": str, "a1": str, "a1_freq": float, "n": int}
EFFECT = {"beta": float, "se": float, "p": float}
LEADS = {"locus": int, **VARIANT, **EFFECT, "n_independent": int, "in_panel": bool}
INDEPENDENT = {"locus": int, "lead_id": str, **VARIANT, **EFFECT, "start": int, "end": int, "n_candidates": int}
CANDIDATES = {"locus": int, **VARIANT, **EFFECT, "independent_id": str, "r2": float}
LINKAGE = {"locus": int, "lead_id": str, "id": str, "chrom": str, "pos": int, "r2": float}


@dataclass(frozen=True)
class Loci:
    """What was found for one trait; with no significant variant every table is empty, with its columns.

    Attributes
    ----------
    loci : pandas.DataFrame
        One row a locus: columns of :data:`LOCI`; numbered along the genome from 1.
    leads, independent, candidates : pandas.DataFrame
        One row a variant, with its ``locus``: columns of :data:`LEADS`, :data:`INDEPENDENT`, :data:`CANDIDATES`.
    linkage : pandas.DataFrame
        r2 of each locus's lead with its neighbourhood: columns of :data:`LINKAGE`.
    absent : list of str
        Significant variants that the panel lacks: they belong to loci by position alone.
    """

    loci: pd.DataFrame
    leads: pd.DataFrame
    independent: pd.DataFrame
    candidates: pd.DataFrame
    linkage: pd.DataFrame
    absent: list[str]


def empty(columns: dict[str, type]) -> pd.DataFrame:
    """Make a table without rows whose columns have their types."""
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in columns.items()})


def read_tested(path: str | Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read some columns (all that loci need, by default) of a table of schema ``gwas``, tested variants only."""
    columns = columns or NEEDED
    text = {name: str for name in ("chrom", "id", "ref", "alt", "a1") if name in columns}
    table = pd.read_csv(path, sep="\t", usecols=columns, dtype=text, na_values=["n/a"], keep_default_na=False)
    return table[table["p"].notna()].reset_index(drop=True)


def by_strength(results: pd.DataFrame) -> pd.DataFrame:
    """Sort variants, the strongest first; p-values that underflow to 0 are told apart by beta over se."""
    key = pd.DataFrame({"p": results["p"], "t": -(results["beta"] / results["se"]).abs(), "pos": results["pos"]})
    return results.loc[key.assign(id=results["id"]).sort_values(["p", "t", "pos", "id"]).index]


def find(results: pd.DataFrame, r2: R2, known: pd.Index, settings: dict) -> Loci:
    """Find the loci of one trait.

    Parameters
    ----------
    results : pandas.DataFrame
        Columns of schema ``gwas``, any order of rows.
    r2 : callable
        ``r2(ids, least)`` gives pairs ``first``, ``id``, ``r2`` (:meth:`ld.Panel.r2`).
    known : pandas.Index
        Ids that the panel has.
    settings : dict
        Config section ``genetics: loci``: ``p``, ``candidate_p``, ``r2``, ``lead_r2``, ``merge_kb``, ``window_kb``
        (farther pairs count as unlinked), ``mhc`` (all of it is one locus).

    Returns
    -------
    Loci
        Independent: p below ``p``, none with r2 >= ``r2`` to a stronger one. Leads: independent ones with
        r2 < ``lead_r2`` to each other. Candidates: p below ``candidate_p`` and r2 >= ``r2`` with an independent one.
        Loci: the blocks of candidates of one lead, and blocks closer than ``merge_kb``. A significant variant that the
        panel lacks is a block by itself; where no independent variant is near, the strongest of these leads.

    References
    ----------
    .. [1] Watanabe et al., Nat Commun 8:1826, 2017 (FUMA).
    """
    check_settings(settings)
    nominal = by_strength(results[results["p"] < settings["candidate_p"]])
    significant = nominal[nominal["p"] < settings["p"]]
    _refuse_repeated(significant)
    seen = significant["id"].isin(known)
    absent = significant[~seen]
    if len(absent):
        text = (
            "%d of %d significant variants are not in the panel of linkage (e.g. %s): they go to loci by position only"
        )
        LOGGER.warning(text, len(absent), len(significant), ", ".join(absent["id"][:3]))
    chosen, pairs = independent_variants(significant[seen], r2, settings)
    tagged = _tagged(nominal, pairs, settings["r2"])
    of_lead = lead_variants(chosen["id"].tolist(), pairs, settings["lead_r2"])
    blocks = _blocks(tagged, of_lead, absent)
    blocks["locus"] = merge(blocks, settings["merge_kb"] * 1000, settings["mhc"])
    found = _tables(chosen, tagged, of_lead, blocks, absent)
    return replace(found, linkage=_linkage(found.leads, found.loci, results, r2))


def check_settings(settings: dict) -> None:
    """Refuse thresholds that contradict each other."""
    for low, high in (("p", "candidate_p"), ("lead_r2", "r2")):
        if settings[low] > settings[high]:
            raise StudyError(
                f"genetics: loci: {low} is {settings[low]:g}, expected at most {high} ({settings[high]:g}), or a "
                f"significant variant would belong to no locus. Lower {low} or raise {high}."
            )


def _refuse_repeated(significant: pd.DataFrame) -> None:
    again = significant["id"].duplicated()
    if again.any():
        name = significant["id"][again].iloc[0]
        raise StudyError(
            f"association: variant id '{name}' stands on several rows; linkage goes by id. Give every "
            "variant an id of its own (plink2 --set-all-var-ids @:#:$r:$a) and run the association again."
        )


def independent_variants(significant: pd.DataFrame, r2: R2, settings: dict) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Choose the strongest variant, drop what it tags, choose the strongest of the rest, and so on.

    Variants with no stronger one left in their window are chosen together, which changes nothing and saves calls.

    Parameters
    ----------
    significant : pandas.DataFrame
        Strongest first.

    Returns
    -------
    chosen : pandas.DataFrame
        Rows of ``significant``, strongest first.
    pairs : pandas.DataFrame
        ``first`` (a chosen one), ``id``, ``r2`` at or above ``lead_r2``.
    """
    left, chosen, pairs = significant, [], [r2([], 0.0)]
    while len(left):
        tops = strongest_near(left, settings["window_kb"] * 1000)
        found = r2(left["id"][tops].tolist(), settings["lead_r2"])
        pairs.append(found)
        chosen += left["id"][tops].tolist()
        tagged = found["id"][found["r2"] >= settings["r2"]]
        left = left[~left["id"].isin(tagged) & ~tops]
    return significant[significant["id"].isin(chosen)], pd.concat(pairs, ignore_index=True)


def strongest_near(table: pd.DataFrame, reach: float) -> np.ndarray:
    """Mark variants (strongest first) that have no stronger one within ``reach`` base pairs; bool."""
    seen: dict[str, list[int]] = {}
    marks = np.zeros(len(table), bool)
    for row, (chrom, position) in enumerate(zip(table["chrom"], table["pos"], strict=True)):
        places = seen.setdefault(chrom, [])
        at = bisect.bisect_left(places, position)
        near = [place for place in places[max(at - 1, 0) : at + 1] if abs(place - position) <= reach]
        marks[row] = not near
        places.insert(at, position)
    return marks


def lead_variants(independent: list[str], pairs: pd.DataFrame, least: float) -> dict[str, str]:
    """Say to which lead each independent variant (strongest first) belongs; a lead belongs to itself."""
    linked = pairs[(pairs["r2"] >= least) & pairs["id"].isin(independent) & (pairs["first"] != pairs["id"])]
    neighbours = linked.groupby("first")["id"].agg(set).to_dict()
    of_lead: dict[str, str] = {}
    leads: list[str] = []
    for name in independent:
        mine = neighbours.get(name, set())
        lead = next((lead for lead in leads if lead in mine or name in neighbours.get(lead, ())), name)
        of_lead[name] = lead
        if lead == name:
            leads.append(name)
    return of_lead


def _tagged(results: pd.DataFrame, pairs: pd.DataFrame, least: float) -> pd.DataFrame:
    """List candidates of each independent variant: ``first``, ``r2`` and the columns of ``results``."""
    strong = pairs[pairs["r2"] >= least]
    return strong.merge(results[results["id"].isin(strong["id"])], on="id", how="inner")


def _blocks(tagged: pd.DataFrame, of_lead: dict[str, str], absent: pd.DataFrame) -> pd.DataFrame:
    """Give one row an independent variant: ``id``, ``group`` (its lead), ``chrom``, ``start``, ``end``."""
    spans = tagged.groupby("first", sort=False).agg(chrom=("chrom", "first"), start=("pos", "min"), end=("pos", "max"))
    spans = spans.rename_axis("id").reset_index()
    spans.insert(1, "group", spans["id"].map(of_lead))
    alone = absent.assign(group=absent["id"], start=absent["pos"], end=absent["pos"])
    return pd.concat([spans, alone[["id", "group", "chrom", "start", "end"]]], ignore_index=True)


def merge(blocks: pd.DataFrame, gap: float, mhc: bool) -> pd.Series:
    """Number loci along the genome, from 1: blocks of one group, and blocks closer than ``gap`` base pairs.

    Parameters
    ----------
    blocks : pandas.DataFrame
        ``group``, ``chrom``, ``start``, ``end`` (base pairs, both inside).
    mhc : bool
        Take all blocks that reach into the major histocompatibility complex for one.
    """
    group = blocks["group"]
    if mhc:
        inside = (blocks["chrom"] == MHC[0]) & (blocks["start"] <= MHC[2]) & (blocks["end"] >= MHC[1])
        group = group.mask(group.isin(group[inside]), "mhc")
    spans = blocks.assign(group=group).groupby("group", sort=False)
    spans = spans.agg(chrom=("chrom", "first"), start=("start", "min"), end=("end", "max"))
    spans["order"] = [_order(chrom) for chrom in spans["chrom"]]
    spans = spans.sort_values(["order", "chrom", "start", "end"])
    farthest = spans.groupby("chrom", sort=False)["end"].cummax().groupby(spans["chrom"], sort=False).shift()
    new = farthest.isna() | (spans["start"] - farthest >= gap)
    return group.map(new.cumsum()).astype(int)


def _order(chrom: str) -> int:
    return int(chrom) if chrom.isdigit() else 100


def _tables(
    chosen: pd.DataFrame, tagged: pd.DataFrame, of_lead: dict[str, str], blocks: pd.DataFrame, absent: pd.DataFrame
) -> Loci:
    """Put everything into tables once it is known which block belongs to which locus."""
    locus = blocks.set_index("id")["locus"]
    # the strongest of a locus that the panel knows nothing of leads it
    bare = absent[~absent["id"].map(locus).isin(chosen["id"].map(locus))]
    alone = bare[~bare["id"].map(locus).duplicated()]
    chosen = pd.concat([chosen, alone])
    of_lead = of_lead | {name: name for name in alone["id"]}
    chosen = chosen.assign(locus=chosen["id"].map(locus), lead_id=chosen["id"].map(of_lead))
    candidates = _candidates(tagged, absent, chosen["id"], locus)
    sizes = tagged["first"].value_counts()
    chosen["n_candidates"] = chosen["id"].map(sizes).fillna(1).astype(int)
    chosen = chosen.merge(blocks[["id", "start", "end"]], on="id")
    leads = chosen[chosen["id"] == chosen["lead_id"]]
    counts = chosen["lead_id"].value_counts()
    leads = leads.assign(n_independent=leads["id"].map(counts), in_panel=~leads["id"].isin(alone["id"]))
    loci = _loci(blocks, chosen, leads, candidates)
    return Loci(
        loci,
        _shape(leads.sort_values(["locus", "p"], kind="stable"), LEADS),
        _shape(chosen.sort_values(["locus", "p"], kind="stable"), INDEPENDENT),
        candidates,
        empty(LINKAGE),
        absent["id"].tolist(),
    )


def _candidates(tagged: pd.DataFrame, absent: pd.DataFrame, chosen: pd.Series, locus: pd.Series) -> pd.DataFrame:
    """Keep each candidate once, with the independent variant (strongest first) that it is most linked with."""
    rank = pd.Series(range(len(chosen)), chosen.to_numpy())
    best = tagged.assign(rank=tagged["first"].map(rank)).sort_values(["r2", "rank"], ascending=[False, True])
    best = best.drop_duplicates("id").rename(columns={"first": "independent_id"})
    best = best.assign(locus=best["independent_id"].map(locus))
    lone = absent.assign(independent_id=absent["id"].where(absent["id"].isin(chosen)), r2=np.nan)
    lone["locus"] = lone["id"].map(locus)
    return _shape(pd.concat([best, lone]).sort_values(["locus", "pos", "id"]), CANDIDATES)


def _loci(blocks: pd.DataFrame, chosen: pd.DataFrame, leads: pd.DataFrame, candidates: pd.DataFrame) -> pd.DataFrame:
    spans = blocks.groupby("locus").agg(chrom=("chrom", "first"), start=("start", "min"), end=("end", "max"))
    top = by_strength(leads.reset_index(drop=True)).drop_duplicates("locus").set_index("locus")
    top = top[["id", "pos", "p", "beta", "se", "a1", "a1_freq"]].add_prefix("lead_")
    counts = {"n_independent": chosen, "n_leads": leads, "n_candidates": candidates}
    table = spans.join(top).assign(**{name: rows["locus"].value_counts() for name, rows in counts.items()})
    return _shape(table.sort_index().reset_index(), LOCI)


def _linkage(leads: pd.DataFrame, loci: pd.DataFrame, results: pd.DataFrame, r2: R2) -> pd.DataFrame:
    """Give r2 of the lead of each locus with every tested variant in its window."""
    firsts = leads["id"][leads["in_panel"] & leads["id"].isin(loci["lead_id"])]
    pairs = r2(firsts.tolist(), 0.0).rename(columns={"first": "lead_id"})
    pairs = pairs.merge(loci[["lead_id", "locus"]], on="lead_id").merge(results[["id", "chrom", "pos"]], on="id")
    return _shape(pairs.sort_values(["locus", "pos", "id"]), LINKAGE)


def _shape(table: pd.DataFrame, columns: dict[str, type]) -> pd.DataFrame:
    """Choose columns in order, with their types also where there is no row."""
    table = table[list(columns)].reset_index(drop=True)
    return table if len(table) else empty(columns)
