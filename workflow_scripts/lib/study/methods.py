"""What the config says of pretraining methods and of the user's own encoders, taken apart and checked.

Used while the Snakefile is parsed: only the standard library.
"""

from collections.abc import Iterator
from pathlib import Path

# objective -> what it reads: patches (or, with `input: volume`, the whole volume named here), or a volume only
VOLUMES = {"genesis": "cube", "lssl": "cube", "multitask": "whole"}
DEFAULT_VOLUME = "cube"
# augmentation of methods whose publications have one of their own: LSSL turns both scans of a pair alike, the SFCN is
# trained on mirrored and shifted volumes, and what Models Genesis does to its input is its method
OWN_AUGMENTATION = {
    "genesis": {},
    "lssl": {"probability": 1.0, "rotation": 2.0, "flip": 0.5},
    "multitask": {"flip": 0.5},
}
# what may be done to standardised volumes, whose background is not 0
GEOMETRY = ("probability", "rotation", "scaling", "flip")
LEVELS = ("patch", "image", "volume")
# lists of regional features without thickness
VOLUME_LISTS = ("volumes", "aseg", "dkt_volumes", "meshnet")
# sources of an encoder of the user's; the rest of its entry says how volumes reach it
SOURCES = ("weights", "sfcn", "torchscript", "exported", "entry_point")


def method_volume(entry: dict) -> str | None:
    """Name the whole volume that a method reads (``cube`` or ``whole``), None if it reads the patches."""
    whole = entry["objective"] in VOLUMES or entry.get("input") == "volume"
    return VOLUMES.get(entry["objective"], DEFAULT_VOLUME) if whole else None


def method_settings(section: dict, name: str, level: str) -> dict:
    """Give what a training at one level depends on.

    Parameters
    ----------
    section : dict
        Config section ``pretrain``.
    name : str
        Of the method. Its own keys ``patch``, ``image``, ``volume`` and ``augmentation`` stand above the
        section's.
    level : {'patch', 'image', 'volume'}

    Returns
    -------
    dict
        ``method``, the shared keys, the schedule under the level's name and, except at image level,
        ``augmentation``.
    """
    entry = section["methods"][name]
    own = ("augmentation", *LEVELS)
    shared = ("temperature", "representation", "precision", "resident_gb")
    settings = {
        "method": {key: value for key, value in entry.items() if key not in own},
        **{key: section[key] for key in shared},
        level: section[level] | entry.get(level, {}),
    }
    if level != "image":
        usual = OWN_AUGMENTATION.get(entry["objective"], section["augmentation"])
        settings["augmentation"] = usual | entry.get("augmentation", {})
    return settings


def is_table(entry: object) -> bool:
    """Whether a representation of the user's is a ready table rather than an encoder."""
    return isinstance(entry, str)


def check_methods(config: dict, columns: set[str]) -> Iterator[str]:
    """Yield what is wrong with methods and own encoders and no schema can say, one sentence a fault.

    Parameters
    ----------
    config : dict
        With defaults filled in.
    columns : set of str
        Of the participants table, label columns included.
    """
    section = config["pretrain"]
    for key, others in (("use", set()), ("ablations", {"features", *config["representations"]})):
        for name in [name for name in section[key] if name not in others | set(section["methods"])]:
            known = ", ".join([*section["methods"], *sorted(others)])
            yield f"pretrain.{key}: '{name}' is not defined. Known: {known}."
    for name, entry in section["methods"].items():
        if name in {*section["use"], *section["ablations"]}:
            yield from (f"pretrain.methods.{name}: {fault}" for fault in _check_method(config, entry, columns))
    for name, entry in config["representations"].items():
        yield from (f"representations.{name}: {fault}" for fault in _check_own(entry))
        if name == "features" or name in section["methods"]:
            yield f"representations.{name}: the name is taken. Choose another."
    for name in config["features"]["subsets"]:
        if name == "features" or name in {*section["methods"], *config["representations"]}:
            yield f"features.subsets.{name}: the name is taken. Choose another."


def _check_method(config: dict, entry: dict, columns: set[str]) -> Iterator[str]:
    objective = entry["objective"]
    if objective in VOLUMES and entry.get("input") == "patches":
        yield f"input: found 'patches', but {objective} reads whole volumes. Leave the key out."
    if objective == "multitask" and not entry.get("targets"):
        yield "key 'targets' is missing or empty. Name what is to be learned, e.g. {age: {kind: continuous}}."
    for target, rule in entry.get("targets", {}).items():
        yield from (f"targets.{target}: {fault}" for fault in _check_target(target, rule, columns))
    for level in LEVELS:
        if level in entry and (level == "volume") != bool(method_volume(entry)):
            reads = "whole volumes" if method_volume(entry) else "patches"
            yield f"{level}: this method reads {reads}, so the key changes nothing. Leave it out."
    strange = sorted(set(entry.get("augmentation", {})) - set(GEOMETRY))
    if objective == "lssl" and strange:
        yield (
            f"augmentation: found '{strange[0]}', but both scans of a pair are standardised and must stay comparable. "
            f"Choose from {', '.join(GEOMETRY)}."
        )
    if objective == "rnce" and entry["auxiliary"] == "thickness" and config["features"]["list"] in VOLUME_LISTS:
        yield (
            f"auxiliary: found 'thickness', but features.list is '{config['features']['list']}', which has none. "
            "Choose features.list: published or thickness, or another auxiliary."
        )


def _check_target(name: str, rule: dict, columns: set[str]) -> Iterator[str]:
    column = rule.get("column") or name
    if column not in columns:
        yield (
            f"column: '{column}' is no column of the participants table. Correct it, or add it to cohort.label_columns "
            "if your table has it."
        )
    if rule["kind"] == "binary" and rule.get("positive") is None:
        yield "key 'positive' is missing: the value that counts as 1."
    if rule["kind"] == "bins" and not rule["low"] < rule["high"]:
        yield f"low and high: found {rule['low']} and {rule['high']}, expected the smaller number for low."


def _check_own(entry: object) -> Iterator[str]:
    if is_table(entry):
        if not Path(entry).exists():
            yield f"'{entry}' does not exist. Correct the path or drop the entry."
        return
    given = [key for key in SOURCES if entry.get(key)]
    if len(given) != 1:
        yield f"found {len(given)} of {', '.join(SOURCES)}, expected exactly one."
    for key in given:
        if key != "entry_point" and not Path(entry[key]).exists():
            yield f"{key}: '{entry[key]}' does not exist. Correct the path or drop the entry."
