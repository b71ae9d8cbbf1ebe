"""What MONAI's tools read of a bundle: how to prepare an input, build the network and write its outputs."""

import dataclasses
from collections.abc import Sequence

from workflow_scripts.lib.models.registry import NETWORKS


@dataclasses.dataclass(frozen=True)
class Rule:
    """How inputs are scaled.

    Parameters
    ----------
    words : str
        For people.
    range : list of float
        Smallest and largest value, empty if open.
    expression : str
        For MONAI: a Python expression of ``image``; empty if nothing is to be done.
    """

    words: str
    range: list[float]
    expression: str


RULES = {
    "stored": Rule("intensities as registration left them", [], ""),
    "unit": Rule(
        "divided by the 99.9th percentile of the voxels above zero and cut to 0 to 1",
        [0.0, 1.0],
        "(image / torch.quantile(image[image > 0], 0.999)).clip(0, 1)",
    ),
    "zscore": Rule(
        "mean 0 and standard deviation 1 over the volume", [], "(image - image.mean()) / image.std(correction=0)"
    ),
    "mean": Rule("divided by the mean over the volume, zeros included", [], "image / image.mean()"),
}


class FeaturesInferer:
    """Apply a network's ``features`` where MONAI would apply the network itself."""

    def __call__(self, inputs, network, *args, **kwargs):
        """Give batch x width for a batch of inputs."""
        return network.features(inputs)


def tensor_format(shape: Sequence[int], value_range: Sequence[float]) -> dict:
    """Describe one input or output (shape without the batch, channels first) in the words of MONAI's schema."""
    image = len(shape) == 4
    return {
        "type": "image" if image else "tuples",
        "format": "magnitude" if image else "latent",
        "modality": "MR",
        "num_channels": int(shape[0]),
        "spatial_shape": [int(n) for n in shape[1:]],
        "dtype": "float32",
        "value_range": list(value_range),
        "is_patch_data": False,
        "channel_def": {"0": "T1-weighted image"} if image else {},
    }


def inference_config(architecture: dict, shape: Sequence[int], rule: str, vectors: bool) -> dict:
    """Make the config by which MONAI applies a network to the files of a folder.

    Parameters
    ----------
    architecture : dict
        Of the card.
    shape : sequence of int
        Of one input: 1 x grid (NIfTI files) or locations x width (tokens, as ``.npy`` files).
    rule : str
        One of ``RULES``.
    vectors : bool
        The network itself gives vectors; if not, its ``features`` are applied.

    Returns
    -------
    dict
        Its values that start with ``$`` are Python expressions, with ``@`` they refer to other keys.
    """
    network = NETWORKS[architecture["name"]]
    arguments = {key: value for key, value in architecture.items() if key != "name"}
    image = len(shape) == 4
    inferer = "SimpleInferer" if vectors else f"{FeaturesInferer.__module__}.{FeaturesInferer.__name__}"
    names = "$lambda batch: [{'filename_or_obj': i['image'].meta['filename_or_obj']} for i in batch]"
    return {
        "imports": ["$import glob"],
        "bundle_root": ".",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "ckpt_path": "$@bundle_root + '/models/model.pt'",
        "dataset_dir": "$@bundle_root + '/data'",
        "output_dir": "$@bundle_root + '/eval'",
        "datalist": f"$sorted(glob.glob(@dataset_dir + '/*{'.nii*' if image else '.npy'}'))",
        "network_def": {"_target_": f"{network.__module__}.{network.__name__}", **arguments},
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": _transforms(image, rule)},
        "dataset": {"_target_": "Dataset", "data": "$[{'image': i} for i in @datalist]", "transform": "@preprocessing"},
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "shuffle": False},
        "inferer": {"_target_": inferer},
        "handlers": [
            {"_target_": "CheckpointLoader", "load_path": "@ckpt_path", "load_dict": {"model": "@network"}},
            {
                "_target_": "ClassificationSaver",
                "output_dir": "@output_dir",
                "batch_transform": names,
                "output_transform": "$monai.handlers.from_engine(['pred'])",
            },
        ],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "val_handlers": "@handlers",
        },
        "run": ["$@evaluator.run()"],
    }


def _transforms(image: bool, rule: str) -> list[dict]:
    steps = [{"_target_": "LoadImaged", "keys": "image"}]
    if image:
        steps += [
            {"_target_": "EnsureChannelFirstd", "keys": "image"},
            # the package works in RAS; MONAI turns the voxels, not the template's position
            {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS", "labels": ["LR", "PA", "IS"]},
        ]
    if RULES[rule].expression:
        steps += [{"_target_": "Lambdad", "keys": "image", "func": f"$lambda image: {RULES[rule].expression}"}]
    return [*steps, {"_target_": "EnsureTyped", "keys": "image", "dtype": "$torch.float32"}]
