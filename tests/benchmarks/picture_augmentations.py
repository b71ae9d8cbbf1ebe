"""Draw .images/augmentations.png: a patch of the MNI152 template and every augmentation, weak and strong.

    ./run python -m tests.benchmarks.picture_augmentations [file]

Each picture is a coronal slice of the left medial temporal patch at 1 mm, left at the left. Of 40 random views the one
that differs most is shown, about as far as the setting lets it go; of labels two with clear tissues.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch

from workflow_scripts.lib.imaging.grid import Grid, resample
from workflow_scripts.lib.imaging.packaged import mni_map
from workflow_scripts.lib.imaging.regions import patch_slices
from workflow_scripts.lib.pretrain.augment import Augmentation, augment

PICTURE = Path(__file__).resolve().parents[2] / ".images" / "augmentations.png"
SPACING = 1.0
WHITE = 110.0  # as in every registered volume
BORDERS = (66.0, 93.5)  # shares 0.6 and 0.85 of white matter, where the template's tissues part
VIEWS = 40
# setting -> (weak, strong); None where there is no strength
STRENGTHS = {
    "rotation": (10, 20),
    "scaling": (0.1, 0.3),
    "crop": (0.9, 0.6),
    "flip": (1.0, None),
    "labels": (1.0, 1.0),
    "contrast": (1.3, 2),
    "bias": (0.2, 0.4),
    "blur": (0.8, 2),
    "spike": (0.1, 0.4),
    "noise": (0.1, 0.3),
}
UNITS = {"rotation": "°", "blur": " voxels"}
RANKS = {"labels": (0, 5)}  # two contrasts
# all that have a strength, at once
TOGETHER = {name: pair for name, pair in STRENGTHS.items() if name not in ("flip", "labels")}


def template_patch() -> torch.Tensor:
    """Cut the left medial temporal patch out of the template: 1 x 1 x D x H x W, white matter at 110."""
    grid = Grid(SPACING)
    brain, white = (resample(mni_map(name), grid) for name in ("t1", "wm"))
    brain *= WHITE / np.median(brain[white > 0.9 * white.max()])
    box = patch_slices(SPACING)["medial_temporal_L"]
    return torch.from_numpy(np.ascontiguousarray(brain[box]))[None, None]


def view(patch: torch.Tensor, rank: int = 0, **strengths: float) -> np.ndarray:
    """Make views, choose one and take its coronal slice, for showing: z x x."""
    settings = Augmentation(probability=1, **strengths)
    generator = torch.Generator().manual_seed(20)
    views = augment(patch.expand(VIEWS, -1, -1, -1, -1), settings, generator, torch.tensor([BORDERS] * VIEWS))
    if views.shape[2:] != patch.shape[2:]:
        return coronal(views[0])
    change = views if "labels" in strengths else views - patch
    return coronal(views[change.flatten(1).std(dim=1).argsort(descending=True)[rank]])


def coronal(patch: torch.Tensor) -> np.ndarray:
    """Take the slice through the hippocampus's body of a patch (1 x D x H x W)."""
    return patch[0, :, round(0.52 * patch.shape[2])].numpy().T


def tissues(patch: torch.Tensor) -> np.ndarray:
    """Show the three classes that `labels` repaints as three greys."""
    return coronal(sum((patch[0] >= border).float() for border in (1.0, *BORDERS)) * WHITE / 3)


def caption(name: str, strength: float) -> str:
    """Name a setting and how strong it is."""
    return name if name in ("flip", "labels") else f"{name} {strength:g}{UNITS.get(name, '')}"


def panels(patch: torch.Tensor) -> list[tuple[tuple[str, np.ndarray] | None, ...]]:
    """List the columns, each a pair of a title and a picture for weak and strong."""
    columns = [(("patch", coronal(patch[0])), ("its three tissues", tissues(patch)))]
    for name, pair in STRENGTHS.items():
        columns.append(
            tuple(
                None
                if value is None
                else (caption(name, value), view(patch, RANKS.get(name, (0, 0))[k], **{name: value}))
                for k, value in enumerate(pair)
            )
        )
    both = ({name: pair[k] for name, pair in TOGETHER.items()} for k in range(2))
    titles = ("all with numbers, weak", "all with numbers, strong")
    columns.append(tuple((title, view(patch, **some)) for title, some in zip(titles, both, strict=True)))
    return columns


def draw(columns: list, file: Path) -> None:
    """Lay the columns out in two rows of weak and strong."""
    mpl.use("Agg")
    from matplotlib import pyplot

    mpl.rcParams.update({"font.family": "DejaVu Sans", "font.size": 8})
    width = len(columns) // 2
    figure, axes = pyplot.subplots(4, width, figsize=(1.45 * width, 8.6), facecolor="white")
    for number, column in enumerate(columns):
        block, place = divmod(number, width)
        for strength, panel in enumerate(column):
            axis = axes[2 * block + strength, place]
            axis.axis("off")
            if panel is not None:
                axis.imshow(panel[1], cmap="gray", vmin=0, vmax=1.15 * WHITE, origin="lower", interpolation="nearest")
                axis.set_title(panel[0], fontsize=8, pad=3)
    figure.tight_layout(pad=0.4, h_pad=0.7, w_pad=0.3)
    figure.savefig(file, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    draw(panels(template_patch()), target)
    print(f"{target}: {target.stat().st_size / 1000:.0f} kB")
