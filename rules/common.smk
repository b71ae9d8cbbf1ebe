from functools import cache
from pathlib import Path

from workflow_scripts.lib.imaging.names import PATCHES
from workflow_scripts.lib.study.code import code_hash
from workflow_scripts.lib.study.config import (
    NEUROPATHOLOGY_TABLE,
    PHANTOM_TABLE,
    is_phantom,
    own_inputs,
    phantom_batches,
    uses_phantom,
)
from workflow_scripts.lib.study.files import read_json
from workflow_scripts.lib.study.methods import (
    SOURCES,
    is_table,
    method_settings,
    method_volume,
)
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
    """List the methods that the study trains and compares."""
    return config["pretrain"]["use"]


def trained():
    """List the methods that something trains: those in use, those of the ablations, those that are finetuned."""
    ablations = config["pretrain"]["ablations"]
    finetuned = [curve_method(name) for name in curve_models("network")]
    return [
        name
        for name in config["pretrain"]["methods"]
        if name in {*methods(), *ablations, *finetuned}
    ]


def patch_trained():
    """List the methods that read the 18 patches, in use or not."""
    return [name for name in trained() if volume_of(name) is None]


def volume_trained():
    """List the methods that read whole volumes, in use or not."""
    return [name for name in trained() if volume_of(name)]


def any_of(names):
    """Write a wildcard's constraint to these names; one that nothing meets if there are none."""
    return "|".join(names) or "(?!)"


def weights_of(method):
    """List what holds the trained networks of a method: the folders of its patches' chunks, or a file."""
    folder = f"results/pretrain/{method}"
    if volume_of(method):
        return [f"{folder}/pretrain_volume/weights.safetensors"]
    chunks = expand(f"{folder}/pretrain_patches/{{chunk}}", chunk=pretrain_chunks())
    return [*chunks, f"{folder}/pretrain_image/weights.safetensors"]


def method_weights(wildcards):
    """List what holds the trained networks of a method, see weights_of()."""
    return weights_of(wildcards.method)


def curve_models(kind):
    """List the models of the learning curves that are of a kind: linear or network."""
    entries = config["finetune"]["models"]
    return [name for name, entry in entries.items() if entry["kind"] == kind]


def curve_method(model):
    """Name the pretraining method whose networks a model of the learning curves finetunes."""
    return config["finetune"]["models"][model]["method"]


def encoder_state(name):
    """Give what says whether the file of a user's encoder has changed."""
    entry = config["representations"][name]
    return [
        file_state(entry[key])
        for key in SOURCES
        if key != "entry_point" and entry.get(key)
    ]


def patch_methods():
    """List the methods in use that read the 18 patches."""
    return [name for name in methods() if volume_of(name) is None]


def volume_methods():
    """List the methods in use that read whole volumes."""
    return [name for name in methods() if volume_of(name)]


def multitask_methods():
    """List the methods in use that learn labels."""
    entries = config["pretrain"]["methods"]
    return [name for name in methods() if entries[name]["objective"] == "multitask"]


def volume_of(method):
    """Name the volume that a method reads, or none if it reads patches."""
    return method_volume(config["pretrain"]["methods"][method])


def own_encoders():
    """List the encoders that are the user's, not tables."""
    entries = config["representations"]
    return [name for name, entry in entries.items() if not is_table(entry)]


def own_tables():
    """List the tables of embeddings that are the user's."""
    return [name for name in config["representations"] if name not in own_encoders()]


def volume_names():
    """List the whole volumes that something reads, beside the patches."""
    names = [volume_of(name) for name in trained() if volume_of(name)]
    names += [config["representations"][name]["volume"] for name in own_encoders()]
    return sorted(set(names))


def representations():
    """List what is compared: regional features, the methods, and the user's own."""
    subsets = config["features"]["subsets"]
    return ["features", *subsets, *methods(), *config["representations"]]


def several():
    """Whether there is more than one representation to compare."""
    return len(representations()) > 1


def gap_representations():
    """List the representations whose brain age gaps go on to genetics."""
    named = config["brainage"]["representations"]
    return [name for name in representations() if named is None or name in named]


def pick(section, *keys):
    """Take some keys of a config section, so that a rule reruns for these and no others."""
    return {key: config[section][key] for key in keys}


def pick_from(section, *keys):
    """Take some keys of a part of a config section."""
    return {key: section[key] for key in keys}


# keys of config section probe that comparisons depend on; fields of lib/evaluate/pairs.py: CompareOptions
COMPARE_KEYS = [
    "permutation",
    "p_rule",
    "n_permutations",
    "n_swaps",
    "n_bootstrap",
    "level",
    "continuous_metric",
]


def pretrain_chunks():
    """List the chunks of locations that one training job takes, "00", "01" and so on."""
    jobs = -(-len(PATCHES) // config["pretrain"]["patches_per_job"])
    return [f"{number:02d}" for number in range(jobs)]


def pretrain_settings(level):
    """Give a function of the wildcards: what a training at this level depends on, so that nothing else reruns it."""
    return lambda wildcards: method_settings(
        config["pretrain"], wildcards.method, level
    )


def pretrain_resource(key):
    """Give a resource of the training jobs."""
    return config["pretrain"]["resources"][key]


def participants_table(wildcards):
    """Name the participants table of the embedded study, if it is among the inputs."""
    return PHANTOM_TABLE if uses_phantom(config) else []


def has_volumes():
    """Whether any input may have volumes of brains; exported tables have none."""
    return any(entry["kind"] != "tables" for entry in config["cohort"]["inputs"])


def has_genetics():
    """Whether the study has genotypes: the embedded study makes its own, others ask for the stage."""
    return uses_phantom(config) or "genetics" in config["stages"]


def phantom_name():
    """Give the name under which the embedded study is among the inputs, or none."""
    names = [entry["name"] for entry in config["cohort"]["inputs"] if is_phantom(entry)]
    return names[0] if names else None


def scan_files(wildcards):
    """Name what holds the scans of a batch, if the study makes them itself."""
    made = int(wildcards.batch) < phantom_batches(config)
    return f"results/phantom/simulate_scans/{wildcards.batch}" if made else []


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


def calibration_cells():
    """Name the simulated designs, such as leave_out_500_100."""
    return [
        f"{entry['kind']}_{entry['participants']}_{entry['size']}"
        for entry in config["calibration"]["designs"]
    ]


@cache
def study_version():
    """Read the version of this software, which cards carry."""
    lines = Path(workflow.basedir, "CITATION.cff").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("version:"))


def neuropathology_table():
    """Name the table of post-mortem findings; none if there is none, or the embedded study, whose it is, is not used."""
    path = config["brainage"]["neuropathology"]
    usable = path and (uses_phantom(config) or path != NEUROPATHOLOGY_TABLE)
    return path if usable else []
