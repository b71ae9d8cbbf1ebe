"""Words of the page of genetics: what each number means, what it cannot say, and what is to be done where it is absent.

Strings are HTML.
"""

import pandas as pd

from workflow_scripts.lib.figures.genetics_parts import count, number

CHI2_GENOME_WIDE = 29.7  # expectation that half of the tests at 5e-8 exceed
SE_CONSTANT = 316  # standard error of h2 in unrelated people is about 316 / people (Visscher et al. 2014)
FEW, LDSC_PEOPLE = 1000, 5000
Z_CORRELATION = 4  # of h2, below which a genetic correlation is usually not reported

TITLES = {
    "glance": "At a glance",
    "quality": "Quality control",
    "people": "People, traits and covariates",
    "ancestry": "Genetic components",
    "association": "Association",
    "loci": "Loci and genes",
    "heritability": "Heritability",
    "correlation": "Genetic correlation",
    "cells": "Cell types",
    "peaks": "Open chromatin at the loci",
    "handoffs": "Files for other programs",
    "programs": "Programs and commands",
}
MEANS = {
    "quality": (
        "Each row is a filter, in the order in which it was applied; order matters, since the frequency of a variant "
        "depends on who is left. Counts are of what is left after the filter. A filter that removes far more than the "
        "ones around it is the first place to look: sample ids or sexes that do not match, or a badly typed batch."
    ),
    "people": (
        "All traits are tested in the same people, so that their results can be compared. "
        "<b>Would be gained</b> says how many more people would enter without this one condition."
    ),
    "entered": (
        "What the association program itself reports as part of its model, not what the config asked for. "
        "All covariates "
        "are centred before products are formed."
    ),
    "ancestry": (
        "Each dot is a person. Separate clouds are ancestries, a comet's tail is admixture, a lone pair far "
        "from all others "
        "is often a pair of relatives. The components enter the association as covariates; they absorb differences of "
        "allele frequencies between ancestries as far as these run along them, not more."
    ),
    "association": (
        "<b>λ</b> compares the middle of all test statistics with what chance gives (1). It rises with people and with "
        "the number of small true effects as much as with confounding, so that λ alone accuses nobody. The LDSC "
        "<b>intercept</b> tells the two apart: true effects make statistics rise with linkage, confounding "
        "lifts them all; "
        "about 1 means that inflation is polygenic. <b>Ratio</b> is the share of the inflation that is not."
    ),
    "loci": (
        "A locus is a stretch with at least one variant below the threshold and all variants linked to it, merged with "
        "neighbours by FUMA's rules. Its lead is the variant with the lowest p, rarely the causal one. Genes are those "
        "with a candidate variant inside or nearby: <b>distance is no evidence of function</b>. Effects of "
        "leads are too "
        "large on average, the more so the fewer the people (winner's curse)."
    ),
    "novel": (
        "<b>New</b> means: not within reach of an association of the catalogue file that the config names, "
        "and no more; "
        "a catalogue without a study cannot know its loci."
    ),
    "heritability": (
        "The share of a trait's variance that common variants together explain, here and in these people, after "
        "covariates. It is not how genetic the trait is: rare variants are not in it, and it falls with "
        "measurement error. "
        "<b>GREML</b> needs individual genotypes and is the more precise; <b>LDSC</b> needs summary statistics and a "
        "matching LD panel, and tends to be lower with a small panel. Both should agree within their intervals."
    ),
    "correlation": (
        "How far two traits share their common genetic effects: 1, the same effects in proportion; 0, no "
        "shared direction "
        "on average; negative, opposite. It says nothing of size, and nothing of cause. Gaps of several "
        "representations "
        "of the same scans are expected to correlate."
    ),
    "cts": (
        "LDSC asks of each cell type whether variants in its open chromatin carry more heritability than the "
        "rest, given "
        "all other annotations. <b>q</b> is p adjusted over all traits and cell types (Benjamini and Hochberg). "
        "Cell types that share much of their open chromatin cannot be told apart."
    ),
    "expression": (
        "Are genes that are more active in a cell type also more strongly associated, given how active they are on "
        "average? One-sided, in the way of MAGMA and FUMA, and marked if below 5% after Bonferroni. Genes are scored "
        "by position, so that it asks another question of the same data than the table above and may well answer it "
        "differently."
    ),
    "partitioned": (
        "Enrichment is the share of heritability over the share of variants: 1 is none. Small annotations give wild "
        "numbers with wide errors; read q and the standard error before the enrichment."
    ),
    "peaks": (
        "How many nominally associated variants lie in each cell type's peaks, beside how many of all tested ones do. "
        "Linked variants are no independent draws: these are counts to find candidates by, <b>no test of "
        "enrichment</b>."
    ),
    "handoffs": (
        "A folder a program, each with a README that says where its files go and what to choose there. "
        "Folders marked as "
        "data of individuals hold a line a person and must not be published or sent to a web service."
    ),
    "programs": (
        "As the rules' logs have them, the first of each kind; working folders are left out. The logs hold everything "
        "the programs said."
    ),
}
ABSENT = {
    "glance": "anything that this page could show",
    "quality": "the counts of the filters (rule genotype_qc)",
    "people": "the people of the association (rule make_phenotypes)",
    "ancestry": "genetic components: set genetics: pcs: count above 0, or name a table of them",
    "association": "the association (rules gwas and merge_gwas)",
    "loci": "loci (rule find_loci)",
    "heritability": "heritability (rules run_greml and run_ldsc)",
    "correlation": "genetic correlations, which need at least two traits (rules run_greml and run_ldsc)",
    "cells": (
        "cell types: name a folder of peaks (genetics: peaks: folder) or a table of expression (genetics: "
        "expression: table)"
    ),
    "peaks": "overlaps with open chromatin: name a folder of peaks (genetics: peaks: folder)",
    "handoffs": "files for other programs (rule write_handoffs)",
    "programs": "commands (the rules' logs were not found)",
}
# beginning of a figure's file name -> section, words
FIGURES = (
    ("genetic_qc", "quality", "What each filter left, and the components of ancestry of those who are left."),
    ("ldsc_cell", "cells", "Association of open chromatin of cell types with every trait, by LDSC."),
    ("manhattan", "association", "Association of every variant along the genome, and against what chance gives (QQ)."),
    ("miami", "association", "Association of two traits along the genome."),
    ("qq", "association", "Strength of association against what chance gives."),
    ("locus", "loci", "Variants of a locus, coloured by linkage with the lead, with genes and peaks."),
    ("loci", "loci", "Variants of the strongest loci, coloured by linkage with their leads, with genes and peaks."),
    ("heritab", "heritability", "Heritability with intervals."),
    ("greml", "heritability", "Heritability with intervals."),
    ("genetic_corr", "correlation", "Genetic correlations."),
    ("ldsc_corr", "correlation", "Genetic correlations by LDSC."),
    ("rg", "correlation", "Genetic correlations."),
    ("cell", "cells", "Association of cell types with every trait."),
    ("enrich", "cells", "Association of cell types with every trait."),
    ("partition", "cells", "Heritability by annotation."),
    ("expression", "cells", "Association of cell types by gene expression."),
    ("peak", "peaks", "Associated variants in open chromatin."),
    ("comp", "ancestry", "Genetic components."),
    ("pc", "ancestry", "Genetic components."),
)


