"""Genotypes of the phantom study: two ancestries, linkage, relatives, planted faults, and loci that age the brain.

Each autosome is a stretch of about a megabase whose history msprime simulates, so allele frequencies and linkage
disequilibrium are those of a population and not of independent coin throws. Relatives get their genomes by gene
dropping. The effect of the genome on brain age is the same whether images exist or not.
"""

from dataclasses import dataclass

import msprime
import numpy as np
import pandas as pd

from workflow_scripts.lib.genetics.bed import Genotypes
from workflow_scripts.lib.study import seeds
from workflow_scripts.lib.study.errors import StudyError

MUTATION_RATE = 1.25e-8  # per base and generation, human
RECOMBINATION_RATE = 1e-8  # per base and generation: 1 centimorgan a megabase
SIZES = {"A": 10_000, "B": 5_000, "AB": 10_000}  # effective population sizes; AB before the split
# Middles of the stretches (hg19), in regions without long-range linkage disequilibrium; loci move theirs
CENTRES = {str(c): 70_500_000 for c in range(1, 17)} | {str(c): 50_500_000 for c in range(17, 21)}
CENTRES |= {"21": 30_500_000, "22": 30_500_000, "X": 60_000_000}
BASES = np.array(list("ACGT"))
INDEL_SHARE = 0.03
TRANSITIONS = [1 / 6, 2 / 3, 1 / 6]  # two transitions a transversion, as in human variants
LOCUS_WIDTH = 60_000  # base pairs to either side of a locus that carry a third of its chromosome's variants
COMMON = 0.3  # least minor allele frequency of a planted locus
BACKGROUND = 0.05  # the same for the polygenic background


@dataclass(frozen=True)
class PhantomGenotypes:
    """What the simulation gives.

    Attributes
    ----------
    genotypes : Genotypes
        As a study would find them, faults included.
    loci : pandas.DataFrame
        Causal variants: ``id``, ``chrom``, ``pos``, ``locus`` (``background`` if it has no name), ``effect_allele``,
        ``effect_years`` per allele, ``share`` of the variance of the offset.
    people : pandas.DataFrame
        ``participant_id``, ``ancestry``, ``genetic_sex``, ``genetic_offset_years`` (mean 0), ``fault``
        (``none`` or several joined by ``;``), ``relative_of`` (participant or missing).
    variants : pandas.DataFrame
        Planted faults: ``id``, ``chrom``, ``pos``, ``fault``.
    """

    genotypes: Genotypes
    loci: pd.DataFrame
    people: pd.DataFrame
    variants: pd.DataFrame


def simulate(people: pd.DataFrame, settings: dict, seed: int) -> PhantomGenotypes:
    """Simulate the genotypes of the phantom study and the brain-age offset that they cause.

    Parameters
    ----------
    people : pandas.DataFrame
        One row a participant: ``participant_id``, ``sex`` (as recorded), optionally ``age`` (years; parents are
        then taken from the old).
    settings : dict
        The config section ``phantom: genotypes``.
    seed : int
        Seed of the study.

    Returns
    -------
    PhantomGenotypes
        Equal for equal arguments, whatever the order of the rows of ``people``.

    Raises
    ------
    StudyError
        If there are too few people for the planted relatives and faults.
    """
    people = people.sort_values("participant_id").reset_index(drop=True)
    truth, founders = plant_people(people, settings, seeds.generator(seed, "genotypes", "people"))
    alleles, variants = [], []
    for chrom in CENTRES:
        found, table = _chromosome(chrom, founders, settings, seed)
        drop = seeds.generator(seed, "genotypes", "drop", chrom)
        alleles.append(_drop(found, table["pos"].to_numpy(), truth, founders, chrom == "X", drop).sum(axis=2))
        variants.append(table)
    calls, table = np.concatenate(alleles).astype(np.int8), pd.concat(variants, ignore_index=True)
    loci, offset = plant_effects(calls, table, truth, settings, seeds.generator(seed, "genotypes", "effects"))
    truth["genetic_offset_years"] = offset
    faults = seeds.generator(seed, "genotypes", "faults")
    calls, table, planted = plant_faults(calls, table, truth, set(loci["id"]), settings, faults)
    columns = ["participant_id", "ancestry", "genetic_sex", "genetic_offset_years", "fault", "relative_of"]
    genotypes = Genotypes(people[["participant_id", "sex"]], table, calls)
    return PhantomGenotypes(genotypes, loci, truth[columns], planted)


