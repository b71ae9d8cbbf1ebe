"""The MeshNet backend: Desikan-Killiany and aseg labels by a small convolutional network, in a minute or two a scan.

MeshNet is a stack of dilated convolutions (Fedorov et al. 2017, IJCNN, arXiv:1612.00940); weights for 104 labels come
from brainchop (Masoud et al. 2023, JOSS 8:5098; MIT). It takes heads conformed as FreeSurfer does, and gives volumes,
not thickness. Against FreeSurfer its cortex is thin and its amygdala large: compare within this tool only.
"""

import nibabel as nib
import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from workflow_scripts.lib.imaging.ants_tools import ants, to_ants
from workflow_scripts.lib.imaging.backends.base import Preprocessed, check_brain_size, finish_brain
from workflow_scripts.lib.imaging.backends.embedded import find_brain
from workflow_scripts.lib.imaging.backends.meshnet_files import Network, read_network
from workflow_scripts.lib.study.errors import StudyError

SIDE = 256  # voxels of 1 mm along each axis, as FreeSurfer conforms a scan
LIA = np.array([[-1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # axes to the left, to the feet, to the front
# Voxels kept around the brain. The network looks 45 voxels far, and the whole volume costs twice the time and memory;
# measured on Colin27, 0.7 % of the brain's voxels, most at borders, then get another label than in the whole volume.
PAD = 16
SLAB = 8  # slices whose 104 probabilities are held at a time: all of them would be 3 GB
# Of both sides together in ml, less than any adult has, also with severe atrophy. A network fails without a word where
# a scan is unlike those it has learned from.
LEAST_ML = {"Hippocampus": 2, "Thalamus": 4, "Cerebellum": 75, "Brain-Stem": 8}
QUANTILES = (0.02, 0.98)  # of the conformed volume, to which intensities are clipped: the network's training


def conform_lia(image: nib.Nifti1Image) -> tuple[np.ndarray, np.ndarray]:
    """Bring a scan to FreeSurfer's conformed grid: 256 x 256 x 256 voxels of 1 mm, LIA, around the scan's centre.

    Returns
    -------
    data : float32; affine : 4 x 4 in the same world.
    """
    centre = (image.affine @ np.append((np.array(image.shape) - 1) / 2, 1.0))[:3]
    affine = np.eye(4)
    affine[:3, :3] = LIA
    affine[:3, 3] = centre - LIA @ np.full(3, SIDE / 2)
    data = image.get_fdata(dtype=np.float32)
    voxel = nib.affines.voxel_sizes(image.affine)
    # average over the coarser voxel first; scans coarser than 1 mm stay as they are
    data = ndimage.gaussian_filter(data, np.sqrt(np.maximum(1 - voxel**2, 0) / 12) / voxel)
    to_old = np.linalg.inv(image.affine) @ affine
    return ndimage.affine_transform(data, to_old, output_shape=(SIDE,) * 3, order=1), affine


def correct_head(data: np.ndarray, affine: np.ndarray, brain: np.ndarray, iterations: tuple[int, ...]) -> np.ndarray:
    """Correct a head for the coil's field as it is in the brain, with N4.

    What is dark in the brain the network would lose. Fitted to the whole head, the field stays strong where it matters:
    of a head with a surface coil's field, a third of the hippocampus and of the brain stem was found.

    Parameters
    ----------
    data : numpy.ndarray
        float32, 256 x 256 x 256, LIA.
    affine : numpy.ndarray
        4 x 4.
    brain : numpy.ndarray
        bool.
    iterations : tuple of int
        Of N4's levels.
    """
    field = ants.n4_bias_field_correction(
        to_ants(data, affine),
        mask=to_ants(brain, affine),
        shrink_factor=9,
        convergence={"iters": list(iterations), "tol": 1e-4},
        spline_param=120,
        return_bias_field=True,
    ).numpy()
    # outside the brain nothing holds it
    return data / np.clip(field, field[brain].min(), field[brain].max())


def scale_intensity(data: np.ndarray) -> np.ndarray:
    """Clip a conformed volume to its quantiles and bring it to 0 to 1 (float32).

    Raises
    ------
    StudyError
        If the quantiles are the same.
    """
    low, high = np.quantile(data, QUANTILES)
    if high <= low:
        raise StudyError("almost all voxels of the volume have the same value")
    return ((np.clip(data, low, high) - low) / (high - low)).astype(np.float32)


def label(data: np.ndarray, network: Network) -> np.ndarray:
    """Run the network.

    Parameters
    ----------
    data : numpy.ndarray
        float32, X x Y x Z, LIA, 1 mm, 0 to 1.
    network : Network

    Returns
    -------
    numpy.ndarray
        uint8 label numbers.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    layers = [(layer.weight.to(device), layer.bias.to(device), layer.dilation) for layer in network.layers]
    hidden = torch.from_numpy(np.ascontiguousarray(data)).to(device)[None, None]
    with torch.inference_mode():
        for weight, bias, dilation in layers[:-1]:
            padding = dilation * (weight.shape[-1] // 2)
            hidden = functional.conv3d(hidden, weight, bias, padding=padding, dilation=dilation)
            hidden = functional.elu_(hidden) if network.elu else functional.relu_(hidden)
        weight, bias, _ = layers[-1]  # of 1 x 1 x 1: no slice needs its neighbours
        slabs = [functional.conv3d(slab, weight, bias).argmax(dim=1) for slab in hidden.split(SLAB, dim=2)]
        return torch.cat(slabs, dim=1)[0].to(torch.uint8).cpu().numpy()


def largest_object(mask: np.ndarray) -> np.ndarray:
    """Keep the largest connected object of a mask (bool)."""
    objects, count = ndimage.label(mask)
    if count == 0:
        raise StudyError("the network found no brain")
    sizes = np.bincount(objects.ravel())
    sizes[0] = 0
    return objects == sizes.argmax()


def segment(corrected: np.ndarray, brain: np.ndarray, network: Network) -> np.ndarray:
    """Label the brain of a conformed, bias-corrected scan.

    Parameters
    ----------
    corrected : numpy.ndarray
        float32, 256 x 256 x 256, LIA.
    brain : numpy.ndarray
        bool, about where the brain is.
    network : Network

    Returns
    -------
    numpy.ndarray
        uint8 label numbers on the same grid, one object, zero outside.
    """
    places = np.argwhere(brain)
    low, high = np.maximum(places.min(axis=0) - PAD, 0), np.minimum(places.max(axis=0) + PAD + 1, SIDE)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    found = label(scale_intensity(corrected)[box], network)
    labels = np.zeros(corrected.shape, np.uint8)
    labels[box] = found * largest_object(found > 0)
    return labels


def check_parts(labels: np.ndarray, names: tuple[str, ...]) -> None:
    """Refuse labels that miss a part which every brain has."""
    volumes = np.bincount(labels.ravel(), minlength=len(names)) / 1e3
    for part, least in LEAST_ML.items():
        found = sum(volume for name, volume in zip(names, volumes, strict=True) if part in name)
        if found < least:
            raise StudyError(
                f"the network found {found:.1f} ml of {part}, less than any adult has ({least} ml): the scan is too "
                "unlike those it has learned from (dark regions, low resolution, cut field of view)"
            )


def run(image: nib.Nifti1Image, kind: str, settings: dict) -> Preprocessed:
    """Preprocess one scan.

    Parameters
    ----------
    image : nibabel.Nifti1Image
        A T1w volume in any orientation.
    kind : {"head", "brain", "auto"}
        Whether skull and scalp are still there.
    settings : dict
        Config section ``preprocess``: ``meshnet`` (``weights``, ``labels``, ``layers``), ``n4_iterations``.

    Returns
    -------
    Preprocessed
        With 1 mm voxels.

    Raises
    ------
    StudyError
        If the network's files do not fit, or no plausible brain is found.
    """
    network = read_network(settings["meshnet"])
    data, affine = conform_lia(image)
    inside, kind = _brain_in_lia(data, affine, kind)
    icv = float(inside.sum())  # voxels of 1 mm^3
    check_brain_size(icv)
    corrected = correct_head(data, affine, inside, tuple(settings["n4_iterations"]))
    labels = segment(corrected, inside, network)
    check_parts(labels, network.names)
    mask = ndimage.binary_fill_holes(labels > 0)
    brain_mm3 = float(mask.sum())
    check_brain_size(brain_mm3)
    white, cortex = np.isin(labels, network.white), np.isin(labels, network.cortex)
    if min(white.sum(), cortex.sum()) < 1e5:
        raise StudyError("the network found less than 100 ml of white matter or cortex")
    levels = {name: float(np.median(corrected[part])) for name, part in (("white", white), ("grey", cortex))}
    volumes = np.bincount(labels.ravel(), minlength=len(network.names))
    canonical = [nib.as_closest_canonical(nib.Nifti1Image(part, affine)) for part in (corrected, mask.astype(np.uint8))]
    data, mask = np.asarray(canonical[0].dataobj), np.asarray(canonical[1].dataobj) > 0
    brain, affine = finish_brain(data, canonical[0].affine, mask, levels["white"])
    return Preprocessed(
        brain=brain,
        affine=affine,
        features={name: float(volumes[number]) for number, name in network.features.items()},
        icv=icv,
        numbers={
            "brain_ml": brain_mm3 / 1e3,
            "grey_ml": float(cortex.sum() / 1e3),
            "white_ml": float(white.sum() / 1e3),
            "grey_white_contrast": (levels["white"] - levels["grey"]) / levels["white"],
            "was_head": float(kind == "head"),
        },
        tool="MeshNet",
        version=network.version,
    )


def _brain_in_lia(data: np.ndarray, affine: np.ndarray, kind: str) -> tuple[np.ndarray, str]:
    """Find the brain of a conformed volume; brain extraction itself wants RAS."""
    back = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.io_orientation(affine)
    )
    canonical = nib.as_closest_canonical(nib.Nifti1Image(data, affine))
    mask, kind = find_brain(np.ascontiguousarray(canonical.get_fdata(dtype=np.float32)), kind, 1.0)
    return nib.apply_orientation(mask.astype(np.uint8), back) > 0, kind