def few_people(people: int) -> list[str]:
    """Warn where the sample is too small for what the page reports."""
    said = []
    if people < FEW:
        share = min(CHI2_GENOME_WIDE / people, 1)
        error = SE_CONSTANT / people
        span = f"about {number(2)(error)}" if error < 1 else "over 1, more than all that h² can be"
        said.append(
            f"<b>{count(people)} people are too few for genetics.</b> A variant reaches genome-wide "
            "significance in half "
            f"of such studies only if it alone explains {100 * share:.0f}% of the trait's variance, where common "
            "variants of complex traits explain well under 1%; and over a whole genome the standard error of h² of "
            f"unrelated people is {span}. The numbers below show that the chain works; they are no evidence about "
            "people in general."
        )
    elif people < LDSC_PEOPLE:
        said.append(
            f"{count(people)} people: LD score regression is meant for more than {count(LDSC_PEOPLE)}; its "
            "estimates are "
            "given with the errors they have, GREML is the better guide here."
        )
    return said


def inflation(row: pd.Series) -> str:
    """Say in a sentence what λ and the intercept of a trait mean together."""
    name, value = row["label"], row["lambda_gc"]
    lead = f"<b>{name}</b>: λ {number(2)(value)}"
    intercept, error = row.get("intercept"), row.get("intercept_se")
    if pd.isna(intercept) or pd.isna(error):
        judged = "no more than chance" if value < 1.05 else "raised, and without an LDSC intercept nobody can say why"
        return f"{lead}, {judged}."
    near = f"intercept {number(2)(intercept)} ± {number(2)(error)}"
    if intercept - 1.96 * error > 1:
        cause = "part of the inflation may be confounding (ancestry, relatives) or a poor LD panel"
        return f"{lead}, {near}, above 1: {cause}."
    if value < 1.05:
        return f"{lead}, {near}: no inflation to explain."
    return f"{lead}, {near}, compatible with 1: the inflation is what many small effects make."


def heritability(row: pd.Series) -> str:
    """Say in a sentence what an estimate of heritability allows to claim; empty if it speaks for itself."""
    name = f"<b>{row['label']}</b> ({row['by']})"
    if pd.isna(row["h2"]):
        return f"{name}: no estimate."
    width = row["upper"] - row["lower"]
    if pd.notna(width) and width > 0.5:
        return f"{name}: an interval {number(2)(width)} wide says next to nothing about the heritability."
    if pd.notna(row["lower"]) and row["lower"] <= 0:
        return f"{name}: compatible with 0."
    if row["h2"] > 1 or row["h2"] < 0:
        return f"{name}: outside 0 to 1, which an unbiased estimate with this error may be; read it as its interval."
    return ""


def weak_correlations(estimates: pd.DataFrame) -> list[str]:
    """Warn of traits whose heritability is too uncertain for a correlation; ``estimates`` has h2, se, label, by."""
    z = estimates["h2"] / estimates["se"]
    weak = estimates[~(z >= Z_CORRELATION)]
    if weak.empty:
        return []
    names = ", ".join(dict.fromkeys(f"{row.label} ({row.by})" for row in weak.itertuples()))
    return [
        f"Heritability is less than {Z_CORRELATION} standard errors from 0 for {names}: correlations with these divide "
        "by a number that may be 0, and are best not interpreted."
    ]


def means(name: str) -> str:
    """Return a paragraph of :data:`MEANS`."""
    return f'<p class="means">{MEANS[name]}</p>'
