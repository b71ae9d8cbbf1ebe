"""Grad-CAM of the test images of one fit, and what can be said of the maps beyond looking at them."""

import dataclasses
import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import nn

from workflow_scripts.lib.models.gradcam import cam_layers, grad_cam
from workflow_scripts.lib.models.preprocessing import prepare
from workflow_scripts.lib.models.randomise import cascade, untrained
from workflow_scripts.lib.radiology import faithfulness
from workflow_scripts.lib.radiology.dataset import Dataset
from workflow_scripts.lib.study import seeds
from workflow_scripts.lib.study.errors import StudyError

CLASSES = ("predicted", "true", "both", "every")


@dataclasses.dataclass(frozen=True)
class Options:
    """What is asked of maps.

    Attributes
    ----------
    layers : tuple of str or None
        Groups of the backbone whose maps are averaged; None: those that the backbone names.
    classes : {'both', 'predicted', 'true', 'every'}
        Which class's evidence is shown; ``both``: the predicted and the true one.
    steps : int
        Of the insertion and deletion curves.
    baseline : {'blur', 'mean'}
        What stands where pixels are missing.
    draws : int
        Untrained networks that the trained one is compared with.
    images : int or None
        At most so many test images of a fit, drawn at random; None: all.
    examples : int
        Pictures for each class, right and wrong.
    batch : int
        Images at once.
    """

    layers: tuple[str, ...] | None = None
    classes: str = "both"
    steps: int = 10
    baseline: str = "blur"
    draws: int = 3
    images: int | None = None
    examples: int = 2
    batch: int = 16

    def __post_init__(self):
        if self.classes not in CLASSES:
            raise StudyError(
                f"radiology.explain.classes is '{self.classes}', expected one of {', '.join(CLASSES)}. Correct it."
            )
        if self.baseline not in faithfulness.BASELINES:
            raise StudyError(
                f"radiology.explain.baseline is '{self.baseline}', expected one of "
                f"{', '.join(faithfulness.BASELINES)}. Correct it."
            )
        small = [key for key in ("steps", "draws", "examples", "batch") if getattr(self, key) < 1]
        if small or (self.images is not None and self.images < 1):
            key = [*small, "images"][0]
            raise StudyError(f"radiology.explain.{key} is {getattr(self, key)}, expected 1 or more. Raise it.")

    @classmethod
    def from_config(cls, section: dict) -> "Options":
        """Take them from ``radiology.explain``; keys of other purposes are passed over."""
        known = {field.name for field in dataclasses.fields(cls)}
        given = {key: value for key, value in section.items() if key in known}
        layers = given.get("layers")
        return cls(**{**given, "layers": tuple(layers) if layers else None})


@dataclasses.dataclass(frozen=True)
class Fit:
    """A trained classifier and the images that it has not seen.

    Attributes
    ----------
    cell : str
    split, seed : int
    network : torch.nn.Module
        In evaluation mode, on the device.
    rule : str
        Of the preprocessing.
    dataset : Dataset
    rows : numpy.ndarray
        Places of the test images in the dataset's arrays.
    groups : numpy.ndarray of str
        Of all images of the dataset, by place.
    """

    cell: str
    split: int
    seed: int
    network: nn.Module
    rule: str
    dataset: Dataset
    rows: np.ndarray
    groups: np.ndarray

    @property
    def names(self) -> dict:
        """What names the fit in tables."""
        return {"cell": self.cell, "split": self.split, "seed": self.seed}

    def pixels(self, rows: np.ndarray) -> torch.Tensor:
        """Give images: n x C x S x S, float32 from 0 to 255, on the network's device."""
        device = next(self.network.parameters()).device
        return torch.from_numpy(np.asarray(self.dataset.pixels[rows], dtype=np.float32)).to(device)

    @torch.no_grad()
    def probabilities(self, images: torch.Tensor) -> np.ndarray:
        """Predict images as they are before preprocessing: n x classes, float64."""
        return self.network(prepare(images, self.rule)).double().softmax(1).cpu().numpy()

    def maps(self, network: nn.Module, rows: np.ndarray, classes: np.ndarray, options: Options) -> np.ndarray:
        """Compute maps by a network of this architecture: n x S x S, float32; zeros if empty."""
        parts = []
        for part in batches(len(rows), options.batch):
            inputs = prepare(self.pixels(rows[part]), self.rule)
            wanted = torch.from_numpy(classes[part]).to(inputs.device)
            parts.append(grad_cam(network, inputs, chosen_layers(network, options.layers), wanted).maps.cpu().numpy())
        return np.concatenate(parts)


