"""ANTs made deterministic, and volumes to and from it.

ANTs is bit-identical between runs only with one thread and its own seed, both read from the environment
when its library is loaded; ``random_seed=`` of ``ants.registration`` is ignored by antspyx.
"""

import os
import tempfile
from pathlib import Path

os.environ["ANTS_RANDOM_SEED"] = "20"
os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"

import ants
import numpy as np

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # ITK's world has x to the left and y to the back


def to_ants(data: np.ndarray, affine: np.ndarray) -> ants.ANTsImage:
    """Wrap an array (X x Y x Z) and its RAS affine as a float32 ANTs image."""
    lps = LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    return ants.from_numpy(
        np.ascontiguousarray(data, dtype=np.float32),
        origin=lps[:3, 3].tolist(),
        spacing=spacing.tolist(),
        direction=lps[:3, :3] / spacing,
    )


def matrix_of(transform_file: str) -> np.ndarray:
    """Read a linear ITK transform as a 4 x 4 matrix in RAS world mm.

    ITK's registration transforms map points of the fixed image to the moving one.
    """
    transform = ants.read_transform(transform_file)
    parameters = np.asarray(transform.parameters)
    centre = np.asarray(transform.fixed_parameters)
    linear = parameters[:9].reshape(3, 3)
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = parameters[9:12] + centre - linear @ centre
    return LPS @ matrix @ LPS


class Workspace:
    """A temporary folder for the transform files that ANTs writes; gone at the end of the block."""

    def __enter__(self) -> str:
        """Return a prefix for output files."""
        self._folder = tempfile.TemporaryDirectory(prefix="ants-")
        return str(Path(self._folder.name) / "t_")

    def __exit__(self, *error: object) -> None:
        """Remove the folder."""
        self._folder.cleanup()
