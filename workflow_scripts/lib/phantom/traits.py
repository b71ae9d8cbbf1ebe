"""Traits of the genetics study: effects of variants with planted heritability, correlation and enrichment.

Every common autosomal variant has an effect, but for those beside a planted locus, which stands alone. Effects are
drawn per standard deviation of dosage; those in the planted cell type's peaks have the larger variance. No variant of
this background may explain enough, with all that it is linked to, to be found as a locus, and noise that makes one by
chance is drawn again: the study has the planted loci and no other. Genetic values and noise are turned so that in
these people, within an ancestry, heritabilities and correlations are what config asks, up to the chance correlation of
the parts; the truth tables have the values as they came out.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from workflow_scripts.lib.phantom.annotations import PLANTED, in_peaks
from workflow_scripts.lib.study import seeds
from workflow_scripts.lib.study.errors import StudyError

FREQUENT = 0.2  # least minor allele frequency of a planted locus
WINDOW = 150_000  # base pairs around its position in which it is looked for
AVERAGE = 0.15  # by how much its LD score may differ from the mean; GREML is biased where causal variants have more LD
COMMON = 0.01
ALONE = 100_000  # base pairs around a locus without background, which would move its effect and its lead
LEAST_FOUND = 0.0035  # share of variance below which 2,500 people show no locus (z about 3, of 5.5 that it takes)
CLOSE = 4.8  # |z| of a variant away from the loci that comes too near the 5.45 of genome-wide significance
DRAWS = 300
YEARS = 4.0  # standard deviation of a trait without its confounding
# confounding in standard deviations of the trait: per SD of age, of age squared, men, per SD of intracranial volume
SLOPES = {"age": -0.25, "age2": 0.1, "male": 0.2, "icv": 0.15}
ARRAYS = {"axiom": 0.0, "bileve": 0.1}
CENTRES = {"north": 0.0, "south": 0.12, "west": -0.08}
ANCESTRY = 0.35  # ancestry B
ICV = {"F": 1_450_000.0, "M": 1_620_000.0}  # mm^3
ICV_SD = 110_000.0


def pick_loci(panel: np.ndarray, table: pd.DataFrame, loci: dict) -> list[int]:
    """Choose the causal variant of each locus: common, a single base, with an average amount of linkage.

    Parameters
    ----------
    panel : numpy.ndarray
        variants x people int8; the autosomal calls of the reference panel.
    table : pandas.DataFrame
        The same variants.
    loci : dict
        Chromosome -> ``position`` (base pairs); the nearest variant that will do is taken.

    Returns
    -------
    list of int
        Index labels of ``table``.
    """
    scores = pd.concat([ld_scores(panel[rows]) for _, rows in _by_chromosome(table)], ignore_index=True)
    scores.index = table.index
    mean, chosen = scores.mean(), []
    frequency = pd.Series(panel.mean(axis=1) / 2, index=table.index)
    for chrom, locus in loci.items():
        near = (table["chrom"] == chrom) & ((table["pos"] - locus["position"]).abs() < WINDOW)
        able = near & (np.minimum(frequency, 1 - frequency) >= FREQUENT) & (table["alt"].str.len() == 1)
        if not able.any():
            raise StudyError(
                f"phantom: genetics: chromosome {chrom} has no variant with a minor allele frequency of {FREQUENT} or "
                f"more within {WINDOW} base pairs of {locus['position']}. Raise autosome_variants or change the seed."
            )
        away = (table["pos"] - locus["position"]).abs()[able]
        odd = (scores[able] / mean - 1).abs()
        chosen.append(away[odd < AVERAGE].idxmin() if (odd < AVERAGE).any() else odd.idxmin())
    return chosen


def ld_scores(calls: np.ndarray) -> pd.Series:
    """Give LD scores of the variants of a stretch among themselves: sums of r2, less what chance adds."""
    people = calls.shape[1]
    scaled = standardise(calls)
    squared = (scaled @ scaled.T / people) ** 2
    return pd.Series((squared - (1 - squared) / (people - 2)).sum(axis=1))


def standardise(calls: np.ndarray) -> np.ndarray:
    """Centre dosages and divide them by their standard deviation, variants x people float32; constant ones are 0."""
    dosage = calls.astype(np.float32)
    dosage -= dosage.mean(axis=1, keepdims=True)
    spread = dosage.std(axis=1, keepdims=True)
    return dosage / np.where(spread > 0, spread, 1)


def _by_chromosome(table: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    chrom = table["chrom"].to_numpy()
    for name in dict.fromkeys(chrom):
        yield name, np.flatnonzero(chrom == name)


def spread_variance(inside: np.ndarray, share: float) -> np.ndarray:
    """Spread variance 1 over variants, so that those ``inside`` get a share of it."""
    return np.where(inside, share / max(inside.sum(), 1), (1 - share) / max((~inside).sum(), 1))


def genetic_values(calls: np.ndarray, effects: np.ndarray, step: int = 2000) -> np.ndarray:
    """Sum effects (variants x traits, per standard deviation of dosage) over variants: people x traits."""
    values = np.zeros((calls.shape[1], effects.shape[1]))
    for start in range(0, len(calls), step):
        values += standardise(calls[start : start + step]).T @ effects[start : start + step].astype(np.float32)
    return values


def within(values: np.ndarray, ancestry: np.ndarray) -> np.ndarray:
    """Centre the columns of people x traits within each ancestry."""
    centred = values.copy()
    for kind in np.unique(ancestry):
        centred[ancestry == kind] -= values[ancestry == kind].mean(axis=0)
    return centred


def recolour(values: np.ndarray, covariance: np.ndarray, ancestry: np.ndarray) -> np.ndarray:
    """Find the matrix that turns values, people x traits, into ones of this covariance within ancestries."""
    now = np.cov(within(values, ancestry), rowvar=False, bias=True)
    return np.linalg.inv(np.linalg.cholesky(now)).T @ np.linalg.cholesky(covariance).T


def nominal(traits: dict) -> tuple[np.ndarray, np.ndarray]:
    """Give the genetic and the remaining covariance of the heritable traits, which have variance 1 in all.

    Parameters
    ----------
    traits : dict
        ``h2``: trait -> heritability; ``rg`` and ``re``: genetic and remaining correlations of the pairs in order
        (first with second, first with third, ...).
    """
    h2 = np.array(list(traits["h2"].values()))
    upper = np.triu_indices(len(h2), 1)
    covariances = []
    for key, variances in (("rg", h2), ("re", 1 - h2)):
        correlation = np.eye(len(h2))
        correlation[upper] = correlation.T[upper] = traits[key]
        covariances.append(correlation * np.sqrt(np.outer(variances, variances)))
        if np.linalg.eigvalsh(covariances[-1]).min() <= 0:
            raise StudyError(
                f"phantom: genetics: traits: no traits can have the correlations {key}: {traits[key]} at once. "
                "Bring them closer together."
            )
    return covariances[0], covariances[1]


def plant_traits(
    calls: np.ndarray,
    table: pd.DataFrame,
    people: pd.DataFrame,
    peaks: dict[str, pd.DataFrame],
    loci: list[int],
    settings: dict,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Give the people traits.

    Parameters
    ----------
    calls : numpy.ndarray
        variants x people int8, without faults.
    table, people
        The variants and the people (``participant_id``, ``sex``, ``age``, ``ancestry``, ``fault``).
    loci : list of int
        Rows of the causal variants of the loci, in the order of ``settings["loci"]``.

    Returns
    -------
    values : pandas.DataFrame
        See :class:`workflow_scripts.lib.phantom.genetics.GeneticsStudy`.
    truth : dict of pandas.DataFrame
        ``loci``: ``locus``, ``id``, ``chrom``, ``pos``, ``effect_allele`` and for each trait ``beta_TRAIT`` (years per
        allele) and ``share_TRAIT`` (of the variance without confounding). ``heritability``: ``trait``, ``h2``,
        ``h2_loci``. ``correlation``: ``trait_a``, ``trait_b``, ``rg``, ``re`` (of what is not genetic).
        ``annotations``: ``cell_type``, ``variants`` and ``variance``, shares of the peaks.
    """
    names = list(settings["traits"]["h2"])
    ancestry = people["ancestry"].to_numpy()
    genetic, parts = _plant_genes(calls, table, ancestry, peaks, loci, settings, seed)
    noise = _draw_noise(calls, table, genetic, ancestry, loci, settings, seed)
    random = seeds.generator(seed, "genetics", "traits")
    values = draw_covariates(people, random)
    confounding = confound(values, ancestry)
    for column, name in enumerate(names):
        values[name] = YEARS * (genetic[:, column] + noise[:, column] + confounding)
    values["NOISE"] = YEARS * random.normal(size=len(people))
    values["CONFOUNDED"] = YEARS * (random.normal(size=len(people)) + confounding)
    inner, outer = within(genetic, ancestry), within(noise, ancestry)
    variance = (inner + outer).var(axis=0)
    h2 = pd.DataFrame({"trait": names, "h2": inner.var(axis=0) / variance, "h2_loci": parts["variance"] / variance})
    null = pd.DataFrame({"trait": ["NOISE", "CONFOUNDED"], "h2": 0.0, "h2_loci": 0.0})
    found = parts["loci"]
    for column, name in enumerate(names):
        found[f"beta_{name}"] = YEARS * parts["effects"][:, column] / parts["spread"]
        found[f"share_{name}"] = parts["effects"][:, column] ** 2 * parts["inner"] / variance[column]
    truth = {"loci": found, "heritability": pd.concat([h2, null]), "annotations": parts["annotations"]}
    truth["correlation"] = _correlate(names, inner, outer)
    return values.round({name: 6 for name in [*names, "NOISE", "CONFOUNDED"]}), truth


