"""Small tables, made by hand, of everything that the page of genetics shows."""

import numpy as np
import pandas as pd

TRAITS = ["features", "rnce", "simclr"]
HOSTILE = "</script><img src=x onerror=hacked=1>"
TYPES = ["Astrocytes", "ExcitatoryNeurons", "InhibitoryNeurons", "Microglia", "Oligodendrocytes", "OPCs"]


def by_trait(**columns):
    return pd.DataFrame({"trait": TRAITS} | columns)


def make_steps():
    rows = [
        ("imported", "nothing; what the files hold", 2806, 79250, 0, 0),
        ("sex", "people whose recorded and genetic sex differ", 2797, 79250, 9, 0),
        ("autosomes", "variants outside chromosomes 1 to 22", 2797, 62110, 0, 17140),
        ("relatives", "one of two people with kinship above 0.0884", 2376, 62110, 421, 0),
        ("variant missingness", "variants with more than 3% missing calls", 2376, 62050, 0, 60),
        ("frequency", "variants with a minor allele frequency below 0.01", 2376, 44273, 0, 17777),
        ("duplicates", "variants at one place with the same alleles", 2376, 44243, 0, 30),
        ("Hardy-Weinberg", "variants with p below 1e-10", 2376, 44204, 0, 39),
        ("person missingness", "people with more than 3% missing calls", 2351, 44204, 25, 0),
    ]
    return pd.DataFrame(rows, columns=["step", "filter", "people", "variants", "people_removed", "variants_removed"])


def make_entered():
    names = ["age", "age2", "sex", "age_x_sex", "age2_x_sex", "icv", "array_2", *(f"PC{n}" for n in range(1, 11))]
    rows = [(trait, name, True, name != "array_2" or trait != "simclr", 2351) for trait in TRAITS for name in names]
    return pd.DataFrame(rows, columns=["trait", "covariate", "asked", "entered", "people"])


def make_components():
    random = np.random.default_rng(0)
    minor = random.random(2351) < 0.15
    values = random.normal(0, 0.004, (2351, 10))
    values[:, 0] += np.where(minor, 0.045, -0.008)
    ids = pd.DataFrame({"participant_id": [f"person-{index:05d}" for index in range(2351)]})
    return pd.concat([ids, pd.DataFrame(values, columns=[f"PC{n}" for n in range(1, 11)])], axis=1)


def make_loci():
    many = ";".join(f"GENE{n}" for n in range(14))
    rows = [
        ("features", 1, "6", 44_800_000, 45_240_000, "rs9001", 45_000_310, 3.1e-9, -0.31, 0.052, "T", 0.71, 1,
         1, 14, "SUPT3H;RUNX2", "RUNX2", "true", None),
        ("features", 2, "17", 43_700_000, 44_350_000, "rs56072903", 44_102_000, 7.8e-44, 0.52, 0.037, "A",
         0.23, 6, 2, 210, many, "MAPT", "false", "brain age; Parkinson disease"),
        ("rnce", 1, "17", 43_690_000, 44_360_000, "rs56072903", 44_102_000, 1e-307, 0.61, 0.036, "A", 0.23, 8,
         2, 214, "MAPT;KANSL1;CRHR1", "MAPT", "false", "brain age"),
        ("rnce", 2, "11", 10_600_000, 10_720_000, "11:10650000:G:GA", 10_650_000, 4.4e-8, 0.22, 0.04, "GA",
         0.12, 1, 1, 5, None, "IRAG1", "true", None),
    ]  # fmt: skip
    names = "trait locus chrom start end lead_id lead_pos lead_p lead_beta lead_se lead_a1 lead_a1_freq n_independent"
    names += " n_leads n_candidates genes nearest_gene novel known_traits"
    return pd.DataFrame(rows, columns=names.split())


def make_leads(loci):
    named = loci.rename(
        columns={"lead_id": "id", "lead_pos": "pos", "lead_p": "p", "lead_beta": "beta", "lead_se": "se"}
    )
    named = named.rename(columns={"lead_a1": "a1", "lead_a1_freq": "a1_freq"}).assign(ref="G", alt="A", n=2351)
    return named[["trait", "locus", "id", "chrom", "pos", "ref", "alt", "a1", "a1_freq", "n", "beta", "se", "p"]]


def make_genes():
    rows = [("rnce", 1, "MAPT", "17", 43_971_748, 44_105_700, "+", 0, 80, 1e-307)]
    rows += [("rnce", 1, "KANSL1", "17", 44_107_282, 44_302_740, "-", 0, 101, 1e-80)]
    names = ["trait", "locus", "gene", "chrom", "start", "end", "strand", "distance", "variants", "min_p"]
    return pd.DataFrame(rows, columns=names)


def make_pairs(values, **columns):
    pairs = [("features", "rnce"), ("features", "simclr"), ("rnce", "simclr")]
    table = pd.DataFrame(pairs, columns=["trait_a", "trait_b"]).assign(rg=values, se=[0.016, 0.039, 0.033])
    table["lower"], table["upper"] = table["rg"] - 1.96 * table["se"], np.minimum(1, table["rg"] + 1.96 * table["se"])
    return table.assign(**columns)


def make_cells(**columns):
    random = np.random.default_rng(1)
    table = pd.DataFrame([(trait, name) for trait in TRAITS for name in TYPES], columns=["trait", "cell_type"])
    p = np.where(table["cell_type"] == "Oligodendrocytes", 0.0004, random.uniform(0.05, 1, len(table)))
    return table.assign(p=p, q=np.minimum(1, p * 6), se=0.1, **columns)


