"""What every volume that reaches a model is, stated beside the volumes, the patches and the weights, and checked.

A model that gets volumes of another grid, orientation or intensity gives wrong numbers without any error: so what it
was made with is written down, and a mismatch is refused with the name of what differs.
"""

import dataclasses
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np

from workflow_scripts.lib.imaging import packaged
from workflow_scripts.lib.imaging.grid import Grid, resample
from workflow_scripts.lib.imaging.volumes import DAMAGE
from workflow_scripts.lib.study.errors import StudyError

# the grid is 2009c's; the brain on it is 2009a's, which lies in the same space
TEMPLATE = "MNI152NLin2009aSym brain on the MNI152NLin2009c grid"
INTENSITY = "white matter 110, zero outside the brain"
REGISTRATION = {7: "similarity, 7 parameters", 9: "scales along the template's axes, 9 parameters"}

WHITE, WHITE_TOLERANCE = 110.0, 0.25  # real brains come out at 107 to 110, simulated ones at 118
LARGEST_SHARE = 0.5  # of the grid; brains fill 0.23 to 0.3 of it
BORDER_CM2 = 10.0  # whole brains stay off the edge; on the 8 mm grid one voxel of rim may touch it

REMEDIES = {
    "template": "Register to the template that is expected",
    "spacing_mm": "Set grid: spacing_mm to {expected} and run register again",
    "shape": "Run register again with grid: spacing_mm as expected; do not crop or pad the volumes",
    "affine": "Run register again; do not move the volumes or change their headers",
    "orientation": "Store the volumes in RAS order, as register writes them",
    "intensity": "Run preprocess again with a backend of this package; do not scale the intensities",
    "registration": "Set grid: parameters as expected and run register again",
}


@dataclass(frozen=True)
class VolumeContract:
    """What a registered volume is.

    Attributes
    ----------
    template : str
        Brain and space that scans are registered to.
    spacing_mm : float
        Voxel size.
    shape : tuple of int
        Voxels along x, y, z.
    affine : tuple of tuple of float
        4 x 4, voxel indices to world mm.
    orientation : str
        Direction of the three axes, "RAS".
    intensity : str
        Rule of the intensities.
    registration : str
        Kind of transform.
    """

    template: str
    spacing_mm: float
    shape: tuple[int, int, int]
    affine: tuple[tuple[float, ...], ...]
    orientation: str
    intensity: str
    registration: str

    def to_json(self) -> dict:
        """Give the contract as lists, numbers and strings; :func:`from_json` reads it."""
        content = dataclasses.asdict(self)
        return content | {"shape": list(self.shape), "affine": [list(row) for row in self.affine]}


FIELDS = tuple(field.name for field in dataclasses.fields(VolumeContract))


def registered_contract(grid: dict) -> VolumeContract:
    """State what rule ``register_scans`` writes.

    Parameters
    ----------
    grid : dict
        Config section ``grid``: ``spacing_mm``, ``parameters``.
    """
    target = Grid(float(grid["spacing_mm"]))
    return VolumeContract(
        template=TEMPLATE,
        spacing_mm=target.spacing,
        shape=target.shape,
        affine=tuple(tuple(float(value) for value in row) for row in target.affine),
        orientation="RAS",
        intensity=INTENSITY,
        registration=REGISTRATION[grid["parameters"]],
    )


def from_json(content: dict, where: str) -> VolumeContract:
    """Read a contract; ``where`` names its file in messages.

    Raises
    ------
    StudyError
        If a key is missing or unknown, or a value is of another type or size.
    """
    if not isinstance(content, dict):
        raise StudyError(f"{where}: found {type(content).__name__}, expected an object with the keys {_say(FIELDS)}.")
    for fault, keys in (("unknown", set(content) - set(FIELDS)), ("missing", set(FIELDS) - set(content))):
        if keys:
            raise StudyError(
                f"{where}: {fault} {_say(sorted(keys))}; expected the keys {_say(FIELDS)}. "
                "The file is of another version or was edited: run the step that wrote it again."
            )
    try:
        affine = np.array(content["affine"], float).reshape(4, 4)
        shape = np.array(content["shape"], float).reshape(3)
        numbers = {"spacing_mm": float(content["spacing_mm"]), "shape": tuple(int(n) for n in shape)}
    except (TypeError, ValueError) as error:
        raise StudyError(
            f"{where}: spacing_mm, shape or affine are not numbers of the right count ({error}). "
            "Run the step that wrote the file again."
        ) from error
    words = {name: content[name] for name in FIELDS if name not in ("spacing_mm", "shape", "affine")}
    for name, word in words.items():
        if not isinstance(word, str):
            raise StudyError(f"{where}: {name}: found {word!r}, expected text. Run the step that wrote the file again.")
    return VolumeContract(**words, **numbers, affine=tuple(tuple(map(float, row)) for row in affine))


