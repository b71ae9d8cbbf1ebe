"""The base anatomy of the phantom: tissue maps, labels and the patterns of ageing and disease on them."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from scipy import ndimage

from workflow_scripts.lib.imaging import packaged
from workflow_scripts.lib.imaging.atlas import spread_labels
from workflow_scripts.lib.imaging.grid import Grid, resample
from workflow_scripts.lib.phantom.fields import velocity_for_divergence

# Wanted log volume change per unit of a factor, by the start of the structure's name (both hemispheres). Smooth fields
# on a coarse grid deliver about 0.6 of it; the truth tables hold what was delivered.
# Ageing: per decade, after the lifespan charts' order (ventricles grow fastest, hippocampus and
# frontal and temporal cortex shrink more than occipital); strengths are the phantom's own.
AGEING = {
    "Hippocampus": -0.15,
    "Amygdala": -0.10,
    "Lateral-Ventricle": 0.22,
    "Inf-Lat-Vent": 0.22,
    "3rd-Ventricle": 0.18,
    "Thalamus": -0.06,
    "Putamen": -0.06,
    "Caudate": -0.04,
    "Accumbens": -0.07,
    "superiorfrontal": -0.08,
    "rostralmiddlefrontal": -0.08,
    "caudalmiddlefrontal": -0.07,
    "parsopercularis": -0.06,
    "parstriangularis": -0.06,
    "superiortemporal": -0.06,
    "middletemporal": -0.06,
    "insula": -0.06,
    "precentral": -0.05,
    "inferiorparietal": -0.05,
    "lingual": -0.02,
    "Cerebellum-Cortex": -0.03,
}
# Alzheimer's disease at full severity: medial temporal first (Braak order), then lateral and parietal
DISEASE = {
    "Hippocampus": -0.45,
    "Amygdala": -0.30,
    "entorhinal": -0.34,
    "parahippocampal": -0.22,
    "fusiform": -0.14,
    "temporalpole": -0.18,
    "inferiortemporal": -0.15,
    "middletemporal": -0.14,
    "inferiorparietal": -0.12,
    "precuneus": -0.12,
    "isthmuscingulate": -0.12,
    "posteriorcingulate": -0.10,
    "Lateral-Ventricle": 0.35,
    "Inf-Lat-Vent": 0.60,
}
TRUTH_REGIONS = ("Left-Hippocampus", "Right-Hippocampus", "Left-Lateral-Ventricle", "Right-Lateral-Ventricle")
SCALP_MM, SKULL_MM = 7.0, 7.0  # thickness of the shells around the brain of a simulated head


@dataclass
class Anatomy:
    """Base maps on one grid; all arrays share its shape.

    ``tissue`` is float32, 5 x X x Y x Z: grey, white, CSF, skull, scalp fractions. ``texture`` is the T1
    average less the tissue model. ``labels`` holds aparc+aseg codes spread over the grey matter.
    ``velocities`` maps ageing, disease, shape to a velocity per unit; ``hidden`` is a texture pattern of
    zero mean in every region; ``truth`` holds one mask a truth region.
    """

    grid: Grid
    tissue: torch.Tensor
    texture: torch.Tensor
    brain: np.ndarray
    labels: np.ndarray
    velocities: dict[str, torch.Tensor]
    hidden: torch.Tensor
    truth: torch.Tensor


def pattern(labels: np.ndarray, names: dict[int, str], rates: dict[str, float]) -> np.ndarray:
    """Paint each structure with its rate: float32, X x Y x Z."""
    painted = np.zeros(labels.shape, np.float32)
    for code, name in names.items():
        structure = name.removeprefix("Left-").removeprefix("Right-").split("-")[-1] if "ctx" in name else name
        structure = structure.removeprefix("Left-").removeprefix("Right-")
        for start, rate in rates.items():
            if structure.startswith(start):
                painted[labels == code] = rate
    return painted


def _balanced(change: np.ndarray, buffer: np.ndarray) -> np.ndarray:
    """Let the buffer (CSF and white matter) take up what the structures lose, so that the skull stays."""
    smooth = ndimage.gaussian_filter(change, 0.6)
    return smooth - buffer * smooth.sum() / buffer.sum()


def _hidden_texture(labels: np.ndarray, names: dict[int, str], spacing: float) -> np.ndarray:
    """Fixed fine texture in temporal and parietal tissue whose mean is zero in every region."""
    noise = np.random.default_rng(20).standard_normal(labels.shape)  # the pattern is part of the anatomy
    fine = ndimage.gaussian_filter(noise, 5.0 / spacing / 2)
    fine /= fine.std()
    wanted = ("temporal", "entorhinal", "fusiform", "precuneus", "inferiorparietal", "Cerebral-White")
    out = np.zeros(labels.shape, np.float32)
    for code, name in names.items():
        if any(word in name for word in wanted):
            inside = labels == code
            out[inside] = fine[inside] - fine[inside].mean()
    return out


def _shape_pattern(labels: np.ndarray, names: dict[int, str]) -> np.ndarray:
    """Front against back of the hippocampus and entorhinal cortex: zero mean volume change in each."""
    out = np.zeros(labels.shape, np.float32)
    along = np.arange(labels.shape[1])[None, :, None] * np.ones(labels.shape)
    for code, name in names.items():
        if name.endswith(("Hippocampus", "-entorhinal", "-parahippocampal")):
            inside = labels == code
            place = along[inside] - along[inside].mean()
            out[inside] = place / np.abs(place).max()
    return out


def _shells(brain: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Skull and scalp as shells of constant thickness around the brain."""
    distance = ndimage.distance_transform_edt(~brain) * spacing
    return (distance > 0) & (distance <= SKULL_MM), (distance > SKULL_MM) & (distance <= SKULL_MM + SCALP_MM)