def plant_people(people: pd.DataFrame, settings: dict, random: np.random.Generator) -> tuple[pd.DataFrame, list[str]]:
    """Choose ancestries, relatives and faulty samples; nobody gets two of them.

    Returns
    -------
    truth : pandas.DataFrame
        Rows as ``people``. Beside the columns of :class:`PhantomGenotypes`: ``own``, index of the person's genome in
        ``founders`` (-1: inherited), ``mother`` and ``father``, the same for parents (-1: none), and ``copy``, the
        row whose sample stands in the file for this person.
    founders : list of str
        Ancestries of all genomes to simulate: people without parents, then parents who are not in the study.
    """
    count = len(people)
    shared = 2 * (settings["sibling_pairs"] + settings["parent_child_pairs"])
    alone = 2 * settings["duplicate_people"] + settings["sex_errors"] + settings["low_call_people"]
    if shared + alone > count:
        raise StudyError(
            f"phantom: genotypes plants something in {shared + alone} people but the study has {count}. Lower "
            "sibling_pairs, parent_child_pairs, duplicate_people, sex_errors or low_call_people, or add people."
        )
    minor = random.random(count) < settings["minor_ancestry_share"]
    truth = pd.DataFrame(
        {
            "participant_id": people["participant_id"],
            "ancestry": np.where(minor, "B", "A"),
            "genetic_sex": people["sex"],
            "fault": "none",
            "relative_of": pd.Series(None, index=people.index, dtype=object),
            "copy": np.arange(count),
        }
    )
    chosen = random.permutation(count)[: shared + alone].tolist()
    founders = _plant_families(truth, people, chosen[:shared], settings["parent_child_pairs"])
    rest = chosen[shared:]
    for _ in range(settings["duplicate_people"]):
        row, other = rest.pop(), rest.pop()
        truth.loc[row, ["fault", "relative_of", "copy"]] = ["duplicate", truth["participant_id"][other], other]
    for _ in range(settings["sex_errors"]):
        row = rest.pop()
        truth.loc[row, ["fault", "genetic_sex"]] = ["sex_error", {"F": "M", "M": "F"}[people["sex"][row]]]
    truth.loc[rest, "fault"] = "missingness"
    return truth, founders


def _plant_families(truth: pd.DataFrame, people: pd.DataFrame, family: list[int], parents: int) -> list[str]:
    """Make ``parents`` pairs of parent and child and pairs of siblings out of the rows ``family``."""
    if "age" in people:
        family = sorted(family, key=lambda row: people["age"][row])
    # the oldest with the youngest, then siblings of like age
    pairs = [(family[-1 - index], family[index]) for index in range(parents)]
    middle = family[parents : len(family) - parents]
    siblings = list(zip(middle[::2], middle[1::2], strict=True))
    for first, second in pairs + siblings:
        truth.loc[second, "ancestry"] = truth["ancestry"][first]
        truth.loc[second, ["fault", "relative_of"]] = ["relative", truth["participant_id"][first]]
    children = {child for _, child in pairs} | {row for pair in siblings for row in pair}
    own = [row for row in truth.index if row not in children]
    truth["own"] = pd.Series(np.arange(len(own)), index=own).reindex(truth.index, fill_value=-1)
    truth["mother"] = truth["father"] = -1
    founders = truth.loc[own, "ancestry"].tolist()
    for parent, child in pairs:
        here, other = ("mother", "father") if people["sex"][parent] == "F" else ("father", "mother")
        truth.loc[child, [here, other]] = [truth["own"][parent], len(founders)]
        founders.append(truth["ancestry"][parent])
    for pair in siblings:
        truth.loc[list(pair), ["mother", "father"]] = [len(founders), len(founders) + 1]
        founders += [truth["ancestry"][pair[0]]] * 2
    return founders


