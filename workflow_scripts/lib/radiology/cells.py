"""The cells of a grid: every combination of settings, named, and cut into jobs. Standard library only (parse time)."""

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping

from workflow_scripts.lib.study.errors import StudyError

DEFAULTS = {
    "dataset": None,
    "weights": None,
    "backbone": None,
    "head": "Linear",
    "structure": "freezeall",
    "batch_norm": "frozen",
    "grouping": "groups",
    "filters": 16,
    "kernel": 2,
    "ratio": 0.5,
    "dropout": 0.5,
    "faithful": False,
    "optimizer": "adam",
    "learning_rate": 1e-4,
    "weight_decay": 1e-5,
    "momentum": 0.9,
    "nesterov": True,
    "lr_decay": "cosine",
    "beta": 0.5,
    "epochs": 5,
    "batch": 64,
    "balance": "none",
    "augment": True,
    "preprocessing": None,
    "precision": "float32",
}
"""Every key of a cell, in the order of the tables' columns, and what it is where the config is silent."""

KEYS = tuple(DEFAULTS)
NEEDED = ("dataset", "weights", "backbone")
# cells that share these lie in one job: backbone, frozen features and images are loaded once
TOGETHER = ("dataset", "weights", "backbone", "preprocessing", "batch_norm", "structure", "augment", "epochs")
WIDE = ("Conv", "ConvSkip", "MLP")  # an MLP is as large as the convolution with these settings
ALLOWED = {
    "head": ("Linear", "NonLinear", "Conv", "ConvSkip", "MLP"),
    "batch_norm": ("frozen", "adapted"),
    "grouping": ("groups", "images"),
    "optimizer": ("adam", "adamw", "radam", "sgd"),
    "lr_decay": ("beta", "cosine", "none"),
    "balance": ("none", "loss", "sampler"),
    "preprocessing": (None, "caffe_seed", "imagenet_rgb", "radimagenet_pm1"),
    "precision": ("float32", "bfloat16"),
}
SWITCHES = ("faithful", "augment", "nesterov")
STRUCTURE = re.compile(r"freezeall|unfreezeall|unfreezetop[1-9]\d*")
# key -> (whether only whole numbers are legal, what is legal, in words)
NUMBERS = {
    "filters": (True, lambda value: value >= 1, "a whole number from 1"),
    "kernel": (True, lambda value: value >= 1, "a whole number from 1"),
    "epochs": (True, lambda value: value >= 1, "a whole number from 1"),
    "batch": (True, lambda value: value >= 2, "a whole number from 2"),
    "ratio": (False, lambda value: value > 0, "a number above 0"),
    "dropout": (False, lambda value: 0 <= value < 1, "a number from 0 to below 1"),
    "learning_rate": (False, lambda value: value > 0, "a number above 0"),
    "weight_decay": (False, lambda value: value >= 0, "a number from 0"),
    "momentum": (False, lambda value: 0 <= value < 1, "a number from 0 to below 1"),
    "beta": (False, lambda value: 0 < value <= 1, "a number above 0, at most 1"),
}
# may be null where another setting makes them meaningless
CONDITIONAL = ("filters", "kernel", "ratio", "dropout", "momentum", "nesterov", "beta")
READABLE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def expand(section: Mapping, grid: str) -> list[dict]:
    """List all cells of a grid.

    Parameters
    ----------
    section : mapping
        Config section ``radiology``: ``fit`` (defaults of a cell's keys) and ``grids``. A grid has ``factors`` (key ->
        values; all combinations are cells), ``settings`` (key -> value for all) and, if wanted, ``variants`` (a list
        of settings that go together; each is combined with all factors).
    grid : str

    Returns
    -------
    list of dict
        Each with all of :data:`KEYS` and ``cell``, an id made of the values of varying variant keys and of factors, in
        the order of the config, such as ``lesions.textures.small.ConvSkip.cosine.0.5.16``. Keys that do not matter to
        a cell are None (and leave the id), so that combinations that differ in nothing else are one cell.

    Raises
    ------
    StudyError
        If a key is unknown, a value has another type or range, a cell has no dataset, weights or backbone, its weights
        are trained on its own dataset, or two cells come to the same id.
    """
    rule = _grid(section, grid)
    factors, variants = rule.get("factors") or {}, rule.get("variants") or [{}]
    shared = {**DEFAULTS, **(section.get("fit") or {}), **(rule.get("settings") or {})}
    for given in (factors, shared, *variants):
        _check_keys(given, grid)
    varying = [key for key in dict.fromkeys(itertools.chain(*variants)) if _varies(variants, key)]
    named = [*varying, *(key for key in factors if key not in varying)] or [*NEEDED, "head"]
    found: dict[tuple, dict] = {}
    for variant in variants:
        for values in itertools.product(*(_values(factors, key, grid) for key in factors)):
            asked = {**shared, **variant, **dict(zip(factors, values, strict=True))}
            for key in KEYS:
                _check_value(key, asked[key], f"radiology.grids.{grid}")
            cell = _plain(asked)
            _check(cell, section, grid)
            found.setdefault(tuple(cell[key] for key in KEYS), cell)
    return _name(list(found.values()), named, grid)


