from pathlib import Path

from workflow_scripts.lib.imaging.names import PATCHES
from workflow_scripts.lib.study.code import code_hash
from workflow_scripts.lib.study.config import count_scans


def batches():
    """List the batches of scans, "000", "001" and so on."""
    jobs = -(-count_scans(config) // config["cohort"]["scans_per_job"])
    return [f"{number:03d}" for number in range(jobs)]


def methods():
    """List the self-supervised methods of the config."""
    return list(config["pretrain"]["methods"])


def representations():
    """List what is compared: regional features, the methods, and the user's own tables."""
    return ["features", *methods(), *config["representations"]]


def pick(section, *keys):
    """Take some keys of a config section, so that a rule reruns for these and no others."""
    return {key: config[section][key] for key in keys}


def pretrain_chunks():
    """List the chunks of locations that one training job takes, "00", "01" and so on."""
    jobs = -(-len(PATCHES) // config["pretrain"]["patches_per_job"])
    return [f"{number:02d}" for number in range(jobs)]


def pretrain_settings(*parts):
    """Give a function of the wildcards: what a training depends on, so that nothing else reruns it."""
    section = config["pretrain"]
    shared = ("temperature", "representation", "precision", "resident_gb", *parts)
    return lambda wildcards: {
        "method": section["methods"][wildcards.method],
        **{key: section[key] for key in shared},
    }


def participants_table(wildcards):
    """Name the participants table, unless the study is a folder of volumes."""
    return [] if config["cohort"]["folder"] else config["cohort"]["participants"]


def scan_files(wildcards):
    """Name what holds the scans of a batch, if the study makes them itself."""
    made = uses_phantom(config)
    return f"results/phantom/simulate_scans/{wildcards.batch}" if made else []


def genotype_files():
    """List the three files of the genotypes that config names, whichever of the two formats is there."""
    prefix = config["genetics"]["genotypes"]
    if Path(f"{prefix}.pgen").exists():
        packed = ".zst" if Path(f"{prefix}.pvar.zst").exists() else ""
        return multiext(prefix, ".pgen", f".pvar{packed}", ".psam")
    return multiext(prefix, ".bed", ".bim", ".fam")


FIGURES = [
    "biomarker_bars",
    "brainage_scatter",
    "gap_correlation",
    "manhattan",
    "permutation_sensitivity",
]
FIGURES += ["registrations", "training_curves"]
FIGURES += ["planted_truth"] if uses_phantom(config) else []


def stage_outputs(stage):
    """List the final files of a stage."""
    return {
        "cohort": ["results/cohort/scans.tsv", "results/cohort/tasks.tsv"],
        "preprocess": expand(
            "results/preprocess/preprocess_scans/{batch}.tsv", batch=batches()
        ),
        "register": [
            "results/qc/scans.tsv",
            "results/qc/excluded.tsv",
            "results/figures/registrations.png",
        ],
        "patches": expand("results/patches/extract_patches/{batch}", batch=batches()),
        "features": [
            "results/features/harmonised.tsv",
            "results/features/assignment.tsv",
        ],
        "pretrain": expand("results/embed/{name}.tsv", name=representations()),
        "probe": ["results/probe/compare_probes/comparisons.tsv"],
        "brainage": ["results/brainage/gaps.tsv", "results/brainage/metrics.tsv"],
        "genetics": [
            "results/genetics/gwas/summary.tsv",
            "results/genetics/munge_sumstats/dropped.tsv",
        ],
        "figures": expand("results/figures/{name}.png", name=FIGURES),
        "report": ["results/report.html"],
    }[stage]


wildcard_constraints:
    batch=r"\d+",
    chunk=r"\d+",
    method="|".join(methods()),
    representation="|".join(representations()),
