"""Real genotypes pass quality control, components and association, and a planted effect is found.

The genotypes are 379 Europeans of the 1000 Genomes Project, 54,051 variants of chromosomes 17 to 22 (hg19), which
Debian's package bolt-lmm-example holds; nothing of them is kept.
"""

import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.genetics import bed
from workflow_scripts.lib.study.seeds import generator

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
ARCHIVE = Path("/usr/share/doc/bolt-lmm/examples/examples.tar.xz")
SHARE = 0.2  # of the trait's variance; 379 people show it at p around 1e-18
CONFIG = """
stages: [genetics]
cohort: {{inputs: []}}
genetics:
  genotypes: {prefix}
  chromosomes: [17, 18, 19, 20, 21, 22]
  phenotypes: {traits}
  traits: [planted, noise]
  qc: {{check_sex: false, min_maf: 0.01}}
  pcs: {{count: 10}}
  genes: {{table: null}}
  catalogue: {{table: null}}
  peaks: {{folder: null}}
  expression: {{table: null}}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory, run_snakemake):
    """Results folder and the variant that moves the trait."""
    if not ARCHIVE.exists():
        pytest.skip(f"{ARCHIVE} is not there (apt-get install bolt-lmm-example)")
    folder = tmp_path_factory.mktemp("real-genes")
    with tarfile.open(ARCHIVE) as archive:
        for ending in ("bed", "bim", "fam"):
            archive.extract(f"EUR_subset.{ending}", folder, filter="data")
    given = bed.read_bed(folder / "EUR_subset")
    frequency = given.calls.mean(axis=1) / 2
    able = given.variants[(np.abs(frequency - 0.5) < 0.2) & (given.variants["chrom"] == "22")]
    causal = able.loc[(able["pos"] - 35_000_000).abs().idxmin()]
    dosage = np.maximum(given.calls[causal.name], 0).astype(float)
    random, count = generator(0, "real genotypes"), len(dosage)
    table = given.samples.assign(age=random.uniform(45, 80, count).round(1), sex=random.choice(["F", "M"], count))
    score = (dosage - dosage.mean()) / dosage.std()
    table["planted"] = np.sqrt(SHARE) * score + random.normal(0, np.sqrt(1 - SHARE), count) - 0.02 * table["age"]
    table["noise"] = random.normal(size=count)
    table.to_csv(folder / "traits.tsv", sep="\t", index=False)
    config = CONFIG.format(prefix=folder / "EUR_subset", traits=folder / "traits.tsv")
    (folder / "config.yaml").write_text(config)
    targets = ["results/genetics/merge_gwas/summary.tsv", "results/genetics/genotype_qc/steps.tsv"]
    run_snakemake(folder, *targets, "--configfile", folder / "config.yaml")
    return folder / "results" / "genetics", causal, given


def test_quality_control_keeps_nearly_everyone_and_every_chromosome(study):
    results, _, given = study
    steps = pd.read_csv(results / "genotype_qc/steps.tsv", sep="\t").set_index("step")
    assert steps["people"].iloc[0] == given.calls.shape[1] == 379
    assert steps["variants"].iloc[0] == 54_051
    # measured by hand with plink2: relatives aside nobody leaves, and 53,973 variants stay
    assert steps["people"].iloc[-1] > 370
    assert steps["variants"].iloc[-1] == pytest.approx(53_973, abs=150)
    tested = pd.read_csv(results / "merge_gwas/noise.tsv.gz", sep="\t", usecols=["chrom"], dtype=str)
    assert set(tested["chrom"]) == {"17", "18", "19", "20", "21", "22"}


def test_components_show_the_european_populations(study):
    results, *_ = study
    values = pd.read_csv(results / "genetic_pcs/eigenvalues.tsv", sep="\t")["eigenvalue"]
    # Finns, Britons, Tuscans, Iberians and people of Utah: the first component stands out of those after it
    assert values.iloc[0] > 1.3 * values.iloc[4]


def test_the_planted_variant_is_found_where_it_is(study):
    results, causal, _ = study
    table = pd.read_csv(results / "merge_gwas/planted.tsv.gz", sep="\t", dtype={"chrom": str, "id": str})
    assert table.set_index("id").loc[causal["id"], "p"] < 5e-8
    top = table.loc[table["p"].idxmin()]
    assert top["chrom"] == "22"
    assert abs(top["pos"] - causal["pos"]) < 250_000
    away = table[(table["chrom"] != "22") | ((table["pos"] - causal["pos"]).abs() > 1_000_000)]
    assert (away["p"] > 5e-8).all()


def test_noise_shows_no_locus_and_no_inflation(study):
    results, *_ = study
    summary = pd.read_csv(results / "merge_gwas/summary.tsv", sep="\t").set_index("trait")
    assert summary.loc["noise", "significant"] == 0
    assert summary["lambda_gc"].between(0.85, 1.15).all()
