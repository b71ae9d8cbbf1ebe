"""The embedded backend: deepbet, N4, Atropos and a deformed atlas, in seconds a scan and without FreeSurfer.

Brain extraction by deepbet (Fisch et al. 2024, Bioinformatics), bias correction by N4 (Tustison et al. 2010, IEEE
TMI 29:1310), three tissue classes by Atropos (Avants et al. 2011, Neuroinformatics 9:381), regions by the
Desikan-Killiany + aseg atlas carried over with SyN (Avants et al. 2008, MedIA 12:26). It gives volumes, not thickness.
"""

import functools
from importlib.metadata import version

import nibabel as nib
import numpy as np
import torch
from scipy import ndimage

from workflow_scripts.lib.imaging import packaged
from workflow_scripts.lib.imaging.ants_tools import Workspace, ants, to_ants
from workflow_scripts.lib.imaging.atlas import feature_structures, spread_labels, template
from workflow_scripts.lib.imaging.backends.base import WHITE_LEVEL, Preprocessed, check_brain_size
from workflow_scripts.lib.imaging.grid import Grid, resample
from workflow_scripts.lib.imaging.volumes import conform, crop_to, foreground
from workflow_scripts.lib.study.errors import StudyError

LABEL_SPACING_MM = 2.0  # finer than any coarse scan, so that small structures survive the nearest neighbour


@functools.cache
def _brain_extractor() -> object:
    from deepbet.bet import BrainExtraction  # costs a torch model: only studies with heads pay for it

    return BrainExtraction(no_gpu=not torch.cuda.is_available())


def extract_brain(data: np.ndarray) -> np.ndarray:
    """Find the brain in a head with deepbet.

    Parameters
    ----------
    data : numpy.ndarray
        float32, X x Y x Z, RAS.

    Returns
    -------
    numpy.ndarray
        bool mask. :class:`StudyError` if no brain is found.
    """
    extractor = _brain_extractor()
    try:
        mask = extractor.postprocess(extractor.run_model(data.copy()) > 0.5)
    except (AssertionError, RuntimeError) as error:
        raise StudyError(f"brain extraction found no brain ({error})") from error
    return np.asarray(mask, bool)


def find_brain(data: np.ndarray, kind: str, voxel_mm3: float) -> tuple[np.ndarray, str]:
    """Find the brain in a scan, and say whether the scan is a head or a stripped brain.

    Parameters
    ----------
    data : numpy.ndarray
        float32, X x Y x Z, RAS.
    kind : {"head", "brain", "auto"}
        auto judges by the volume that is not background.
    voxel_mm3 : float

    Returns
    -------
    mask : bool, holes filled; kind : "head" or "brain".
    """
    inside = foreground(data)
    if kind == "auto":
        # the largest brains are below 2 litres, a head with scalp is above 2.5
        kind = "brain" if inside.sum() * voxel_mm3 < 2.2e6 else "head"
    mask = inside if kind == "brain" else extract_brain(data)
    return ndimage.binary_fill_holes(mask), kind


@functools.cache
def _atlas_images(spacing: float) -> tuple[ants.ANTsImage, ants.ANTsImage]:
    """Give the template's tissue image on a grid, cut to the brain, and the spread labels at 2 mm."""
    grid = Grid(spacing)
    _, mask, _ = template(spacing)
    grey, white = (resample(packaged.mni_map(name), grid) / 255 * mask for name in ("gm", "wm"))
    tissue = mask + grey + 2 * white  # CSF 1, grey 2, white 3: the same in every scanner
    tissue, affine = crop_to(tissue, grid.affine, mask, pad=2)
    fine = Grid(LABEL_SPACING_MM)
    image, _ = packaged.atlas()
    _, fine_mask, _ = template(LABEL_SPACING_MM)
    labels = spread_labels(resample(image, fine, order=0).astype(np.int32), fine_mask)
    return to_ants(tissue, affine), to_ants(labels, fine.affine)


def correct_bias(
    data: np.ndarray, affine: np.ndarray, mask: np.ndarray, iterations: tuple[int, ...] = (50, 50, 50)
) -> np.ndarray:
    """Correct the coil's bias field with N4 inside a mask; float32, zero outside.

    A strong field (surface coils) needs three levels of 50 iterations; a weak one is done after two of 15.
    """
    corrected = ants.n4_bias_field_correction(
        to_ants(data, affine),
        mask=to_ants(mask, affine),
        shrink_factor=max(1, round(9 / float(nib.affines.voxel_sizes(affine).mean()))),
        convergence={"iters": list(iterations), "tol": 1e-4},
        spline_param=120,
    )
    return corrected.numpy() * mask