def make_commands():
    rows = [
        ("filter_variants", str(part), "PLINK v2.00a3.5", f"plink2 --pfile {part} --geno 0.03 --out {part}")
        for part in range(1, 23)
    ]
    rows.append(
        ("filter_people", "filter_people", "PLINK v1.90b6.26", "plink1.9 --bfile all --check-sex 0.2 0.8 --out sex")
    )
    rows.append(
        (
            "gwas",
            "all",
            "PLINK v2.00a3.5",
            "plink2 --pfile all --keep keep.txt --pheno phenotypes.txt --covar covariates.txt --glm omit-ref",
        )
    )
    return pd.DataFrame(rows, columns=["rule", "log", "program", "command"])


def make_handoffs():
    targets = {"gwas_ssf": 6, "fuma": 4, "ldsc": 3, "magma": 6, "regenie": 3, "gcta": 6, "bolt": 2}
    rows = [
        (target, None, f"{target}/file{place}", 44204, 900_000, target in ("regenie", "gcta", "bolt"), "nothing")
        for target, count in targets.items()
        for place in range(count)
    ]
    return pd.DataFrame(rows, columns=["target", "trait", "file", "rows", "bytes", "individuals", "left_out"])


def make_tables():
    """Give every table of the page."""
    loci = make_loci()
    losses = [("brain age gap", None, 2600, 0, 0), ("role gwas", None, 2500, 100, 90)]
    losses += [("genotypes that passed quality control", None, 2360, 140, 131), ("a value of", "icv", 2351, 9, 9)]
    return {
        "steps": make_steps(),
        "losses": pd.DataFrame(losses, columns=["reason", "column", "people", "lost", "alone"]),
        "entered": make_entered(),
        "components": make_components(),
        "eigenvalues": pd.DataFrame(
            {"component": [f"PC{n}" for n in range(1, 11)], "eigenvalue": [24.1, 4.2, *[4.0] * 8]}
        ),
        "summary": by_trait(
            people=2351, variants=44204, lambda_gc=[1.42, 1.39, 1.01], significant=[31, 44, 0],
            top_id=["rs56072903", "rs56072903", HOSTILE], top_beta=[0.52, 0.61, -0.2], top_p=[7.8e-44, 1e-307, 2.2e-6],
            top_neg_log10_p=[43.108, 309.523, 5.658],
        ),
        "loci": loci,
        "leads": make_leads(loci),
        "genes": make_genes(),
        "greml": by_trait(
            method="greml", people=2351, variants=44204, h2=[0.466, 0.502, 0.12], se=[0.036, 0.037, 0.07],
            lower=[0.395, 0.43, 0.0], upper=[0.54, 0.575, 0.26], lrt=[400.0, 380.0, 3.0], p=[1e-88, 1e-80, 0.04],
            note=[None, None, None],
        ),
        "greml_correlation": make_pairs(
            [0.939, 0.765, -0.2], method="greml", people=2351, p_zero=[1e-60, 1e-30, 0.4], p_one=[1e-4, 1e-9, 1e-12],
            re=[0.4, 0.3, 0.2], re_se=0.02, note=None,
        ),
        "ldsc": by_trait(
            people=2351, variants=28575, h2=[0.509, 0.548, -0.03], se=[0.086, 0.095, 0.4], lower=[0.34, 0.362, -0.81],
            upper=[0.678, 0.734, 0.75], p=[3e-9, 8e-9, 0.9], lambda_gc=[1.42, 1.39, 1.01], mean_chi2=[1.6, 1.6, 1.0],
            intercept=[0.97, 1.09, 1.0], intercept_se=[0.02, 0.02, 0.01], ratio=[-0.05, 0.15, np.nan], ratio_se=0.03,
        ),
        "ldsc_correlation": make_pairs([0.915, np.nan, 0.3], p=[1e-70, np.nan, 0.3], gcov_intercept=0.4, note=None),
        "dropped": pd.DataFrame(
            [("rnce", "strand-ambiguous alleles", 6900), ("rnce", "kept", 28575)],
            columns=["trait", "reason", "variants"],
        ),
        "cells": make_cells(coefficient=1e-8, z=1.0).assign(significant=lambda table: table["q"] < 0.05),
        "partitioned": pd.DataFrame(
            [("rnce", "Oligodendrocytes", 0.091, 0.43, 4.7, 1.2, 0.005, 0.03)],
            columns=["trait", "category", "prop_snps", "prop_h2", "enrichment", "enrichment_se", "enrichment_p", "q"],
        ),
        "expression": make_cells(genes=18000, beta=0.02, t=1.0, p_bonferroni=0.5),
        "peaks": make_cells(
            peaks=900, tested=44204, tested_inside=4000, expected_share=0.09, nominal=5040, variants=627, share=0.124,
            fold=1.37, significant=3, naive_p=1e-14,
        ),
        "files": make_handoffs(),
        "validation": by_trait(
            file=[f"{trait}.tsv.gz" for trait in TRAITS], rows=44204, enough_rows=False,
            valid=["yes", "no", "not checked"],
            validator=["gwas_sumstats_tools 1.0.25"] * 2 + ["none"],
            message=["Data table is valid. Metadata are valid.", "effect_allele: wrong", "gwas-ssf is needed"],
        ),
        "commands": make_commands(),
    }  # fmt: skip
