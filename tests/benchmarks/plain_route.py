"""Self-supervised steps as one writes them first, with MONAI's or TorchIO's transforms: what ssl_step.py compares with.

A dataset reads one float32 patch a scan from .npy or .nii.gz and makes two views of it, one sample after the other, in
the workers of a DataLoader; the network is float32, eager, contiguous, with torch's AdamW. Augmentations are those of
the library in the same order, as often and about as strong; ``labels``, which neither library has for patches without
label maps, is restated in numpy.
"""

import math
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
import torchio
from monai import transforms as monai
from monai.data import MetaTensor
from scipy.ndimage import gaussian_filter

from tests.benchmarks.sfcn_throughput import write_store
from workflow_scripts.lib.models.encoder import PatchEncoder
from workflow_scripts.lib.models.projector import make_projector
from workflow_scripts.lib.pretrain.augment import PARTIAL_VOLUME, TISSUE_MEANS, TISSUE_SPREADS, Augmentation
from workflow_scripts.lib.pretrain.levels import two_view_loss
from workflow_scripts.lib.pretrain.settings import Settings

PATCH = "subcortical_L"  # 56 x 80 x 64 at 1 mm, a small one of the eighteen
FEATURES = 3  # auxiliary features of a location, for R-NCE
LIBRARIES = ("monai", "torchio")


class Study:
    """Patches of some scans, in a store and in files of their own.

    Parameters
    ----------
    folder : path
    shape : tuple of int
        Of a patch.
    scans : int
    zipped : int
        So many of them as .nii.gz too.
    """

    def __init__(self, folder: Path, shape: tuple[int, int, int], scans: int, zipped: int):
        random = np.random.default_rng(1)
        blobs = gaussian_filter(random.random(shape, dtype=np.float32), 1.5)
        blobs = 130 + 25 * (blobs - blobs.mean()) / blobs.std()
        numbers = blobs + 10 * random.standard_normal((scans, *shape), dtype=np.float32)
        numbers = numbers.clip(0, 255).astype(np.uint8)
        self.shape, self.scans = shape, scans
        self.shards, self.ids = write_store(folder, PATCH, numbers)
        self.classes = np.array([55.0, 75.0], dtype=np.float32)  # of write_store, scale 0.5
        self.auxiliary = random.standard_normal((scans, FEATURES)).astype(np.float32)
        self.files = {"npy": [], "nii.gz": []}
        for number, (scan, patch) in enumerate(zip(self.ids, numbers, strict=True)):
            self.files["npy"].append(folder / f"{scan}.npy")
            np.save(self.files["npy"][-1], patch * np.float32(0.5))
            if number < zipped:
                self.files["nii.gz"].append(folder / f"{scan}.nii.gz")
                nib.save(nib.Nifti1Image(patch * np.float32(0.5), np.eye(4)), self.files["nii.gz"][-1])
        self.mean, self.std = float(numbers.mean() / 2), float(numbers.std() / 2)


def read(file: Path) -> np.ndarray:
    """Read one patch: D x H x W, float32."""
    return np.load(file) if file.suffix == ".npy" else np.asarray(nib.load(file).dataobj, dtype=np.float32)


class Labels:
    """Tissues in random intensities, for one patch, as augment's ``labels`` says."""

    def __init__(self, probability: float, classes: np.ndarray):
        self.probability, self.classes, self.random = probability, classes, np.random.default_rng()

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        random = self.random
        if random.random() >= self.probability:
            return image
        values = np.asarray(image)
        tissue = np.digitize(values, self.classes)
        white = values[tissue == 2].mean() if (tissue == 2).any() else self.classes[1]
        means, spreads = white * random.uniform(*TISSUE_MEANS, 3), white * random.uniform(*TISSUE_SPREADS, 3)
        normal = random.standard_normal(values.shape, dtype=np.float32)
        painted = means.astype(np.float32)[tissue] + spreads.astype(np.float32)[tissue] * normal
        painted = np.where(values > 0, painted.clip(0), 0)
        painted = gaussian_filter(painted, (0, *[PARTIAL_VOLUME] * 3), mode="nearest")
        return torch.from_numpy(painted * (values > 0))


def monai_parts(given: Augmentation, study: Study) -> dict[str, Callable]:
    """Write each augmentation with MONAI, array by array; names are those of the settings."""
    p = given.probability
    turn, kept = (math.radians(given.rotation),) * 3, tuple(max(1, round(given.crop * n)) for n in study.shape)
    # MONAI's spike has a magnitude in k-space, on a logarithmic scale; the centre has the sum of all voxels
    centre = math.log(study.mean * math.prod(kept))
    spike = (centre + math.log(given.spike / 100), centre + math.log(given.spike))
    affine = {"mode": "bilinear", "padding_mode": "border"}
    return {
        "rotation": monai.RandAffine(prob=p, rotate_range=turn, scale_range=(given.scaling,) * 3, **affine),
        "crop": monai.RandSpatialCrop(kept, random_size=False),
        "flip": monai.RandFlip(prob=given.flip, spatial_axis=0),
        "labels": Labels(given.labels, study.classes),
        "contrast": monai.RandAdjustContrast(prob=p, gamma=(1 / given.contrast, given.contrast)),
        "bias": monai.RandBiasField(prob=p, coeff_range=(0, given.bias / 2)),
        "blur": monai.RandGaussianSmooth(*[(0.01, given.blur)] * 3, prob=p),
        "spike": monai.RandKSpaceSpikeNoise(prob=p, intensity_range=spike, channel_wise=False),
        "noise": monai.RandGaussianNoise(prob=p, std=given.noise * study.std),
    }


