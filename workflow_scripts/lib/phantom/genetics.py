"""The genetics study: thousands of people with genotypes and traits and no images, its truth known to every digit.

Made to test a genetic analysis where its statistics can show: stretches of 22 autosomes with the history of two
ancestries, families, faults for quality control, three heritable traits that share genes, planted loci, a cell type
whose open chromatin carries much of the heritability, traits without any, and a reference panel of other people.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from workflow_scripts.lib.genetics.bed import Genotypes
from workflow_scripts.lib.phantom import annotations, genotypes, traits
from workflow_scripts.lib.phantom.annotations import Annotations
from workflow_scripts.lib.phantom.pedigree import FAMILIES, Pedigree, plant_families
from workflow_scripts.lib.study import seeds
from workflow_scripts.lib.study.errors import StudyError

AGES = (45.0, 80.0)
COMMON = 0.01  # least minor allele frequency, in ancestry A, of what counts as common and may have an effect
RARE_SHARE = 0.08  # further variants below it, for the frequency filter to remove
X_SPAN = (30_000_000, 120_000_000)  # base pairs; inside the part that men have once
DRIFT = 0.05  # variance of allele frequencies on X between ancestries, relative to p (1 - p)


@dataclass(frozen=True)
class GeneticsStudy:
    """What the simulation gives.

    Attributes
    ----------
    genotypes : Genotypes
        As a study would find them, faults included.
    reference : Genotypes
        An LD panel: other people of ancestry A, autosomes, no faults.
    traits : pandas.DataFrame
        ``participant_id``, ``sex`` (recorded), ``age`` (years), ``icv`` (mm^3), ``array``, ``centre``, then traits
        (years).
    annotations : Annotations
    catalogue : pandas.DataFrame
        Known associations: ``chrom``, ``pos``, ``id``, ``trait``, ``p``.
    truth : dict of pandas.DataFrame
        ``people`` (``participant_id``, ``ancestry``, ``genetic_sex``, ``fault``, ``relation``, ``relative_of``),
        ``variants`` (``id``, ``chrom``, ``pos``, ``fault``), and what :func:`traits.plant_traits` gives.
    """

    genotypes: Genotypes
    reference: Genotypes
    traits: pd.DataFrame
    annotations: Annotations
    catalogue: pd.DataFrame
    truth: dict[str, pd.DataFrame]


def simulate(settings: dict, seed: int) -> GeneticsStudy:
    """Simulate the genetics study.

    Parameters
    ----------
    settings : dict
        Config section ``phantom: genetics``.
    seed : int
        Seed of the study.

    Raises
    ------
    StudyError
        If there are too few people for the planted relatives and faults, or traits are impossible.
    """
    people, pedigree = draw_people(settings, seeds.generator(seed, "genetics", "people"))
    clean, panel, table = _draw_genomes(people, pedigree, settings, seed)
    found = table["chrom"] != "X"
    loci = traits.pick_loci(panel, table[found], settings["loci"])
    drawn = annotations.simulate(
        table, table.loc[loci, ["chrom", "pos"]], seeds.generator(seed, "genetics", "annotations")
    )
    values, truth = traits.plant_traits(clean, table, people, drawn.peaks, loci, settings, seed)
    random = seeds.generator(seed, "genetics", "faults")
    catalogue = draw_catalogue(table, truth["loci"], settings["known"], random)
    calls, variants, planted = genotypes.plant_faults(clean, table, people, set(truth["loci"]["id"]), settings, random)
    columns = ["participant_id", "ancestry", "genetic_sex", "fault", "relation", "relative_of"]
    others = pd.DataFrame({"participant_id": [f"ref{number:04d}" for number in range(1, panel.shape[1] + 1)]})
    return GeneticsStudy(
        Genotypes(people[["participant_id", "sex"]], variants, calls),
        Genotypes(others.assign(sex=None), table[found].reset_index(drop=True), panel),
        values,
        drawn,
        catalogue,
        truth | {"people": people[columns], "variants": planted},
    )


def draw_people(settings: dict, random: np.random.Generator) -> tuple[pd.DataFrame, Pedigree]:
    """Draw the people, their families and whose samples are faulty; nobody gets two of these.

    Returns
    -------
    people : pandas.DataFrame
        ``participant_id``, ``sex`` (recorded), ``genetic_sex``, ``age``, ``ancestry``, ``fault`` (``none``,
        ``relative`` up to second degree, ``duplicate``, ``sex_error``, ``missingness``), ``relation``,
        ``relative_of``, ``genome`` (index in the pedigree), ``copy`` (row whose sample stands in the file).
    """
    count = settings["people"]
    pairs = {relation: settings[f"{relation}_pairs"] for relation in FAMILIES}
    alone = [2 * settings["duplicate_people"], settings["sex_errors"], settings["low_call_people"]]
    if (needed := 2 * sum(pairs.values()) + sum(alone)) > count:
        raise StudyError(
            f"phantom: genetics plants something in {needed} people but the study has {count}. Lower pairs of "
            "relatives, duplicate_people, sex_errors or low_call_people, or raise people."
        )
    people = pd.DataFrame(
        {
            "participant_id": [f"gen{number:04d}" for number in random.permutation(count) + 1],
            "sex": random.choice(["F", "M"], count),
            "age": random.uniform(*AGES, count).round(1),
            "ancestry": np.where(random.random(count) < settings["minor_ancestry_share"], "B", "A"),
            "fault": "none",
        }
    )
    pedigree = plant_families(people, pairs, random)
    people.loc[people["relation"].notna() & (people["relation"] != "cousin"), "fault"] = "relative"
    people["genetic_sex"], people["copy"] = people["sex"], np.arange(count)
    start = 2 * sum(pairs.values())
    twins, swaps, poor = (range(*span) for span in _follow(start, alone))
    for row in twins[::2]:
        people.loc[row, ["fault", "relation"]] = ["duplicate", "duplicate"]
        people.loc[row, ["relative_of", "copy"]] = [people.at[row + 1, "participant_id"], row + 1]
        # someone who came twice: of one genome and one sex, or the sex check would find it first
        same = ["genome", "ancestry", "sex", "genetic_sex"]
        people.loc[row, same] = people.loc[row + 1, same]
    people.loc[swaps, "fault"] = "sex_error"
    people.loc[swaps, "sex"] = people.loc[swaps, "genetic_sex"].map({"F": "M", "M": "F"})
    people.loc[poor, "fault"] = "missingness"
    return people, pedigree


def _follow(start: int, lengths: list[int]) -> list[tuple[int, int]]:
    """Give spans of these lengths, one after the other."""
    return list(pairwise([start, *(start + np.cumsum(lengths)).tolist()]))


def _draw_genomes(
    people: pd.DataFrame, pedigree: Pedigree, settings: dict, seed: int
) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Draw calls of the people, autosomal calls of the panel (variants x people int8), and the table of variants."""
    calls, panel, tables = [], [], []
    for chrom in genotypes.CENTRES:
        random = seeds.generator(seed, "genetics", "chromosome", chrom)
        if chrom == "X":
            found, table = _draw_x(pedigree, settings, random)
        else:
            found, others, table = _draw_autosome(chrom, pedigree, settings, random)
            panel.append(others[..., 0] + others[..., 1])
        drop = seeds.generator(seed, "genetics", "drop", chrom)
        dropped = pedigree.drop(found, table["pos"].to_numpy(), drop, chrom == "X")[:, people["genome"]]
        if chrom == "X":
            men = (people["genetic_sex"] == "M").to_numpy()
            dropped[:, men, 1] = dropped[:, men, 0]
        calls.append(dropped[..., 0] + dropped[..., 1])
        tables.append(table)
    return np.concatenate(calls), np.concatenate(panel), pd.concat(tables, ignore_index=True)


