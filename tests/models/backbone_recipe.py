"""Weights that anybody can make from a seed and torchvision's names, and what torchvision's networks give with them.

``tests/data/backbones/NAME.json`` holds the seed, the recipe of the images and 20 numbers of each network. They were
made once by ``python -m tests.models.backbone_recipe`` with torchvision 0.28.0, which nothing else here needs.
"""

import json
from pathlib import Path

import numpy as np
import torch

from workflow_scripts.lib.models.backbone_keys import recipe_images
from workflow_scripts.lib.study import seeds

FOLDER = Path(__file__).resolve().parents[1] / "data/backbones"
SEED, IMAGES, PIXELS, NUMBERS = 7, 2, 64, 10


def planted(shapes: dict[str, tuple[int, ...]], seed: int = SEED) -> dict[str, torch.Tensor]:
    """Make every tensor of a network from its name: He's normal numbers, normalisation near its start."""
    tensors = {}
    for name, shape in shapes.items():
        draws = seeds.generator(seed, "backbone recipe", name)
        if name.endswith("num_batches_tracked"):
            values = np.array(100)
        elif name.endswith("running_var"):
            values = draws.uniform(0.5, 1.5, shape).astype("float32")
        elif len(shape) > 1:
            values = draws.standard_normal(shape, dtype="float32") * np.float32(np.sqrt(2 / np.prod(shape[1:])))
        else:
            values = draws.standard_normal(shape, dtype="float32") * np.float32(0.1)
            values = values + np.float32(1) if name.endswith("weight") else values
        tensors[name] = torch.from_numpy(np.asarray(values))
    return tensors


def make_references() -> None:
    """Ask torchvision; its wheel imports beside a torch without CUDA once two of its operators have a name."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

    for name, last in (("ResNet50", "fc"), ("DenseNet121", "classifier")):
        network = getattr(torchvision.models, name.lower())(weights=None)
        shapes = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
        network.load_state_dict(planted(shapes))
        setattr(network, last, torch.nn.Identity())
        with torch.no_grad():
            outputs = network.eval()(recipe_images(IMAGES, PIXELS))[:, :NUMBERS]
        content = {
            "network": name,
            "made_with": f"torchvision {torchvision.__version__}, torch {torch.__version__}",
            "seed": SEED,
            "images": IMAGES,
            "pixels": PIXELS,
            "outputs": [[float(f"{value:.7g}") for value in row] for row in outputs.tolist()],
            "tensors": len(shapes),
        }
        (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    make_references()