def _say(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_say(part) if not isinstance(part, (list, tuple)) else f"({_say(part)})" for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _refuse(where: str, field: str, found: object, expected: object) -> None:
    remedy = REMEDIES[field].format(expected=_say(expected))
    raise StudyError(f"{where}: {field}: found {_say(found)}, expected {_say(expected)}. {remedy}.")


def _differ(field: str, found: object, expected: object) -> bool:
    if field in ("affine", "spacing_mm"):
        return not np.allclose(found, expected, atol=1e-3)
    return found != expected


def check_same(found: VolumeContract, expected: VolumeContract, what: str) -> None:
    """Refuse two contracts that differ, e.g. of patches and of the weights they are given to.

    Parameters
    ----------
    found, expected : VolumeContract
    what : str
        What ``found`` belongs to, for the message: ``"patches results/patches/x"``.
    """
    for field in FIELDS:
        pair = getattr(found, field), getattr(expected, field)
        if _differ(field, *pair):
            _refuse(what, field, *pair)


def check_volume_file(contract: VolumeContract, path: str | Path) -> None:
    """Refuse a file whose volume is not what the contract says; see :func:`check_array`."""
    try:
        image = nib.load(path)
        data = np.asarray(image.dataobj)
    except DAMAGE as error:
        raise StudyError(f"{path}: cannot be read as an image ({error}). Run register again.") from error
    check_array(contract, data, image.affine, str(path))


def check_array(contract: VolumeContract, data: np.ndarray, affine: np.ndarray, where: str) -> None:
    """Refuse a volume that is not what the contract says.

    Parameters
    ----------
    contract : VolumeContract
    data : numpy.ndarray
        X x Y x Z.
    affine : numpy.ndarray
        4 x 4, voxel to world mm.
    where : str
        The volume's name in messages.

    Raises
    ------
    StudyError
        With the field, what was found, what is expected and how to mend it.
    """
    codes = nib.aff2axcodes(affine)
    found = {
        "orientation": "".join(code or "?" for code in codes),
        "spacing_mm": tuple(float(size) for size in nib.affines.voxel_sizes(affine).round(3)),
        "shape": tuple(data.shape),
        "affine": tuple(tuple(float(value) for value in row) for row in affine),
    }
    if found["orientation"] != contract.orientation:
        _refuse(where, "orientation", found["orientation"], contract.orientation)
    if not np.allclose(found["spacing_mm"], contract.spacing_mm, atol=1e-3):
        _refuse(where, "spacing_mm", found["spacing_mm"], contract.spacing_mm)
    for field in ("shape", "affine"):
        if _differ(field, found[field], getattr(contract, field)):
            _refuse(where, field, found[field], getattr(contract, field))
    fault = _intensity_fault(data, contract.spacing_mm)
    if fault:
        raise StudyError(f"{where}: intensity: {fault}, expected {contract.intensity}. {REMEDIES['intensity']}.")


@cache
def _white_matter(spacing: float) -> np.ndarray:
    """Tell where the template is white matter for sure: bool, of the grid's shape."""
    probability = resample(packaged.mni_map("wm"), Grid(spacing)) / 255
    return probability >= min(0.9, float(np.quantile(probability, 0.98)))


def _intensity_fault(data: np.ndarray, spacing: float) -> str | None:
    """Say how the intensities break the rule; None if they do not."""
    if not np.all(np.isfinite(data)):
        return "NaN or infinity"
    # volumes are stored as scaled integers: less than a thousandth of white matter is zero
    little = WHITE / 1000
    if data.min() < -little:
        return f"negative values down to {data.min():g}"
    inside = data > little
    if not inside.any():
        return "no brain, all is zero"
    if inside.mean() > LARGEST_SHARE:
        return f"a background that is not zero ({100 * inside.mean():.0f} % of the voxels are above zero)"
    level = float(np.median(data[_white_matter(spacing)]))
    if abs(level - WHITE) > WHITE_TOLERANCE * WHITE:
        return f"white matter at {level:.3g}"
    faces = [np.take(inside, place, axis).sum() for axis in range(3) for place in (0, -1)]
    cut = max(faces) * spacing**2 / 100
    return f"a brain cut off by the edge of the grid ({cut:.0f} cm2 of it)" if cut > BORDER_CM2 else None
