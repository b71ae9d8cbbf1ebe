"""Check the config before any job: each fault named by key, with the value found, what is allowed and the remedy.

Used while the Snakefile is parsed, three times a job on a cluster: only jsonschema and the standard library.
"""

import copy
import difflib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator, ValidationError

from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.methods import check_methods

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas" / "config"
PHANTOM_TABLE = "results/phantom/participants.tsv"
NEUROPATHOLOGY_TABLE = "results/phantom/neuropathology.tsv"
PHANTOM_GENOTYPES = "results/phantom/genotypes"
PHANTOM_ANNOTATIONS = "results/phantom/annotations/"  # of those genotypes
SUFFIXES = (".nii.gz", ".nii", ".mgz", ".mgh")  # of files that count as volumes in a folder

# backend -> lists of features that it gives for T1w volumes
GIVES = {
    "embedded": ("volumes", "meshnet", "aseg"),
    "meshnet": ("meshnet",),
    "fastsurfer": ("dkt", "dkt_volumes", "aseg"),
    "freesurfer": ("published", "volumes", "thickness", "dkt", "dkt_volumes", "meshnet", "aseg"),
}


@cache
def load_config_schema() -> dict:
    """Put the sections' schema files together into one JSON schema."""
    schema = yaml.safe_load((SCHEMAS / "study.schema.yaml").read_text())
    for section in schema["properties"]:
        path = SCHEMAS / f"{section}.schema.yaml"
        if path.exists():
            schema["properties"][section] = yaml.safe_load(path.read_text())
    return schema


@cache
def participant_columns() -> frozenset[str]:
    """List the columns that every participants table may have."""
    path = SCHEMAS.parent / "participants.schema.yaml"
    return frozenset(yaml.safe_load(path.read_text())["properties"])


def _fill_defaults(value: object, schema: dict) -> None:
    """Put in the defaults of a schema, in place; of items that come in kinds, those of their kind.

    Where a schema says ``filled: false`` its keys stand above others', so that what is left out stays out.
    """
    if schema.get("filled") is False:
        return
    if isinstance(value, list):
        for item in value:
            _fill_defaults(item, schema.get("items", {}))
    if not isinstance(value, dict):
        return
    for branch in schema.get("allOf", []):
        if branch["if"]["properties"]["kind"]["const"] == value.get("kind"):
            _fill_defaults(value, branch["then"])
    for key, rule in schema.get("properties", {}).items():
        if key not in value and "default" in rule:
            value[key] = copy.deepcopy(rule["default"])
        if key in value:
            _fill_defaults(value[key], rule)
    other = schema.get("additionalProperties")
    if isinstance(other, dict):
        for key in set(value) - set(schema.get("properties", {})):
            _fill_defaults(value[key], other)


def _say_unknown(section: dict, schema: dict) -> Iterator[str]:
    """Yield a sentence for each key of a section that its schema does not know."""
    known, patterns = list(schema.get("properties", {})), list(schema.get("patternProperties", {}))
    for name in section:
        if name not in known and not any(re.search(pattern, str(name)) for pattern in patterns):
            close = difflib.get_close_matches(str(name), known, n=1)
            hint = f"Did you mean '{close[0]}'?" if close else f"Known keys: {', '.join(known + patterns)}."
            hint = schema.get("replaced", {}).get(name, hint)
            yield f"unknown key '{name}'. {hint}"


def _say(error: ValidationError) -> str:
    """Turn a schema error into a sentence with key, value, what is allowed and the remedy."""
    key = ".".join(str(part) for part in error.absolute_path) or "top level"
    schema = error.schema
    if error.validator == "additionalProperties":
        place = "" if key == "top level" else f"{key}: "
        return "\n        ".join(place + sentence for sentence in _say_unknown(error.instance, schema))
    if error.validator == "required":
        lacking = error.message.split("'")[1]
        return f"{key}: key '{lacking}' is missing. See config.yaml for what it does."
    expected = {
        "enum": lambda: f"one of {', '.join(map(str, error.validator_value))}",
        "type": lambda: f"a value of type {error.validator_value}",
        "minimum": lambda: f"at least {error.validator_value}",
        "maximum": lambda: f"at most {error.validator_value}",
        "exclusiveMinimum": lambda: f"more than {error.validator_value}",
        "exclusiveMaximum": lambda: f"less than {error.validator_value}",
        "minItems": lambda: f"at least {error.validator_value} items",
        "maxItems": lambda: f"at most {error.validator_value} items",
    }.get(error.validator, lambda: error.message)()
    return f"{key}: found {error.instance!r}, expected {expected}. {schema.get('description', '')}".rstrip()