def torchio_parts(given: Augmentation, study: Study) -> dict[str, Callable]:
    """Write each augmentation with TorchIO; a random crop, which it has not, is a slice."""
    p = given.probability
    kept = tuple(max(1, round(given.crop * n)) for n in study.shape)

    def crop(image: torch.Tensor) -> torch.Tensor:
        starts = [int(torch.randint(n - k + 1, ())) for n, k in zip(study.shape, kept, strict=True)]
        return image[:, *(slice(start, start + k) for start, k in zip(starts, kept, strict=True))]

    turn = {"scales": given.scaling, "degrees": given.rotation, "isotropic": True}
    return {
        "rotation": torchio.RandomAffine(**turn, default_pad_value="mean", p=p),
        "crop": crop,
        "flip": torchio.RandomFlip(axes=0, flip_probability=given.flip),
        "labels": Labels(given.labels, study.classes),
        "contrast": torchio.RandomGamma(log_gamma=math.log(given.contrast), p=p),
        "bias": torchio.RandomBiasField(coefficients=given.bias / 2, p=p),
        "blur": torchio.RandomBlur(std=(0, given.blur), p=p),
        # a single number would be a range from 0
        "spike": torchio.RandomSpike(num_spikes=(1, 1), intensity=(0, given.spike), p=p),
        "noise": torchio.RandomNoise(std=(0, given.noise * study.std), p=p),
    }


PARTS = {"monai": monai_parts, "torchio": torchio_parts}


class Views(torch.utils.data.Dataset):
    """Row of a scan -> row and two views of its patch, as one writes it with either library."""

    def __init__(self, study: Study, library: str, kind: str, given: Augmentation, steps: int, batch: int):
        self.files = study.files[kind]
        self.parts = PARTS[library](given, study)
        random = np.random.default_rng(3)
        self.rows = np.concatenate([random.permutation(study.scans)[:batch] for _ in range(steps)])

    def __len__(self) -> int:
        return len(self.rows)

    def view(self, image: torch.Tensor) -> torch.Tensor:
        for part in self.parts.values():
            image = part(image)
        return image.as_tensor() if isinstance(image, MetaTensor) else image

    def __getitem__(self, number: int) -> tuple[int, torch.Tensor, torch.Tensor]:
        row = int(self.rows[number])
        image = torch.from_numpy(read(self.files[row]))[None]
        return row, self.view(image), self.view(image)

    def reseed(self, seed: int) -> None:
        """Let every worker draw its own numbers; TorchIO draws from torch, which the loader has seeded."""
        for part in self.parts.values():
            if isinstance(part, Labels):
                part.random = np.random.default_rng(seed)
            elif hasattr(part, "set_random_state"):
                part.set_random_state(seed % 2**31)


def begin(worker: int) -> None:
    """Seed what a worker has."""
    info = torch.utils.data.get_worker_info()
    info.dataset.reseed(info.seed)


class Plain:
    """Encoder, projector and optimiser as one writes them first: float32, eager, contiguous."""

    def __init__(self, given: Settings, study: Study, device: torch.device):
        self.given, self.device = given, device
        self.encoder = PatchEncoder(given.representation)
        self.encoder.set_intensity(study.mean, study.std)
        self.projector = make_projector(given.representation) if given.method.projector else None
        self.networks = torch.nn.ModuleList([self.encoder, *([self.projector] if self.projector else [])]).to(device)
        self.optimizer = torch.optim.AdamW(self.networks.parameters(), lr=1e-3)
        self.auxiliary = torch.from_numpy(study.auxiliary).to(device) if given.method.guided else None

    def learn(self, rows: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> float:
        """Take one step on two views of a batch."""
        views = torch.cat([view.to(self.device, non_blocking=True) for view in (first, second)])
        h = self.encoder(views).chunk(2)
        a = None if self.auxiliary is None else (self.auxiliary[rows.to(self.device)],) * 2
        loss, _ = two_view_loss(self.given.method, h, a, self.projector, True, None)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def epoch(self, views: Views, batch: int, workers: int) -> None:
        """Go through the loader once."""
        options = {"worker_init_fn": begin, "pin_memory": self.device.type == "cuda"} if workers else {}
        for part in torch.utils.data.DataLoader(views, batch, num_workers=workers, **options):
            self.learn(*part)