def _plant_genes(
    calls: np.ndarray,
    table: pd.DataFrame,
    ancestry: np.ndarray,
    peaks: dict[str, pd.DataFrame],
    loci: list[int],
    settings: dict,
    seed: int,
) -> tuple[np.ndarray, dict]:
    """Give genetic values, people x traits, and the truth about their parts."""
    rows = _background(calls, table, ancestry, table.loc[loci])
    target, scores = nominal(settings["traits"])[0], standardise(calls[loci])
    shares = np.array([locus["share"] for locus in settings["loci"].values()])
    signs = seeds.generator(seed, "genetics", "signs").choice([-1.0, 1.0], len(loci))
    inner = within(scores.T.astype(float), ancestry).var(axis=0)
    effects = np.repeat((signs * np.sqrt(shares / inner))[:, None], len(target), axis=1)
    strong = scores.T @ effects
    rest = target - np.cov(within(strong, ancestry), rowvar=False, bias=True)
    if np.linalg.eigvalsh(rest).min() <= 0:
        raise StudyError(
            f"phantom: genetics: loci: shares {shares.tolist()} leave no room for a polygenic rest with the "
            "heritabilities and genetic correlations of traits. Lower them."
        )
    inside = in_peaks(table.iloc[rows], peaks[PLANTED])
    drawn, weak = _draw_background(calls, table, rows, inside, rest, settings["peak_variance"], seed)
    turn = recolour(weak, rest, ancestry)
    squared = ((drawn @ turn) ** 2).sum(axis=1)
    marks = [
        {"cell_type": name, "variants": mask.mean(), "variance": squared[mask].sum() / squared.sum()}
        for name, mask in ((name, in_peaks(table.iloc[rows], bed)) for name, bed in peaks.items())
    ]
    found = table.loc[loci, ["id", "chrom", "pos", "alt"]].rename(columns={"alt": "effect_allele"})
    found.insert(0, "locus", [locus["name"] for locus in settings["loci"].values()])
    parts = {"loci": found.reset_index(drop=True), "effects": effects, "inner": inner}
    parts |= {"spread": calls[loci].std(axis=1), "annotations": pd.DataFrame(marks)}
    return strong + weak @ turn, parts | {"variance": within(strong, ancestry).var(axis=0)}