def check_config(config: dict) -> None:
    """Check a config against its schema, fill in defaults, and check what no schema can say.

    Parameters
    ----------
    config : dict
        Changed in place: defaults are filled in.

    Raises
    ------
    StudyError
        One message with every fault found.
    """
    schema = load_config_schema()
    _fill_defaults(config, schema)
    _drop_annotations(config)
    faults = [
        _say(error) for error in sorted(Draft202012Validator(schema).iter_errors(config), key=lambda e: str(e.path))
    ]
    if not faults:
        faults = list(_cross_checks(config))
    if faults:
        raise StudyError("config: " + "\n        ".join(faults))


def _drop_annotations(config: dict) -> None:
    """Leave out genes, peaks and expression of the embedded study, in place, where genotypes are others."""
    section = config.get("genetics", {})
    if section.get("genotypes") == PHANTOM_GENOTYPES:
        return
    for name, key in (("genes", "table"), ("peaks", "folder"), ("expression", "table")):
        entry = section.get(name)
        if isinstance(entry, dict) and str(entry.get(key)).startswith(PHANTOM_ANNOTATIONS):
            entry[key] = None


def genes_alone(config: dict) -> bool:
    """Whether the study is one of genes alone: a table of traits and genotypes, no scans."""
    return not config["cohort"]["inputs"] and bool(config["genetics"]["phenotypes"])


def is_phantom(entry: dict) -> bool:
    """Whether an input of the config is the table that the embedded study makes."""
    return entry["kind"] == "participants" and entry["path"] == PHANTOM_TABLE


def uses_phantom(config: dict) -> bool:
    """Whether the embedded study is among the inputs."""
    return any(map(is_phantom, config["cohort"]["inputs"]))


def own_inputs(config: dict) -> list[dict]:
    """List the inputs that are the user's, not made by the study."""
    return [entry for entry in config["cohort"]["inputs"] if not is_phantom(entry)]


def later_stages(config: dict) -> bool:
    """Whether a stage after the patches is asked for: those need roles and labels."""
    later = {"features", "pretrain", "probe", "finetune", "brainage", "genetics", "figures"}
    return bool(later & set(config["stages"]))


def _cross_checks(config: dict) -> Iterator[str]:
    """Yield what a schema cannot say, one sentence a fault."""
    for name, limits in config["qc"]["checks"].items():
        low, high = limits.get("min"), limits.get("max")
        if low is not None and high is not None and low >= high:
            yield f"qc.checks.{name}: found min {low} and max {high}, expected the smaller number for min."
    yield from _check_inputs(config)
    yield from _check_features(config)
    yield from check_methods(config, participant_columns() | set(config["cohort"]["label_columns"]))
    for name in [name for name in config["interpret"]["tasks"] if name not in config["tasks"]]:
        yield f"interpret.tasks: '{name}' is not among tasks. Known: {', '.join(config['tasks'])}."
    if "finetune" in config["stages"]:
        yield from _check_finetune(config)
    if {"brainage", "genetics", "figures"} & set(config["stages"]):
        yield from _check_brainage(config)
    if uses_phantom(config):
        yield from _check_phantom(config["phantom"])


