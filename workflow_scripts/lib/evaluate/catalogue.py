"""What each test asks, what it is conditional on, and when it is valid."""

import dataclasses

import pandas as pd


@dataclasses.dataclass(frozen=True)
class Entry:
    """One test.

    Attributes
    ----------
    name : str
        As result tables name it.
    title : str
    question : str
        What a small p-value speaks against.
    conditional_on : str
        What is held fixed: a p-value says nothing of other draws of it.
    valid : str
        When it holds its level.
    not_valid : str
        When it does not, with the measured error where there is one.
    reference : str
    """

    name: str
    title: str
    question: str
    conditional_on: str
    valid: str
    not_valid: str
    reference: str


MODELS = "the fitted models (another training set would give others)"
MEAN_SCORES = "the models, as averaged over resamples"
TESTS = (
    Entry(
        "sign_flip",
        "Sign flips over resamples (published)",
        "Is the mean difference over resamples of this pool 0?",
        "this pool of people",
        "as a statement about resamples of this pool; about the population only where samples do not overlap",
        "about the population: true nulls rejected at 5%: 57% with 50 and 90% with 1,000 resamples that leave 100 of "
        "500 out, 17 to 59% with 100 samples of 100 or 500 from 861 or 1,678. p falls as resamples are added",
        "as published; Phipson & Smyth 2010 for the add-one rule",
    ),
    Entry(
        "unpaired",
        "Permutation of pooled resamples (published, literal)",
        "Are the metrics of both models draws of one distribution?",
        "this pool of people",
        "as sign_flip; it wastes the pairing",
        "as sign_flip: 47 to 88%, and 8 to 48% in small samples",
        "as published; Phipson & Smyth 2010 for the add-one rule",
    ),
    Entry(
        "pool_corrected_t",
        "Resampled t, pool factor n_test / (M - n_test)",
        "Is the mean difference 0 in the population of the pool?",
        "nothing but the design; the correlation between resamples is approximated",
        "both published designs, at every size and number of resamples tried: 3.6 to 5.9% of true nulls rejected (AUC "
        "0.75, 8 columns)",
        "weak signal or many columns for the people: 7.6% at AUC 0.6 with 300 people, 6.6% with 32 columns and 500; 40 "
        "to 120 people, 9 to 10%; people count, not scans",
        "after Nadeau & Bengio 2003",
    ),
    Entry(
        "nadeau_bengio_t",
        "Resampled t, classical factor n_test / n_train",
        "Is the mean difference 0 in the population of the pool?",
        "nothing but the design; as pool_corrected_t",
        "where everybody outside the test set trains: then it is pool_corrected_t",
        "where a sample is a part of its pool: 0 to 3% of true nulls rejected, and real differences missed",
        "Nadeau & Bengio 2003",
    ),
    Entry(
        "delong",
        "DeLong on mean held-out scores",
        "Are the AUCs of two or more models equal in the population?",
        MEAN_SCORES,
        "independent participants, one score each: 4.0 to 4.2% rejected leaving 100 of 500 out, 4.9 to 6.1% in samples "
        "of 500; samples of 100 only with about 500 resamples (6.0%)",
        "samples of 100 with 100 resamples: 7.7 to 9.5%; weak signal or many columns (AUC 0.6, 300 people: 9.3%; 16 "
        "columns: 8.7%), where equally good columns give unequal models; several scans of a person: use "
        "delong_clustered; AUCs near 1 in small samples: give the logit interval",
        "DeLong et al. 1988; Sun & Xu 2014",
    ),
    Entry(
        "delong_clustered",
        "DeLong with several scans a participant",
        "Are the AUCs of two or more models equal in the population?",
        MEAN_SCORES,
        "independent participants, each with any number of scans, of one class or both; dozens of people a class",
        "few people with many scans each",
        "Obuchowski 1997",
    ),
    Entry(
        "delong_unpaired",
        "DeLong between different people",
        "Are two AUCs on different people equal?",
        MODELS,
        "independent participants in two disjoint groups",
        "people shared between the groups",
        "DeLong et al. 1988; Welch's degrees of freedom",
    ),
    Entry(
        "swap",
        "Swaps of the models' scores within participants",
        "Can the two models' scores of a participant be exchanged?",
        MEAN_SCORES,
        "independent participants; exact if scores can be exchanged, as ranks for AUCs: 3.7 to 4.6% rejected leaving "
        "100 of 500 out, 4.9 to 6.1% in samples of 500; samples of 100 only with about 500 resamples (6.0%)",
        "samples of 100 with 100 resamples: 7.6 to 8.6%; weak signal (9.5%) or many columns (8.5%), as delong; equal "
        "AUCs of models whose scores are spread differently: then it may see the spread",
        "Bandos, Rockette & Gur 2005",
    ),
    Entry(
        "bootstrap_percentile",
        "Participant bootstrap, percentile interval",
        "Is 0 outside the interval of the difference?",
        MEAN_SCORES,
        "independent participants, drawn with all their scans; 500 people or more: 4.3 to 4.8% rejected leaving people "
        "out, 5.5 to 6.5% with 50 or more samples of 500",
        "200 people: 6.7%; 10 or 25 samples of 500 from 1,678: 6.4 to 6.9%; samples of 100 with 100 resamples: 8.4 to "
        "9.7%; weak signal: 10%",
        "Efron & Tibshirani 1993",
    ),
    Entry(
        "bootstrap_bca",
        "Participant bootstrap, BCa interval",
        "Is 0 outside the interval of the difference?",
        MEAN_SCORES,
        "as bootstrap_percentile, with less error where the difference is skewed; 2,000 draws or more",
        "as bootstrap_percentile (200 people: 7.1%); all draws on one side of the estimate: missing",
        "Efron 1987",
    ),
    Entry(
        "mcnemar",
        "McNemar, correction capped at 0",
        "Do two classifiers err equally often?",
        MODELS + "; the thresholds",
        "independent units, thresholds fixed before, 25 or more units on which they disagree",
        "fewer such units: use mcnemar_exact or mcnemar_mid_p; several slices or scans of one person",
        "McNemar 1947; Edwards 1948",
    ),
    Entry(
        "mcnemar_exact",
        "McNemar, exact binomial",
        "Do two classifiers err equally often?",
        MODELS + "; the thresholds",
        "as mcnemar, however few units; conservative",
        "several slices or scans of one person",
        "Fagerland et al. 2013",
    ),
    Entry(
        "mcnemar_mid_p",
        "McNemar, mid-p",
        "Do two classifiers err equally often?",
        MODELS + "; the thresholds",
        "as mcnemar_exact; close to its level, seldom a little above",
        "several slices or scans of one person",
        "Fagerland et al. 2013",
    ),
    Entry(
        "rank_sum",
        "Wilcoxon rank sum",
        "Does a run of one kind tend to beat a run of the other?",
        "the test set and the settings that were run",
        "independent runs; AUCs snapped to what so many people can give",
        "runs that share splits, seeds or settings, as those of a grid do; AUCs with float noise, which decides ties",
        "Wilcoxon 1945; R's wilcox.test",
    ),
    Entry(
        "signed_rank",
        "Wilcoxon signed rank",
        "Are paired differences of runs symmetric around 0?",
        "the test set and the settings that were run",
        "independent pairs; differences rounded where AUCs are compared",
        "resamples of one pool: as sign_flip",
        "Wilcoxon 1945; R's wilcox.test",
    ),
    Entry(
        "mixed_model",
        "REML mixed model, Satterthwaite's degrees of freedom",
        "Is a fixed effect, or a contrast of them, 0?",
        "the test set, unless units of it are a random effect; the levels of fixed factors",
        "random effects whose levels stand for many others, normal residuals; the fit not singular",
        "factors of two levels as random effects (2 to 5 degrees of freedom); a singular fit; runs on one test set "
        "taken for evidence about other people",
        "Bates et al. 2015; Kuznetsova et al. 2017",
    ),
    Entry(
        "holm",
        "Holm's adjustment",
        "Which of several hypotheses can be rejected with no error at all, but for 5%?",
        "what the p-values are conditional on",
        "any dependence between the tests, if each p-value is valid",
        "p-values of tests that do not hold their own level",
        "Holm 1979",
    ),
    Entry(
        "benjamini_hochberg",
        "Benjamini and Hochberg's adjustment",
        "Which can be rejected so that 5% of the rejections are errors?",
        "what the p-values are conditional on",
        "independent or positively dependent tests",
        "strong negative dependence; tests that do not hold their own level",
        "Benjamini & Hochberg 1995",
    ),
)


def table() -> pd.DataFrame:
    """Return the catalogue, one row a test: name, title, question, conditional_on, valid, not_valid, reference."""
    return pd.DataFrame([dataclasses.asdict(test) for test in TESTS])


def markdown() -> str:
    """Write the catalogue as a table in Markdown."""
    heads = ["name", "test", "question", "conditional on", "valid", "not valid", "reference"]
    rows = [heads, ["---"] * len(heads), *table().to_numpy().tolist()]
    rows[2:] = [[f"`{row[0]}`", *row[1:]] for row in rows[2:]]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