@cache
def load_anatomy(spacing: float) -> Anatomy:
    """Build the base anatomy from the MNI152 maps and the Desikan-Killiany + aseg atlas.

    Parameters
    ----------
    spacing : float
        Grid of the maps in mm; 2 keeps cortex recognisable and costs seconds.
    """
    grid = Grid(spacing, margin=16.0)
    grey, white = (resample(packaged.mni_map(name), grid) / 255 for name in ("gm", "wm"))
    t1 = resample(packaged.mni_map("t1"), grid) / 255
    brain = ndimage.binary_fill_holes(t1 > 0.12)
    total = np.maximum(grey + white, 1.0)
    grey, white = grey / total * brain, white / total * brain
    csf = np.clip(brain - grey - white, 0, 1)
    image, names = packaged.atlas()
    labels = spread_labels(resample(image, grid, order=0).astype(np.int32), brain)
    names = {code: name for code, name in names.items() if code}
    model = np.stack([grey, white, csf], -1)
    means = np.linalg.lstsq(model[brain], t1[brain], rcond=None)[0]
    skull, scalp = _shells(brain, spacing)
    buffer = np.maximum(csf, 0.3 * white) * (pattern(labels, names, AGEING) == 0)
    rates = {
        "ageing": _balanced(pattern(labels, names, AGEING), buffer),
        "disease": _balanced(pattern(labels, names, DISEASE), buffer),
        "shape": _balanced(_shape_pattern(labels, names), buffer),
    }
    codes = {name: code for code, name in names.items()}
    tissue = [ndimage.gaussian_filter(np.asarray(part, np.float32), 0.3) for part in (grey, white, csf, skull, scalp)]
    return Anatomy(
        grid=grid,
        tissue=torch.from_numpy(np.stack(tissue)),
        texture=torch.from_numpy(((t1 - model @ means) * brain).astype(np.float32)),
        brain=brain,
        labels=labels,
        velocities={name: velocity_for_divergence(rate) for name, rate in rates.items()},
        hidden=torch.from_numpy(_hidden_texture(labels, names, spacing)),
        truth=torch.from_numpy(np.stack([labels == codes[name] for name in TRUTH_REGIONS]).astype(np.float32)),
    )
