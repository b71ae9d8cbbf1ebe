"""What every backend gives, how one is chosen by name, and what all of them do to a brain at the end."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module

import nibabel as nib
import numpy as np

from workflow_scripts.lib.imaging.volumes import crop_to
from workflow_scripts.lib.study.errors import StudyError

WHITE_LEVEL = 110.0  # FreeSurfer's convention for white matter
BRAIN_MM3 = (0.5e6, 2.5e6)  # no living adult's brain is outside


@dataclass(frozen=True)
class Backend:
    """A way from a T1w volume to a brain and its features.

    Attributes
    ----------
    needs : str
        What must be there beside the project's own packages.
    module : str or None
        Module with ``run(image, kind, settings)``; None for tools that rules of their own run, and whose subject
        folders :mod:`existing` reads.
    """

    needs: str
    module: str | None = None


# name in config -> backend
BACKENDS = {
    "embedded": Backend("nothing more", "workflow_scripts.lib.imaging.backends.embedded"),
    "meshnet": Backend(
        "the weights and labels that preprocess.meshnet names", "workflow_scripts.lib.imaging.backends.meshnet"
    ),
    "freesurfer": Backend("FreeSurfer and its licence, installed or in a container (preprocess.tool)"),
    "fastsurfer": Backend("FastSurfer, installed or in a container (preprocess.tool); a licence for its surfaces"),
}


@dataclass
class Preprocessed:
    """A scan after preprocessing.

    Attributes
    ----------
    brain : numpy.ndarray or None
        float32, X x Y x Z, RAS; bias-corrected, zero outside the brain, white matter at 110. None where only features
        exist.
    affine : numpy.ndarray or None
        4 x 4, voxel to the scan's own world in mm.
    features : dict of str to float
        Regional features by name, mm^3 or mm.
    icv : float or None
        Intracranial volume in mm^3 (of a stripped brain: its brain mask).
    numbers : dict of str to float
        For quality control.
    tool : str
        What made it: "embedded", "MeshNet", "FreeSurfer", "FastSurfer".
    version : str
        Of the tool, or of its weights.
    """

    brain: np.ndarray | None
    affine: np.ndarray | None
    features: dict[str, float]
    icv: float | None
    numbers: dict[str, float] = field(default_factory=dict)
    tool: str = "unknown"
    version: str = "unknown"


def get_backend(name: str) -> Callable[[nib.Nifti1Image, str, dict], Preprocessed]:
    """Return the ``run`` function of a backend; :class:`StudyError` names the known ones."""
    if name not in BACKENDS:
        raise StudyError(f"preprocess: backend '{name}' is not known; choose one of {', '.join(BACKENDS)}")
    if BACKENDS[name].module is None:
        raise StudyError(
            f"preprocess: backend '{name}' is a tool of its own that needs {BACKENDS[name].needs}. It runs before this "
            "step, which then reads the subject folders."
        )
    return import_module(BACKENDS[name].module).run


def check_brain_size(mm3: float) -> None:
    """Refuse a brain mask that is too small or too large for a brain."""
    low, high = BRAIN_MM3
    if not low < mm3 < high:
        raise StudyError(f"brain mask of {mm3 / 1e3:.0f} ml is not a brain's ({low / 1e3:.0f} to {high / 1e3:.0f} ml)")


def finish_brain(
    data: np.ndarray, affine: np.ndarray, mask: np.ndarray, white_level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a brain to its mask and bring its white matter to 110.

    Parameters
    ----------
    data : numpy.ndarray
        X x Y x Z, RAS, bias-corrected.
    affine : numpy.ndarray
        4 x 4.
    mask : numpy.ndarray
        bool, the brain.
    white_level : float
        Intensity of white matter in ``data``.

    Returns
    -------
    brain : float32; affine : 4 x 4 in the same world.
    """
    brain, affine = crop_to(np.where(mask, data, 0), affine, mask, pad=2)
    # a bias correction may leave a few voxels of fluid below zero
    return np.maximum(brain / white_level * WHITE_LEVEL, 0).astype(np.float32), affine