def _chromosome(chrom: str, founders: list[str], settings: dict, seed: int) -> tuple[np.ndarray, pd.DataFrame]:
    """Simulate founders' haplotypes, variants x founders x 2 int8, and the table of variants of a chromosome."""
    on_x = chrom == "X"
    length = int(1e6 * settings["x_megabases" if on_x else "autosome_megabases"])
    random = seeds.generator(seed, "genotypes", "chromosome", chrom)
    middle = settings["loci"].get(chrom, {}).get("position", CENTRES[chrom])
    found, places = draw_haplotypes(founders, length, settings["split_generations"], random, 0.75 if on_x else 1.0)
    positions = places + middle - length // 2
    copies = found.sum(axis=(1, 2))
    usable = random.permutation(np.flatnonzero(np.minimum(copies, 2 * len(founders) - copies) > 1))  # no singletons
    wanted = settings["x_variants" if on_x else "autosome_variants"]
    near = usable[np.abs(positions[usable] - middle) < LOCUS_WIDTH][: wanted // 3 if chrom in settings["loci"] else 0]
    kept = np.sort(np.concatenate([near, usable[~np.isin(usable, near)][: wanted - len(near)]]))
    positions = positions[kept]
    return found[kept], name_variants(chrom, positions, random)


def draw_haplotypes(
    founders: list[str],
    length: int,
    split: float,
    random: np.random.Generator,
    share: float = 1.0,
    rate: float = MUTATION_RATE,
) -> tuple[np.ndarray, np.ndarray]:
    """Simulate the history of a stretch: haplotypes, variants x founders x 2 int8, and places from its start.

    Parameters
    ----------
    founders : list of str
        Ancestries, A or B.
    length : int
        Base pairs.
    split : float
        Generations since the ancestries split.
    share : float
        Of the effective population sizes of an autosome: 0.75 for X, of which there are 3 for 4 autosomes.
    rate : float
        Mutations per base and generation; a lower one gives a random share of the variants.
    """
    history = msprime.Demography()
    for name, size in SIZES.items():
        history.add_population(name=name, initial_size=size * share)
    history.add_population_split(time=split, derived=["A", "B"], ancestral="AB")
    order = np.argsort(founders, kind="stable")  # msprime gives all of A, then all of B
    trees = msprime.sim_ancestry(
        {name: founders.count(name) for name in "AB" if name in founders},
        demography=history,
        sequence_length=length,
        recombination_rate=RECOMBINATION_RATE,
        random_seed=int(random.integers(1, 2**31)),
    )
    trees = msprime.sim_mutations(
        trees, rate, model=msprime.BinaryMutationModel(), random_seed=int(random.integers(1, 2**31))
    )
    found = trees.genotype_matrix().reshape(trees.num_sites, len(founders), 2).astype(np.int8)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return found[:, back], trees.tables.sites.position.astype(int)


def name_variants(chrom: str, positions: np.ndarray, random: np.random.Generator) -> pd.DataFrame:
    """Give variants their alleles and ids: mostly single bases, strand-ambiguous ones among them, some insertions."""
    reference = random.integers(0, 4, len(positions))
    change = random.choice([1, 2, 3], len(positions), p=TRANSITIONS)  # 2: A with G, C with T
    ref, alt = BASES[reference], BASES[(reference + change) % 4]
    alt = np.where(random.random(len(positions)) < INDEL_SHARE, np.char.add(ref, alt), alt)
    table = pd.DataFrame({"chrom": chrom, "cm": positions / 1e6, "pos": positions, "alt": alt, "ref": ref})
    ids = [f"{chrom}:{row.pos}:{row.ref}:{row.alt}" for row in table.itertuples()]
    return table.assign(id=ids)


def gamete(pair: np.ndarray, positions: np.ndarray, random: np.random.Generator, morgans: float = 1.0) -> np.ndarray:
    """Recombine a parent's two haplotypes, variants x 2, into one.

    Each stretch counts as a morgan or so: the sharing of relatives then varies as over a whole genome, not as over 22
    megabases.
    """
    crossovers = np.sort(random.uniform(positions[0], positions[-1], random.poisson(morgans)))
    strand = (np.searchsorted(crossovers, positions) + random.integers(2)) % 2
    return pair[np.arange(len(pair)), strand]


def _drop(
    found: np.ndarray,
    positions: np.ndarray,
    truth: pd.DataFrame,
    founders: list[str],
    on_x: bool,
    random: np.random.Generator,
) -> np.ndarray:
    """Give every person two haplotypes, variants x people x 2; a man's only X stands twice."""
    result = np.empty((len(found), len(truth), 2), np.int8)
    for row, person in enumerate(truth.itertuples()):
        if person.own >= 0:
            result[:, row] = found[:, person.own]
        else:
            result[:, row, 0] = gamete(found[:, person.mother], positions, random)
            father = found[:, person.father]
            result[:, row, 1] = father[:, 0] if on_x else gamete(father, positions, random)
        if on_x and person.genetic_sex == "M":
            result[:, row, 1] = result[:, row, 0]
    return result


def _pick_locus(calls: np.ndarray, table: pd.DataFrame, is_a: np.ndarray, chrom: str, position: int) -> int:
    """Find the common variant of a chromosome nearest to a position, as frequent in A as in all people."""
    rows = np.flatnonzero(table["chrom"] == chrom)
    everyone, ours = calls[rows].mean(axis=1) / 2, calls[rows][:, is_a].mean(axis=1) / 2
    minor = np.minimum(np.minimum(everyone, 1 - everyone), np.minimum(ours, 1 - ours))
    single = table["alt"].str.len().to_numpy()[rows] == 1
    rows = rows[(minor >= COMMON) & single]
    if not len(rows):
        raise StudyError(
            f"phantom: genotypes: chromosome {chrom} has no variant with a minor allele frequency of {COMMON} or more "
            "for its locus. Raise autosome_variants or change the seed."
        )
    return int(rows[np.abs(table["pos"].to_numpy()[rows] - position).argmin()])


def _effects(scores: np.ndarray, shares: list[float], random: np.random.Generator) -> np.ndarray:
    """Draw effects on a trait of variance 1, of which each of the first variants explains exactly its share.

    Parameters
    ----------
    scores : numpy.ndarray
        variants x people, each row with mean 0 and variance 1.
    shares : list of float
        Shares of the loci, which are the first rows; they sum to less than 1.
    """
    if sum(shares) >= 1:
        raise StudyError(
            f"phantom: genotypes: loci: the shares sum to {sum(shares):g}; they must sum to less than 1, "
            "since the polygenic background takes the rest. Lower one."
        )
    locus_sum = np.zeros(scores.shape[1])
    effects = np.zeros(len(scores))
    for row, share in enumerate(shares):
        # chance correlation of two loci then never adds variance, so that the background always finds room
        effects[row] = np.sqrt(share) * (-1 if locus_sum @ scores[row] > 0 else 1)
        locus_sum += effects[row] * scores[row]
    drawn = random.normal(size=len(scores) - len(shares))
    background = drawn @ scores[len(shares) :]
    if not background.any():
        return effects
    # var(loci) + 2 s cov(loci, background) + s^2 var(background) = 1
    variance, covariance = background.var(), (locus_sum * background).mean()
    scale = (np.sqrt(covariance**2 + variance * (1 - locus_sum.var())) - covariance) / variance
    effects[len(shares) :] = scale * drawn
    return effects


def plant_effects(
    calls: np.ndarray, table: pd.DataFrame, truth: pd.DataFrame, settings: dict, random: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray]:
    """Choose causal variants and their effects on brain age.

    A locus gets its share of the variance; the rest goes to background variants on other chromosomes, each with an
    effect drawn per standard deviation of its dosage, so that rarer alleles have larger effects.

    Returns
    -------
    loci : pandas.DataFrame
        See :class:`PhantomGenotypes`; ``share`` is what each variant explains alone, in these people.
    offset : numpy.ndarray
        Years, one a person, mean 0, standard deviation ``offset_sd_years``.
    """
    named = settings["loci"]
    is_a = (truth["ancestry"] == "A").to_numpy()
    rows = [_pick_locus(calls, table, is_a, chrom, locus["position"]) for chrom, locus in named.items()]
    frequency = calls.mean(axis=1) / 2
    common = np.minimum(frequency, 1 - frequency) >= BACKGROUND
    free = np.flatnonzero(common & ~table["chrom"].isin([*named, "X"]))
    rows += sorted(random.permutation(free)[: settings["background_variants"]].tolist())
    dosage = calls[rows].astype(float)
    dosage -= dosage.mean(axis=1, keepdims=True)
    shares = [locus["share"] for locus in named.values()]
    effects = _effects(dosage / dosage.std(axis=1, keepdims=True), shares, random) / dosage.std(axis=1)
    effects *= settings["offset_sd_years"] / (effects @ dosage).std()
    offset = effects @ dosage
    loci = table.iloc[rows][["id", "chrom", "pos"]].assign(
        locus=[locus["name"] for locus in named.values()] + ["background"] * (len(rows) - len(named)),
        effect_allele=table.iloc[rows]["alt"],
        effect_years=effects,
        share=effects**2 * dosage.var(axis=1) / offset.var(),
    )
    return loci.reset_index(drop=True), offset


def plant_faults(
    calls: np.ndarray,
    table: pd.DataFrame,
    truth: pd.DataFrame,
    spared: set[str],
    settings: dict,
    random: np.random.Generator,
) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame]:
    """Spoil samples and variants as a real study would find them.

    Returns
    -------
    calls : numpy.ndarray
        variants x people int8, with missing calls (-1) and repeated rows.
    table : pandas.DataFrame
        The variants, sorted by chromosome and position.
    planted : pandas.DataFrame
        ``id``, ``chrom``, ``pos``, ``fault``: ``missingness``, ``hwe`` or ``duplicate``.
    """
    calls = calls[:, truth["copy"]]
    people = calls.shape[1]
    frequency = np.minimum(calls.mean(axis=1) / 2, 1 - calls.mean(axis=1) / 2)
    able = (frequency > 0.15) & ~table["id"].isin(spared).to_numpy() & (table["chrom"] != "X").to_numpy()
    counts = [settings["low_call_variants"], settings["hwe_variants"], settings["duplicate_variants"]]
    low, hwe, twice, _ = np.split(random.permutation(np.flatnonzero(able)), np.cumsum(counts))
    # a cluster plot that calls nearly everyone heterozygous
    calls[hwe] = np.where(random.random((len(hwe), people)) < 0.97, 1, calls[hwe])
    # a row at a time, which draws the same numbers without eight bytes a call
    gone = np.array([random.random(people) < settings["missing_rate"] for _ in calls])
    for row in low:
        gone[row, random.permutation(people)[: round(people * random.uniform(0.12, 0.25))]] = True
    for person in np.flatnonzero(truth["fault"] == "missingness"):
        gone[random.random(len(calls)) < random.uniform(0.08, 0.15), person] = True
    calls[gone] = -1
    labels = ["missingness"] * len(low) + ["hwe"] * len(hwe) + ["duplicate"] * len(twice)
    planted = table.iloc[np.concatenate([low, hwe, twice])][["id", "chrom", "pos"]].assign(fault=labels)
    rows = np.sort(np.concatenate([np.arange(len(calls)), twice]), kind="stable")
    return calls[rows], table.iloc[rows].reset_index(drop=True), planted.reset_index(drop=True)
