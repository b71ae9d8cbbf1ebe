from functools import cache
from pathlib import Path

from workflow_scripts.lib.imaging.names import PATCHES
from workflow_scripts.lib.study.code import code_hash
from workflow_scripts.lib.study.config import (
    PHANTOM_TABLE,
    is_phantom,
    own_inputs,
    phantom_batches,
    uses_phantom,
)
from workflow_scripts.lib.study.files import read_json
from workflow_scripts.lib.study.keep import file_state


@cache
def index_state():
    """Read what the check wrote of the user's own inputs."""
    none = {"batches": {}, "inputs": {}}
    return read_json(INDEX["state"]) if own_inputs(config) else none


def indexed_batches():
    """Map the batches of the user's own scans to a hash of what they read."""
    return index_state()["batches"]


def batches():
    """List the batches of scans, "000", "001" and so on: those of the embedded study first."""
    made = [f"{number:03d}" for number in range(phantom_batches(config))]
    return made + sorted(indexed_batches(), key=int)


def batch_state(wildcards):
    """Give what says whether the scans of a batch have changed; those of the embedded study are watched as files."""
    return indexed_batches().get(wildcards.batch, "embedded study")


def batch_inputs(wildcards):
    """List the inputs of a batch that are exported tables; other inputs' keys are none of the batch's business."""
    names = index_state()["inputs"].get(wildcards.batch, [])
    return [
        {key: entry[key] for key in ("name", "kind", "tables")}
        for entry in own_inputs(config)
        if entry["kind"] == "tables" and entry["name"] in names
    ]


def batch_scans(wildcards):
    """Name the table that the scans of a batch stand in.

    The index is no rule's output, so its time of change may be ignored in favour of batch_state(). The table that
    make_cohort writes may not: Snakemake overlooks changed params behind an ancient input whose own rule runs.
    """
    if wildcards.batch in indexed_batches():
        return ancient(INDEX["index"])
    return "results/cohort/scans.tsv"


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
    """Name the participants table of the embedded study, if it is among the inputs."""
    return PHANTOM_TABLE if uses_phantom(config) else []


def phantom_name():
    """Give the name under which the embedded study is among the inputs, or none."""
    names = [entry["name"] for entry in config["cohort"]["inputs"] if is_phantom(entry)]
    return names[0] if names else None


def scan_files(wildcards):
    """Name what holds the scans of a batch, if the study makes them itself."""
    made = int(wildcards.batch) < phantom_batches(config)
    return f"results/phantom/simulate_scans/{wildcards.batch}" if made else []


def genotype_files():
    """List the three files of the genotypes that config names, whichever of the two formats is there."""
    prefix = config["genetics"]["genotypes"]
    if Path(f"{prefix}.pgen").exists():
        packed = ".zst" if Path(f"{prefix}.pvar.zst").exists() else ""
        return multiext(prefix, ".pgen", f".pvar{packed}", ".psam")
    return multiext(prefix, ".bed", ".bim", ".fam")


def qc_overrides(wildcards):
    """Name the table of decisions by hand, if config names one."""
    return config["qc"]["overrides"] or []


# folders of the tools' subjects; no rule names them as output, since Snakemake deletes what a failed job has made
SUBJECTS = "results/preprocess/subjects"
# backends that are tools of their own
TOOLS = ("freesurfer", "fastsurfer")


def preprocess_settings():
    """Give what preprocessing depends on: of an outside tool only which it is, since its own rules did the work."""
    section = config["preprocess"]
    if section["backend"] in TOOLS:
        return pick("preprocess", "backend", "longitudinal")
    files = [path for path in section["meshnet"].values() if path]
    meshnet = section["backend"] == "meshnet"
    state = {"files": [file_state(path) for path in files]} if meshnet else {}
    left_out = ("tool", "longitudinal")
    return state | {key: section[key] for key in section if key not in left_out}


def tool_settings():
    """Give what a tool's run depends on.

    Threads and minutes change no result; a rerun for them finds the subjects complete and makes none again.
    """
    return pick("preprocess", "backend", "longitudinal", "tool")


def tool_resource(key):
    """Give threads or memory of a job: those of one command, times the people processed at once."""
    tool = config["preprocess"]["tool"]
    return tool[key] * tool["at_once"]


def tool_minutes():
    """Give the longest a job can take: a command a scan, one after the other; three a scan if longitudinal."""
    tool, cohort = config["preprocess"]["tool"], config["cohort"]
    rounds = -(-cohort["scans_per_job"] // tool["at_once"])
    return tool["minutes"] * rounds * (3 if config["preprocess"]["longitudinal"] else 1)


def segmented_scans(wildcards):
    """Name the table of FastSurfer's segmentations; FreeSurfer has none."""
    made = config["preprocess"]["backend"] == "fastsurfer"
    return f"results/preprocess/segment_scans/{wildcards.batch}.tsv" if made else []


def reconstructed_scans(wildcards):
    """Name the table of what a tool has made of a batch, if the backend is one."""
    made = config["preprocess"]["backend"] in TOOLS
    return f"results/preprocess/reconstruct_scans/{wildcards.batch}.tsv" if made else []


def scan_mb():
    """Give the memory in MB that a process needs for a scan: a network at 1 mm needs more than the rest."""
    return 3500 if config["preprocess"]["backend"] == "meshnet" else 2000


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
            "results/qc/page",
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