def _check_features(config: dict) -> Iterator[str]:
    """Yield why the list of features does not go with the backend or with a method, one sentence a fault."""
    name, backend = config["features"]["list"], config["preprocess"]["backend"]
    kinds = {"bids", "brains", "volumes"} | ({"participants"} if uses_phantom(config) else set())
    volumes = [entry["name"] for entry in config["cohort"]["inputs"] if entry["kind"] in kinds]
    if isinstance(name, str) and name not in GIVES[backend] and volumes:
        yield (
            f"features.list: found '{name}', which backend {backend} does not give: all scans of input {volumes[0]} "
            f"would be set aside. Choose one of {', '.join(GIVES[backend])}, or another preprocess.backend."
        )
    entries = config["pretrain"]["methods"]
    guided = [
        key
        for key in config["pretrain"]["use"]
        if key in entries and entries[key]["objective"] == "rnce" and entries[key]["auxiliary"] == "all"
    ]
    if name == "aseg" and guided and {"pretrain", "probe", "brainage", "genetics", "figures"} & set(config["stages"]):
        yield (
            f"features.list: found 'aseg', but pretrain.methods.{guided[0]} is guided by features of every location, "
            "and aseg has none of the cortex. Choose a list with cortical features, or pretrain.use: [rnce_aseg], "
            "which is guided where it can be and contrastive elsewhere."
        )


def _check_finetune(config: dict) -> Iterator[str]:
    """Yield what is wrong with the learning curves and no schema can say, one sentence a fault."""
    section, tasks = config["finetune"], config["tasks"]
    for task in section["tasks"]:
        if task not in tasks:
            yield f"finetune.tasks: '{task}' is not among tasks. Known: {', '.join(tasks)}."
        elif tasks[task]["kind"] == "continuous":
            yield f"finetune.tasks: '{task}' is continuous; learning curves need two classes. Name a binary task."
    methods, pretrain = config["pretrain"]["methods"], config["pretrain"]
    made = ["features", *pretrain["use"], *pretrain["ablations"], *config["representations"]]
    made += config["features"].get("subsets", {})
    for name, entry in section["models"].items():
        place, network = f"finetune.models.{name}", entry["kind"] == "network"
        wanted, strange = (("method", "start"), ("representation",))[:: 1 if network else -1]
        yield from (f"{place}: key '{key}' is missing for kind {entry['kind']}." for key in wanted if key not in entry)
        yield from (
            f"{place}: key '{key}' changes nothing for kind {entry['kind']}. Leave it out."
            for key in strange
            if key in entry
        )
        if not network and entry.get("representation", "features") not in made:
            known = ", ".join(dict.fromkeys(made))
            yield f"{place}.representation: '{entry['representation']}' is not made. Known: {known}."
        if network and entry.get("method", next(iter(methods))) not in methods:
            yield f"{place}.method: '{entry['method']}' is not defined. Known: {', '.join(methods)}."


def _check_brainage(config: dict) -> Iterator[str]:
    """Yield what is wrong with brain age and no schema can say, one sentence a fault."""
    section = config["brainage"]
    if section["fit_on"] == "test" and section["debias"] in ("beheshti", "delange"):
        yield (
            f"brainage.debias: {section['debias']} is defined by the line of the training people, but fit_on is test. "
            "Set fit_on: train, or debias: orthogonal."
        )
    path = section["neuropathology"]
    if path and path != NEUROPATHOLOGY_TABLE and not Path(path).is_file():
        yield f"brainage.neuropathology: '{path}' does not exist. Correct the path or set it to null."
    made = ["features", *config["features"]["subsets"], *config["pretrain"]["use"], *config["representations"]]
    for name, entry in section["cards"].items():
        if entry["representation"] not in made:
            known = ", ".join(made)
            yield f"brainage.cards.{name}.representation: '{entry['representation']}' is not made. Known: {known}."
        if not entry["card"].startswith("results/") and not Path(entry["card"]).is_file():
            yield f"brainage.cards.{name}.card: '{entry['card']}' does not exist. Correct the path."


def _check_inputs(config: dict) -> Iterator[str]:
    """Yield what is wrong with the inputs and can be seen without looking into them, one sentence a fault."""
    if not config["cohort"]["inputs"]:
        if set(config["stages"]) - {"radiology", "genetics" if genes_alone(config) else "radiology"}:
            yield (
                "cohort.inputs: there are none, and only studies of genes or of 2D images alone need none. Name "
                "inputs, or set stages: [radiology], or give genetics: phenotypes (a table of traits) and set "
                "stages: [genetics]."
            )
        return
    names = [entry["name"] for entry in config["cohort"]["inputs"]]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"cohort.inputs: the name '{name}' stands {names.count(name)} times. Give every input its own."
    for entry in own_inputs(config):
        yield from (f"cohort.inputs: {entry['name']}: {fault}" for fault in _check_input(entry))
    if later_stages(config) and not any(map(_has_ages, config["cohort"]["inputs"])):
        yield (
            "cohort.inputs: none of them says how old anyone is, which later stages need. "
            "Add `participants: people.tsv` to an input, or set stages to [cohort, preprocess, register, patches]."
        )
    if config["preprocess"].get("longitudinal") and uses_phantom(config):
        yield (
            "preprocess.longitudinal: found True, but the embedded study is made visit by visit. "
            f"Set it to false or drop {PHANTOM_TABLE} from cohort.inputs."
        )