def classify_tissue(data: np.ndarray, affine: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Classify brain voxels with Atropos.

    Returns
    -------
    numpy.ndarray
        float32, 3 x X x Y x Z: probabilities of CSF, grey and white matter (by rising mean intensity).
    """
    result = ants.atropos(a=to_ants(data, affine), x=to_ants(mask, affine), i="kmeans[3]", m="[0.0,1x1x1]", c="[3,0]")
    parts = np.stack([part.numpy() for part in result["probabilityimages"]])
    means = [float((part * data).sum() / max(part.sum(), 1e-6)) for part in parts]
    return parts[np.argsort(means)]


def carry_labels(tissue: np.ndarray, affine: np.ndarray, spacing: float, iterations: tuple[int, ...]) -> np.ndarray:
    """Carry the atlas to a scan with an affine and SyN between tissue images, which no scanner's contrast changes.

    Returns
    -------
    numpy.ndarray
        int32 atlas codes on the scan's grid.
    """
    fixed, labels = _atlas_images(spacing)
    moving = to_ants(tissue[0] + 2 * tissue[1] + 3 * tissue[2], affine)
    with Workspace() as prefix:
        # no iterations on the finest level: SyN takes over there
        schedule = (2100, 1200, 1200, 0)
        linear = ants.registration(fixed, moving, "Affine", aff_iterations=schedule, outprefix=prefix + "affine")
        warp = ants.registration(
            fixed,
            moving,
            "SyNOnly",
            initial_transform=linear["fwdtransforms"][0],
            reg_iterations=iterations,
            outprefix=prefix + "syn",
        )
        carried = ants.apply_transforms(
            moving,
            labels,
            warp["invtransforms"],
            whichtoinvert=[True, False],
            interpolator="nearestNeighbor",
        )
    return carried.numpy().astype(np.int32)


def regional_volumes(labels: np.ndarray, tissue: np.ndarray, voxel_mm3: float) -> dict[str, float]:
    """Sum, in every structure, the probability of its tissue; mm^3 by feature name."""
    weights = {"csf": tissue[0], "grey": tissue[1], "white": tissue[2], "any": tissue.sum(axis=0)}
    structures = feature_structures()
    codes = np.fromiter(structures, dtype=np.int64)
    sums = {name: ndimage.sum_labels(weight, labels, codes) * voxel_mm3 for name, weight in weights.items()}
    return {name: float(sums[kind][place]) for place, (name, kind) in enumerate(structures.values())}


def run(image: nib.Nifti1Image, kind: str, settings: dict) -> Preprocessed:
    """Preprocess one scan.

    Parameters
    ----------
    image : nibabel.Nifti1Image
        A T1w volume in any orientation.
    kind : {"head", "brain", "auto"}
        Whether skull and scalp are still there; auto judges by the volume that is not background.
    settings : dict
        Config section ``preprocess``: ``spacing_mm``, ``n4_iterations``, ``atlas_spacing_mm``, ``syn_iterations``.

    Returns
    -------
    Preprocessed

    Raises
    ------
    StudyError
        If no plausible brain is found.
    """
    data, affine = conform(image, settings["spacing_mm"])
    voxel_mm3 = float(np.prod(nib.affines.voxel_sizes(affine)))
    mask, kind = find_brain(data, kind, voxel_mm3)
    icv = float(mask.sum() * voxel_mm3)
    check_brain_size(icv)
    whole, full_affine = mask, affine
    mask, affine = crop_to(mask, affine, whole, pad=2)
    data, _ = crop_to(data, full_affine, whole, pad=2)
    data = correct_bias(data * mask, affine, mask, tuple(settings["n4_iterations"]))
    tissue = classify_tissue(data, affine, mask)
    labels = carry_labels(tissue, affine, settings["atlas_spacing_mm"], tuple(settings["syn_iterations"]))
    means = [(part * data).sum() / max(part.sum(), 1e-6) for part in tissue]
    return Preprocessed(
        brain=(data / means[2] * WHITE_LEVEL).astype(np.float32),
        affine=affine,
        features=regional_volumes(labels, tissue, voxel_mm3),
        icv=icv,
        numbers={
            "brain_ml": icv / 1e3,
            "grey_ml": float(tissue[1].sum() * voxel_mm3 / 1e3),
            "white_ml": float(tissue[2].sum() * voxel_mm3 / 1e3),
            "grey_white_contrast": float((means[2] - means[1]) / means[2]),
            "was_head": float(kind == "head"),
        },
        tool="embedded",
        version=f"antspyx {version('antspyx')}",
    )
