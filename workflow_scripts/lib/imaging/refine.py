"""Bring a linear registration to the optimum of its metric: 7 or 9 parameters, SimpleITK, no sampling.

ANTs finds the basin; its sampled metric leaves a few tenths of a millimetre that change with grid and sampling. Mattes
mutual information (Mattes et al. 2003, IEEE TMI 22:120) over all voxels has no such noise. With 9 parameters the brain
is scaled along the template's axes and then rotated: ITK's ComposeScaleSkewVersor3DTransform with its skews held at 0.
"""

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from workflow_scripts.lib.imaging.ants_tools import LPS

BINS = 32  # as ANTs has by default
ITERATIONS = 200  # real brains need 14 to 30
FIRST_STEP_MM, LAST_STEP_MM = 1.0, 1e-3


def to_sitk(data: np.ndarray, affine: np.ndarray) -> sitk.Image:
    """Wrap an array (X x Y x Z) and its RAS affine as a SimpleITK image."""
    lps = LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.T, dtype=np.float32))
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    return image


def _start(parameters: int, matrix: np.ndarray, centre: np.ndarray) -> sitk.Transform:
    """Put a similarity (4 x 4, LPS) into the transform to be optimised."""
    scale = np.cbrt(np.linalg.det(matrix[:3, :3]))
    versor = Rotation.from_matrix(matrix[:3, :3] / scale).as_quat(canonical=True)[:3]
    shift = matrix[:3, :3] @ centre + matrix[:3, 3] - centre
    if parameters == 7:
        transform, values = sitk.Similarity3DTransform(), [*versor, *shift, scale]
    else:
        transform, values = sitk.ComposeScaleSkewVersor3DTransform(), [*versor, *shift, scale, scale, scale, 0, 0, 0]
    transform.SetCenter(centre.tolist())
    transform.SetParameters([float(value) for value in values])
    return transform


def refine(
    fixed: tuple[np.ndarray, np.ndarray], moving: tuple[np.ndarray, np.ndarray], start: np.ndarray, parameters: int
) -> np.ndarray:
    """Optimise a similarity further.

    Parameters
    ----------
    fixed : tuple of numpy.ndarray
        Template (float32) and affine; all its voxels count.
    moving : tuple of numpy.ndarray
        Brain (float32) and affine; finer voxels than the template's keep the metric smooth between them.
    start : numpy.ndarray
        4 x 4 similarity, template world to scan world, mm.
    parameters : {7, 9}
        Rotation, shift and one scale, or one scale along each axis of the template.

    Returns
    -------
    numpy.ndarray
        4 x 4, template world to scan world, mm; the same to the bit for the same input.
    """
    template, affine = fixed
    centre = LPS[:3, :3] @ nib.affines.apply_affine(affine, (np.array(template.shape) - 1) / 2)
    transform = _start(parameters, LPS @ start @ LPS, centre)
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # sums of several threads differ in their last bits
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        FIRST_STEP_MM, LAST_STEP_MM, ITERATIONS, gradientMagnitudeTolerance=1e-8
    )
    # parameters in units of the shift that they cause, so that one step suits angles, scales and millimetres
    method.SetOptimizerScalesFromPhysicalShift()
    if parameters == 9:
        method.SetOptimizerWeights([1.0] * 9 + [0.0] * 3)
    # SimpleITK 2.5 cannot hand a ComposeScaleSkewVersor3DTransform back, but one inside a composite it can
    composite = sitk.CompositeTransform([transform])
    method.SetInitialTransform(composite, inPlace=True)
    method.Execute(to_sitk(*fixed), to_sitk(*moving))
    transform.SetParameters(composite.GetParameters())
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(transform.GetMatrix()).reshape(3, 3)
    matrix[:3, 3] = np.array(transform.GetTranslation()) + centre - matrix[:3, :3] @ centre
    return LPS @ matrix @ LPS
