"""What every backend gives, and how one is chosen by name."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module

import nibabel as nib
import numpy as np

from workflow_scripts.lib.study.errors import StudyError

# name in config -> module with a function run(image, kind, settings) -> Preprocessed
BACKENDS = {"embedded": "workflow_scripts.lib.imaging.backends.embedded"}


@dataclass
class Preprocessed:
    """A scan after preprocessing.

    Attributes
    ----------
    brain : numpy.ndarray
        float32, X x Y x Z, RAS; bias-corrected, zero outside the brain, white matter at 110.
    affine : numpy.ndarray
        4 x 4, voxel to the scan's own world in mm.
    volumes : dict of str to float
        Regional features by name, mm^3.
    icv : float
        Intracranial volume in mm^3 (of a stripped brain: its brain mask).
    numbers : dict of str to float
        For quality control.
    """

    brain: np.ndarray
    affine: np.ndarray
    volumes: dict[str, float]
    icv: float
    numbers: dict[str, float] = field(default_factory=dict)


def get_backend(name: str) -> Callable[[nib.Nifti1Image, str, dict], Preprocessed]:
    """Return the ``run`` function of a backend; :class:`StudyError` names the known ones."""
    if name not in BACKENDS:
        raise StudyError(f"preprocess: backend '{name}' is not known; choose one of {', '.join(BACKENDS)}")
    return import_module(BACKENDS[name]).run