def order(section: Mapping, grid: str) -> list[dict]:
    """List the cells of a grid so that those that share a dataset, a backbone and frozen layers follow each other."""
    return sorted(expand(section, grid), key=lambda cell: (*(str(cell[key]) for key in TOGETHER), cell["cell"]))


def chunks(section: Mapping, grid: str) -> list[str]:
    """Name the jobs of a grid: '00', '01', ...; each has ``cells_per_job`` cells (a grid may say its own number)."""
    count = -(-len(expand(section, grid)) // _per_job(section, grid))
    width = max(2, len(str(count - 1)))
    return [f"{number:0{width}d}" for number in range(count)]


def chunk_cells(section: Mapping, grid: str, chunk: str) -> list[dict]:
    """List the cells of a job, see :func:`chunks`; :class:`StudyError` if there is no such job."""
    names = chunks(section, grid)
    if chunk not in names:
        raise StudyError(f"radiology.grids.{grid}: there is no job '{chunk}'; there are {names[0]} to {names[-1]}")
    per_job = _per_job(section, grid)
    return order(section, grid)[names.index(chunk) * per_job :][:per_job]


def needs(cells: Iterable[Mapping]) -> dict[str, list]:
    """Tell what cells read.

    Returns
    -------
    dict
        ``datasets``: names; ``backbones``: pairs (weights, backbone). Both sorted.
    """
    cells = list(cells)
    return {
        "datasets": sorted({cell["dataset"] for cell in cells}),
        "backbones": sorted({(cell["weights"], cell["backbone"]) for cell in cells}),
    }


def _grid(section: Mapping, grid: str) -> Mapping:
    grids = section.get("grids") or {}
    if grid not in grids:
        raise StudyError(f"radiology.grids has no grid '{grid}'; it has {', '.join(grids) or 'none'}")
    return grids[grid]


def _per_job(section: Mapping, grid: str) -> int:
    count = _grid(section, grid).get("cells_per_job") or section.get("cells_per_job") or 16
    if count < 1:
        raise StudyError(f"radiology.cells_per_job is {count}, expected 1 or more")
    return count


def _check_keys(given: Mapping, grid: str) -> None:
    if unknown := [key for key in given if key not in DEFAULTS]:
        raise StudyError(f"radiology.grids.{grid}: '{unknown[0]}' is no setting of a cell; there are {', '.join(KEYS)}")


def _values(factors: Mapping, key: str, grid: str) -> list:
    values = factors[key]
    if not isinstance(values, list | tuple) or not values or len({repr(value) for value in values}) < len(values):
        raise StudyError(
            f"radiology.grids.{grid}.factors.{key} is {values!r}, expected a list of one or more different values"
        )
    return list(values)


def _varies(variants: Iterable[Mapping], key: str) -> bool:
    return len({repr(variant.get(key)) for variant in variants}) > 1


def _plain(cell: dict) -> dict:
    """Set what does not matter to a cell to None, so that equal cells are equal."""
    head, said = cell["head"], dict(cell)
    if head not in WIDE:
        said.update(filters=None, kernel=None, faithful=False)
    if head == "Linear":
        said.update(ratio=None, dropout=None)
    if said["optimizer"] != "sgd":
        said.update(momentum=None, nesterov=None)
    elif not said["momentum"]:
        said.update(momentum=0.0, nesterov=None)  # nothing that Nesterov could look ahead along
    if said["lr_decay"] != "beta":
        said.update(beta=None)
    return {key: said[key] for key in KEYS}


def _check(cell: Mapping, section: Mapping, grid: str) -> None:
    where = f"radiology.grids.{grid}"
    for key in NEEDED:
        if cell[key] is None:
            raise StudyError(f"{where}: its cells have no {key}; name it in settings or factors")
    needed = {"filters": WIDE, "kernel": WIDE, "ratio": ALLOWED["head"][1:], "dropout": ALLOWED["head"][1:]}
    lacking = [key for key, heads in needed.items() if cell["head"] in heads and cell[key] is None]
    lacking += ["beta"] if cell["lr_decay"] == "beta" and cell["beta"] is None else []
    if lacking:
        key, why = lacking[0], cell["lr_decay"] if lacking[0] == "beta" else cell["head"]
        raise StudyError(f"{where}: {key} is null, but {why} needs {NUMBERS[key][2]}")
    for key, known in (("dataset", "datasets"), ("weights", "weights")):
        names = section.get(known)
        if names is not None and cell[key] not in names:
            raise StudyError(
                f"{where}: {key} '{cell[key]}' is not in radiology.{known}, which has {', '.join(names) or 'none'}"
            )
    rule = (section.get("weights") or {}).get(cell["weights"]) or {}
    if rule.get("kind") == "trained" and rule.get("dataset") == cell["dataset"]:
        raise StudyError(
            f"{where}: weights '{cell['weights']}' are trained on dataset '{cell['dataset']}', which they would then "
            "be tested on. Leave the pair out (variants name pairs), or take other weights."
        )
    if rule.get("kind") == "files" and cell["backbone"] not in (rule.get("files") or {}):
        raise StudyError(
            f"{where}: radiology.weights.{cell['weights']} has no file for {cell['backbone']}, only for "
            f"{', '.join(rule.get('files') or {}) or 'none'}. Add the file or leave the backbone out."
        )


def _check_value(key: str, value: object, where: str) -> None:
    """Refuse a value of another type or range; None passes where it can mean that nothing was said."""
    if value is None and (key in NEEDED or key in CONDITIONAL):
        return
    if key in ALLOWED:
        legal = ", ".join(str(one) for one in ALLOWED[key] if one is not None)
        right, expected = any(value is one or value == one for one in ALLOWED[key]), f"one of {legal}"
    elif key in SWITCHES:
        right, expected = isinstance(value, bool), "true or false, without quotes"
    elif key in NUMBERS:
        whole, within, expected = NUMBERS[key]
        number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        right = number and math.isfinite(value) and within(value)
    elif key == "structure":
        right = isinstance(value, str) and STRUCTURE.fullmatch(value)
        expected = "freezeall, unfreezeall or unfreezetopN with a number N"
    else:
        right, expected = isinstance(value, str) and value, "a name"
    if not right:
        raise StudyError(f"{where}: {key} is {value!r}, expected {expected}{_remedy(key, value)}")


def _remedy(key: str, value: object) -> str:
    """Say how a number is written that YAML reads as text: it takes 1e-4 for text, and 1.0e-4 for a number."""
    if key not in NUMBERS or not isinstance(value, str):
        return ""
    try:
        float(value)
    except ValueError:
        return ""
    if NUMBERS[key][0] or "e" not in value.lower():
        return f"; this is text, write {value.strip()} without quotes"
    base, power = value.strip().lower().split("e")
    sign = "" if power[:1] in "+-" else "+"
    return f"; YAML reads this as text, write {base if '.' in base else base + '.0'}e{sign}{power}"


def _name(cells: list[dict], named: list[str], grid: str) -> list[dict]:
    """Give each cell its id: the values of what varies, None left out."""
    ids = [".".join(_text(cell[key]) for key in named if cell[key] is not None) for cell in cells]
    if twice := [name for name, count in Counter(ids).items() if count > 1]:
        raise StudyError(
            f"radiology.grids.{grid}: two cells have the id '{twice[0]}'. Names of datasets, weights and backbones "
            "must differ in letters, digits, '_' or '-'; rename one."
        )
    return [{"cell": name, **cell} for name, cell in zip(ids, cells, strict=True)]


def _text(value: object) -> str:
    """Write a value with characters that a file name can hold."""
    text = str(value).lower() if value is None or isinstance(value, bool) else str(value)
    return "".join(letter if letter in READABLE else "-" for letter in text)