def batches(count: int, size: int) -> list[np.ndarray]:
    """Cut 0 .. count - 1 into parts of ``size`` at most."""
    return np.array_split(np.arange(count), max(1, -(-count // size)))


def chosen_layers(network: nn.Module, names: Sequence[str] | None) -> list[nn.Module]:
    """Give the groups of a classifier's backbone of these names, or the ones that it names itself."""
    if not names:
        return cam_layers(network)
    known = network.backbone.groups
    if unknown := [name for name in names if name not in known]:
        raise StudyError(
            f"radiology.explain.layers: the backbone has no group '{unknown[0]}'; it has {', '.join(known)}"
        )
    return [getattr(network.backbone, name) for name in names]


def pair_table(fit: Fit, options: Options, seed: int) -> pd.DataFrame:
    """List test images with each class that is to be explained, and what the network says of it.

    Returns
    -------
    pandas.DataFrame
        cell, split, seed, image_id, row, group, y, predicted (class), right, class (explained), is_predicted, is_true,
        score (probability of the explained class), has_mask.
    """
    rows = np.asarray(fit.rows, dtype=np.int64)
    if options.images is not None and len(rows) > options.images:
        rng = seeds.generator(seed, "explain_images", fit.dataset.name, fit.split)
        rows = np.sort(rng.choice(rows, options.images, replace=False))
    found = [fit.probabilities(fit.pixels(rows[part])) for part in batches(len(rows), options.batch)]
    probabilities = np.concatenate(found)
    predicted, true = probabilities.argmax(1), fit.dataset.y[rows]
    image, label = np.divmod(np.arange(probabilities.size), probabilities.shape[1])
    is_predicted, is_true = label == predicted[image], label == true[image]
    wanted = {
        "predicted": is_predicted,
        "true": is_true,
        "both": is_predicted | is_true,
        "every": np.ones(len(label), dtype=bool),
    }[options.classes]
    place = rows[image]
    table = pd.DataFrame(
        {
            **fit.names,
            "image_id": fit.dataset.images["image_id"].to_numpy()[place],
            "row": place,
            "group": fit.groups[place],
            "y": true[image],
            "predicted": predicted[image],
            "right": predicted[image] == true[image],
            "class": label,
            "is_predicted": is_predicted,
            "is_true": is_true,
            "score": probabilities.ravel(),
            "has_mask": fit.dataset.images["has_mask"].to_numpy(bool)[place],
        }
    )
    return table[wanted].reset_index(drop=True)


def measure_maps(fit: Fit, pairs: pd.DataFrame, maps: np.ndarray, options: Options, seed: int) -> pd.DataFrame:
    """Measure the maps of pairs.

    Parameters
    ----------
    fit : Fit
    pairs : pandas.DataFrame
        From :func:`pair_table`.
    maps : numpy.ndarray
        Pairs x S x S.
    options : Options
    seed : int
        The study's.

    Returns
    -------
    pandas.DataFrame
        Schema ``explain_measures``; ``energy_random_0`` and so on are those of each untrained network.
    """
    rows, classes = pairs["row"].to_numpy(), pairs["class"].to_numpy()
    masks = np.asarray(fit.dataset.masks[rows])
    first = ~pairs["image_id"].duplicated().to_numpy()
    everyone = masks[first].sum(0, dtype=np.int64), int(masks[first].any((1, 2)).sum())
    draws = ((draw, untrained(fit.network, seed, *fit.names.values(), draw)) for draw in range(options.draws))
    random = {
        f"energy_random_{draw}": faithfulness.energy_inside(fit.maps(network, rows, classes, options), masks)
        for draw, network in draws
    }
    table = pairs.drop(columns="row").assign(
        empty=maps.max((1, 2)) == 0,
        chance=np.where(masks.any((1, 2)), masks.mean((1, 2)), np.nan),
        energy=faithfulness.energy_inside(maps, masks),
        energy_others=faithfulness.energy_in_others(maps, masks, everyone),
        energy_random=nan_mean(np.array(list(random.values())), 0),
        pointing=faithfulness.points_inside(maps, masks),
    )
    return table.assign(**_areas(fit, pairs, maps, options, seed), **random)


def _areas(fit: Fit, pairs: pd.DataFrame, maps: np.ndarray, options: Options, seed: int) -> dict[str, np.ndarray]:
    """Take the areas under insertion and deletion by the map, and under insertion in random order."""
    rng = seeds.generator(seed, "explain_order", *fit.names.values())
    by_map = faithfulness.ranks_from_top(maps, rng)
    at_random = faithfulness.ranks_from_top(np.zeros_like(maps), rng)

    def probability(images: torch.Tensor, classes: np.ndarray) -> np.ndarray:
        return fit.probabilities(images)[np.arange(len(classes)), classes]

    found = {"insertion": [], "deletion": [], "random_order": []}
    for part in batches(len(pairs), options.batch):
        images, classes = fit.pixels(pairs["row"].to_numpy()[part]), pairs["class"].to_numpy()[part]
        settings = (options.steps, options.baseline)
        curves = faithfulness.insertion_deletion(probability, images, classes, by_map[part], *settings)
        both = faithfulness.insertion_deletion(probability, images, classes, at_random[part], *settings)
        found["insertion"].append(faithfulness.area(curves[0]))
        found["deletion"].append(faithfulness.area(curves[1]))
        # in random order both curves have the same area on average
        found["random_order"].append((faithfulness.area(both[0]) + faithfulness.area(both[1])) / 2)
    empty = maps.max((1, 2)) == 0  # an order that no map gives says nothing about maps
    joined = {name: np.concatenate(parts) for name, parts in found.items()}
    return {
        name: values if name == "random_order" else np.where(empty, np.nan, values) for name, values in joined.items()
    }


def compare_randomised(fit: Fit, pairs: pd.DataFrame, maps: np.ndarray, options: Options, seed: int) -> pd.DataFrame:
    """Compare maps with those of the same network while its weights are taken away from the output down.

    Parameters
    ----------
    fit, pairs, maps, options, seed
        As :func:`measure_maps`; the predicted class alone takes part.

    Returns
    -------
    pandas.DataFrame
        Schema ``explain_randomisation``: a row a stage.
    """
    own = pairs["is_predicted"].to_numpy()
    if not own.any():  # the true class was asked for, and every prediction is wrong
        own = np.ones(len(pairs), dtype=bool)
    rows, classes, trained = pairs["row"].to_numpy()[own], pairs["class"].to_numpy()[own], maps[own]
    masks = np.asarray(fit.dataset.masks[rows])
    table = []
    for number, (stage, network) in enumerate(cascade(fit.network, seed, *fit.names.values(), 0), start=1):
        changed = fit.maps(network, rows, classes, options)
        table.append(
            {
                **fit.names,
                "number": number,
                "stage": stage,
                "images": len(rows),
                "empty": float((changed.max((1, 2)) == 0).mean()),
                "rank_correlation": nan_mean(faithfulness.rank_correlation(trained, changed)),
                "similarity": float(faithfulness.structural_similarity(trained, changed).mean()),
                "energy": nan_mean(faithfulness.energy_inside(changed, masks)),
            }
        )
    return pd.DataFrame(table)


def nan_mean(values: np.ndarray, axis: int | None = None) -> np.ndarray | float:
    """Take the mean of what is known; NaN, and no warning, where nothing is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmean(values, axis=axis)