def _draw_autosome(
    chrom: str, pedigree: Pedigree, settings: dict, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Draw a stretch: haplotypes of founders and of the panel (variants x people x 2 int8), and its variants."""
    length = int(1e6 * settings["autosome_megabases"])
    kinds = [pedigree.ancestry[index] for index in pedigree.founders()]
    panel, wanted = ["A"] * settings["reference_people"], settings["autosome_variants"]
    # variants above the frequency that a population of constant size would have (4 N mu ln((1 - f) / f) a base), and
    # a quarter more; the history is the same, so linkage is
    expected = 4 * genotypes.SIZES["A"] * length * np.log((1 - COMMON) / COMMON)
    rate = min(genotypes.MUTATION_RATE, 1.25 * wanted / expected)
    found, places = genotypes.draw_haplotypes(kinds + panel, length, settings["split_generations"], random, rate=rate)
    found, others = found[:, : len(kinds)], found[:, len(kinds) :]
    copies = found[..., 0] + found[..., 1]
    frequency = copies[:, np.array(kinds) == "A"].mean(axis=1) / 2
    common = np.minimum(frequency, 1 - frequency) >= COMMON
    picked = random.permutation(np.flatnonzero(common))[:wanted]
    rare = random.permutation(np.flatnonzero(~common))[: round(RARE_SHARE * wanted)]
    kept = np.sort(np.concatenate([picked, rare]))
    kept = kept[np.diff(places[kept], prepend=-1) > 0]
    middle = settings["loci"].get(chrom, {}).get("position", genotypes.CENTRES[chrom])
    table = genotypes.name_variants(chrom, places[kept] + middle - length // 2, random)
    return found[kept], others[kept], table


def _draw_x(pedigree: Pedigree, settings: dict, random: np.random.Generator) -> tuple[np.ndarray, pd.DataFrame]:
    """Draw unlinked common variants of X, which serves the sex check alone; ancestries drift apart."""
    count = settings["x_variants"]
    kinds = np.array([pedigree.ancestry[index] for index in pedigree.founders()])
    before = random.uniform(0.1, 0.9, count)
    concentration = (1 - DRIFT) / DRIFT
    found = np.empty((count, len(kinds), 2), np.int8)
    for kind in "AB":
        frequency = random.beta(before * concentration, (1 - before) * concentration)
        mine = kinds == kind
        found[:, mine] = random.random((count, mine.sum(), 2)) < frequency[:, None, None]
    places = np.sort(random.choice(np.arange(*X_SPAN, 1000), count, replace=False))
    return found, genotypes.name_variants("X", places, random)


def draw_catalogue(
    table: pd.DataFrame, loci: pd.DataFrame, known: list[str], random: np.random.Generator
) -> pd.DataFrame:
    """List associations that others have found: at the known loci, and on chromosomes without a locus."""
    elsewhere = table[~table["chrom"].isin([*loci["chrom"], "X"])]
    rows = elsewhere.iloc[np.sort(random.permutation(len(elsewhere))[:8])]
    mine = loci[loci["locus"].isin(known)]
    # others' lead variant is another one, tens of kilobases away
    places = [*(mine["pos"] + random.integers(-40_000, 40_000, len(mine))), *rows["pos"]]
    names = ["Brain volume"] * len(mine) + ["Educational attainment"] * len(rows)
    chroms = [*mine["chrom"], *rows["chrom"]]
    return pd.DataFrame(
        {
            "chrom": chroms,
            "pos": places,
            "id": [f"known{number}" for number in range(1, len(chroms) + 1)],
            "trait": names,
            "p": 10.0 ** -random.uniform(8, 30, len(chroms)).round(1),
        }
    )