def _background(calls: np.ndarray, table: pd.DataFrame, ancestry: np.ndarray, loci: pd.DataFrame) -> np.ndarray:
    """Find the rows of common autosomal variants that are beside no locus."""
    own = calls[:, ancestry == "A"].mean(axis=1) / 2
    able = (np.minimum(own, 1 - own) >= COMMON) & (table["chrom"] != "X").to_numpy()
    for locus in loci.itertuples():
        able &= ((table["chrom"] != locus.chrom) | ((table["pos"] - locus.pos).abs() > ALONE)).to_numpy()
    return np.flatnonzero(able)


def _draw_background(
    calls: np.ndarray,
    table: pd.DataFrame,
    rows: np.ndarray,
    inside: np.ndarray,
    covariance: np.ndarray,
    share: float,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw effects of the background, variants x traits, and their genetic values, people x traits.

    A chromosome's effects are drawn again while a variant of it explains too much.
    """
    weight = spread_variance(inside, share)
    mix = np.linalg.cholesky(covariance).T
    effects, values = np.zeros((len(rows), len(mix))), np.zeros((calls.shape[1], len(mix)))
    for chrom, mine in _by_chromosome(table.iloc[rows]):
        random = seeds.generator(seed, "genetics", "effects", chrom)
        scaled = standardise(calls[rows[mine]])
        for _ in range(DRAWS):
            drawn = (random.normal(size=(len(mine), len(mix))) * np.sqrt(weight[mine])[:, None]) @ mix
            here = scaled.T @ drawn.astype(np.float32)
            if ((scaled @ here / len(here)) ** 2).max() < LEAST_FOUND:
                break
        else:
            raise StudyError(
                f"phantom: genetics: chromosome {chrom}: {DRAWS} draws of the polygenic background all made a locus of "
                "their own. Lower peak_variance or the heritabilities, or raise autosome_megabases."
            )
        effects[mine], values = drawn, values + here
    return effects, values


def _draw_noise(
    calls: np.ndarray,
    table: pd.DataFrame,
    genetic: np.ndarray,
    ancestry: np.ndarray,
    loci: list[int],
    settings: dict,
    seed: int,
) -> np.ndarray:
    """Draw what is not genetic, people x traits, that makes no locus away from the planted ones."""
    target = nominal(settings["traits"])[1]
    others = np.flatnonzero(~table["chrom"].isin([*table["chrom"][loci], "X"]))
    for draw in range(DRAWS):
        noise = seeds.generator(seed, "genetics", "noise", draw).normal(size=genetic.shape)
        noise = noise @ recolour(noise, target, ancestry)
        values = within(genetic + noise, ancestry)
        values /= np.sqrt((values**2).sum(axis=0))
        if np.abs(associate(calls, others, values, ancestry)).max() < CLOSE:
            return noise
    raise StudyError(
        f"phantom: genetics: {DRAWS} draws of noise all made a locus that is not planted. Lower peak_variance or the "
        "heritabilities, or raise autosome_megabases."
    )


def associate(
    calls: np.ndarray, rows: np.ndarray, values: np.ndarray, ancestry: np.ndarray, step: int = 2000
) -> np.ndarray:
    """Give z of variants, within ancestries, for values (people x traits) of length 1 and mean 0 within ancestries."""
    found = []
    for start in range(0, len(rows), step):
        dosage = within(calls[rows[start : start + step]].T.astype(np.float32), ancestry)
        length = np.sqrt((dosage**2).sum(axis=0))
        found.append((dosage.T @ values.astype(np.float32)) / np.where(length > 0, length, 1)[:, None])
    r = np.concatenate(found)
    return r * np.sqrt((len(values) - 2) / (1 - r**2))


def draw_covariates(people: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """Draw intracranial volume (mm^3), array and centre beside id, recorded sex and age (years)."""
    count = len(people)
    icv = people["sex"].map(ICV) + random.normal(0, ICV_SD, count)
    return pd.DataFrame(
        {
            "participant_id": people["participant_id"],
            "sex": people["sex"],
            "age": people["age"],
            "icv": icv.round(0),
            "array": random.choice(list(ARRAYS), count, p=[0.8, 0.2]),
            "centre": random.choice(list(CENTRES), count, p=[0.4, 0.35, 0.25]),
        }
    )


def confound(values: pd.DataFrame, ancestry: np.ndarray) -> np.ndarray:
    """Sum what age, sex, head size, array, centre and ancestry add to a trait, in standard deviations."""
    age = (values["age"] - values["age"].mean()) / values["age"].std()
    icv = (values["icv"] - values["icv"].mean()) / values["icv"].std()
    parts = {"age": age, "age2": age**2, "male": values["sex"] == "M", "icv": icv}
    total = sum(SLOPES[name] * part.to_numpy(float) for name, part in parts.items())
    batch = values["array"].map(ARRAYS) + values["centre"].map(CENTRES)
    return total + batch.to_numpy(float) + ANCESTRY * (ancestry == "B")


def _correlate(names: list[str], inner: np.ndarray, outer: np.ndarray) -> pd.DataFrame:
    genetic, other = np.corrcoef(inner, rowvar=False), np.corrcoef(outer, rowvar=False)
    pairs = zip(*np.triu_indices(len(names), 1), strict=True)
    rows = [(names[a], names[b], genetic[a, b], other[a, b]) for a, b in pairs]
    return pd.DataFrame(rows, columns=["trait_a", "trait_b", "rg", "re"])
