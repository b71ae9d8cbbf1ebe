"""A small association for tests of handoffs: all autosomes, effects that fit their p-values."""

import numpy as np
import pandas as pd
from scipy import stats

ABOUT = {
    "build": "hg19",
    "software": "PLINK 2",
    "covariates": ["age", "sex", "PC1"],
    "min_maf": 0.01,
    "date": "2024-02-29",
    "targets": ["gwas_ssf", "fuma", "ldsc", "magma", "regenie", "gcta", "bolt"],
    "descriptions": {"rnce": "Brain age gap: R-NCE, years"},
    "ontology": {},
    "ancestry": ["European"],
    "ancestry_method": ["genetically determined"],
    "sex": "combined",
    "genotyping": ["Genome-wide genotyping array"],
    "imputation_panel": None,
    "imputation_software": None,
    "notes": None,
    "population": "EUR",
}
LOCI = {"p": 5e-8, "candidate_p": 0.05, "r2": 0.6, "lead_r2": 0.1, "merge_kb": 250, "gene_kb": 10}


def make_results(count: int = 220, people: int = 300, seed: int = 0) -> pd.DataFrame:
    """Give results in schema ``gwas``, in no order."""
    random = np.random.default_rng(seed)
    bases = np.array(["A", "C", "G", "T"])
    first = random.integers(0, 4, count)
    second = (first + random.integers(1, 4, count)) % 4
    t = random.standard_t(people - 5, count)
    se = random.uniform(0.1, 0.3, count)
    table = pd.DataFrame(
        {
            "chrom": [str(1 + index % 22) for index in range(count)],
            "pos": random.integers(1, 10**8, count),
            "id": [f"rs{1000 + index}" for index in range(count)],
            "ref": bases[first],
            "alt": bases[second],
            "a1": bases[second],
            "a1_freq": random.uniform(0.05, 0.95, count),
            "n": people,
            "beta": t * se,
            "se": se,
            "t": t,
            "p": 2 * stats.t.sf(np.abs(t), people - 5),
        }
    )
    return table.sample(frac=1, random_state=seed, ignore_index=True)