def _check_input(entry: dict) -> Iterator[str]:
    """Yield the faults of one input that is the user's."""
    files = [entry[key] for key in ("participants", "path") if key in entry] + entry.get("tables", [])
    folder = None if entry["kind"] in ("participants", "tables") else entry["path"]
    for path in dict.fromkeys(files):
        if path == folder and not Path(path).is_dir():
            yield f"'{path}' is not a folder. Correct the path."
        elif path != folder and not Path(path).is_file():
            remedy = f"{entry['source']}." if "source" in entry else "Correct the path."
            yield f"'{path}' does not exist or is a folder; a table is expected. {remedy}"
    try:
        groups = set(re.compile(entry.get("ids", "(?P<participant>)")).groupindex)
    except re.error as error:
        yield f"ids: '{entry['ids']}' is not a regular expression ({error}). Correct it."
        return
    if "participant" not in groups or groups - {"participant", "session"}:
        found = ", ".join(sorted(groups)) or "none"
        yield (
            f"ids: '{entry['ids']}' has the groups: {found}; expected participant and perhaps session. "
            "Write for example (?P<participant>[0-9]+)_(?P<session>[0-9]+)."
        )


def _has_ages(entry: dict) -> bool:
    """Whether an input comes with a table that may hold ages."""
    own = entry["kind"] == "bids" and Path(entry["path"], "participants.tsv").exists()
    return entry["kind"] == "participants" or "participants" in entry or own


def _check_phantom(phantom: dict) -> Iterator[str]:
    """Yield what the embedded study cannot make, one sentence a fault."""
    for scan in phantom["real_scans"]:
        if not Path("results/phantom", scan["t1w"]).exists():
            yield (
                f"phantom.real_scans: {scan['participant_id']}: '{scan['t1w']}' does not exist. "
                "Colin27 comes with: apt-get install mricron-data. Or set phantom.real_scans to []."
            )
    for name in ("population", "clinical"):
        size = phantom[name]
        if size["second_visits"] > size["people"]:
            yield f"phantom.{name}.second_visits: found {size['second_visits']}, expected at most {size['people']}."
        if size["age_range"][0] >= size["age_range"][1]:
            yield f"phantom.{name}.age_range: found {size['age_range']}, expected the smaller number first."
    made = sum(phantom[name]["people"] + phantom[name]["second_visits"] for name in ("population", "clinical"))
    if phantom["heads"] > made:
        yield f"phantom.heads: found {phantom['heads']}, expected at most {made} (scans)."
    broken, people = sum(phantom["faults"].values()), phantom["population"]
    if broken > people["people"] - people["second_visits"]:
        yield f"phantom.faults: {broken} scans are more than there are people with one visit. Lower them."


def count_scans(config: dict) -> int:
    """Count the scans of the embedded study, 0 without it; its batches follow from that before any scan is made."""
    if not uses_phantom(config):
        return 0
    phantom = config["phantom"]
    made = sum(phantom[name]["people"] + phantom[name]["second_visits"] for name in ("population", "clinical"))
    return made + len(phantom["real_scans"])


def phantom_batches(config: dict) -> int:
    """Count the batches of the embedded study, which come before those of all other inputs."""
    return -(-count_scans(config) // config["cohort"]["scans_per_job"])


def phantom_cohorts(config: dict) -> set[str]:
    """Name the cohorts of the embedded study, whose table does not exist yet when the roles are checked."""
    if not uses_phantom(config):
        return set()
    return {"population", "clinical"} | {scan["cohort"] for scan in config["phantom"]["real_scans"]}
