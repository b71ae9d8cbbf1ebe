"""Explain every kept classifier of a grid: tables of measures, and pictures of cases that no map has chosen."""

import dataclasses
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from workflow_scripts.lib.models.weights import card_path, load_any, read_card
from workflow_scripts.lib.radiology.dataset import Dataset
from workflow_scripts.lib.radiology.explain import Fit, Options, compare_randomised, measure_maps, pair_table
from workflow_scripts.lib.radiology.explain_tables import choose_cases
from workflow_scripts.lib.radiology.job import refuse_shared
from workflow_scripts.lib.radiology.splits import read_split, row_groups
from workflow_scripts.lib.study.errors import StudyError

logger = logging.getLogger(__name__)
SHOWN = ("cell", "dataset", "split", "seed", "kind", "image_id", "y", "predicted", "score", "has_mask")
MEASURED = ("empty", "chance", "energy", "energy_others", "energy_random", "pointing")
PANELS = (*SHOWN, *MEASURED, "label")


@dataclasses.dataclass(frozen=True)
class Explained:
    """What is known of a grid's maps.

    Attributes
    ----------
    measures, randomisation, panels : pandas.DataFrame
        Schemas ``explain_measures``, ``explain_randomisation`` and ``explain_panels``.
    pictures : dict of str to numpy.ndarray
        In the order of ``panels``: ``images`` uint8 (n, C, S, S), ``maps`` float16 (n, S, S) from 0 to 1, ``masks``
        uint8 (n, S, S).
    """

    measures: pd.DataFrame
    randomisation: pd.DataFrame
    panels: pd.DataFrame
    pictures: dict[str, np.ndarray]


def kept_fits(folders: Iterable[str | Path]) -> list[tuple[dict, Path]]:
    """List the kept classifiers of a grid with their cards, by cell, split and seed.

    Raises
    ------
    StudyError
        If there is none.
    """
    files = [file for folder in folders for file in Path(folder).glob("*.safetensors")]
    if not files:
        raise StudyError("no fit of this grid has kept its weights; set radiology.grids.NAME.keep_weights: true.")
    found = [(read_card(file), file) for file in files]
    for card, file in found:
        if lost := [key for key in ("cell", "split", "fit_seed", "preprocessing") if key not in card]:
            raise StudyError(f"{card_path(file)} lacks {lost[0]}: it is no fit of a grid. Run fit_cells again.")
    return sorted(found, key=lambda one: (one[0]["cell"]["cell"], one[0]["split"], one[0]["fit_seed"]))


def load_fit(
    card: dict, file: Path, datasets: Mapping[str, Dataset], splits: Mapping[str, pd.DataFrame], device: torch.device
) -> Fit:
    """Load a classifier and find its test images.

    Parameters
    ----------
    card, file
        From :func:`kept_fits`.
    datasets : mapping of str to Dataset
    splits : mapping of str to pandas.DataFrame
        Dataset -> schema ``image_splits``.
    device : torch.device

    Raises
    ------
    LeakageError
        If groups are kept together, and yet a patient or exam of a test image, or its pixels, trained the network.
    """
    cell = card["cell"]
    dataset = datasets[cell["dataset"]]
    rows = read_split(splits[dataset.name], dataset, cell["grouping"], card["split"])["test"]
    if cell["grouping"] == "groups":
        # split by images, copies do train, on purpose: the study asks what that is worth
        refuse_shared(card, dataset, f"{cell['cell']}, split {card['split']}", rows)
    network, _ = load_any(file)
    groups = row_groups(splits[dataset.name], dataset)
    names = cell["cell"], card["split"], card["fit_seed"]
    network = network.to(device).eval().requires_grad_(False)  # frozen, a graph is kept from the first shown layer on
    return Fit(*names, network, card["preprocessing"], dataset, rows, groups)


def explain_fits(
    found: list[tuple[dict, Path]],
    datasets: Mapping[str, Dataset],
    splits: Mapping[str, pd.DataFrame],
    options: Options,
    seed: int,
    device: torch.device,
) -> Explained:
    """Explain the test images of every fit; of each cell, the first fit gives the pictures.

    Parameters
    ----------
    found : list
        From :func:`kept_fits`.
    datasets, splits, device
        As :func:`load_fit`.
    options : Options
    seed : int
        The study's.

    Returns
    -------
    Explained
    """
    measures, stages, panels, pictures, shown = [], [], [], {"images": [], "maps": [], "masks": []}, set()
    for number, (card, file) in enumerate(found, start=1):
        fit = load_fit(card, file, datasets, splits, device)
        pairs = pair_table(fit, options, seed)
        maps = fit.maps(fit.network, pairs["row"].to_numpy(), pairs["class"].to_numpy(), options)
        own = measure_maps(fit, pairs, maps, options, seed).assign(dataset=fit.dataset.name)
        measures.append(own)
        stages.append(compare_randomised(fit, pairs, maps, options, seed).assign(dataset=fit.dataset.name))
        logger.info("fit %d of %d, %s: %d maps of %d images", number, len(found), file.stem, len(pairs), len(fit.rows))
        if fit.cell not in shown:
            shown.add(fit.cell)
            cases = choose_cases(pairs, options.examples, seed)
            panels.append(_describe(fit, own, cases))
            _add_pictures(pictures, fit.dataset, cases, maps)
    joined = {name: np.stack(parts) for name, parts in pictures.items()} if pictures["maps"] else {}
    tables = [pd.concat(parts, ignore_index=True) for parts in (measures, stages, panels)]
    return Explained(*tables, joined)


def _describe(fit: Fit, measured: pd.DataFrame, cases: pd.DataFrame) -> pd.DataFrame:
    labels = fit.dataset.images["label"].to_numpy()[cases["row"].to_numpy()]
    return measured.loc[cases.index].assign(kind=cases["kind"], label=labels)[list(PANELS)]


def _add_pictures(pictures: dict[str, list], dataset: Dataset, cases: pd.DataFrame, maps: np.ndarray) -> None:
    for place, row in zip(cases.index, cases["row"], strict=True):
        pictures["images"].append(np.asarray(dataset.pixels[row]))
        pictures["masks"].append(np.asarray(dataset.masks[row]))
        pictures["maps"].append(maps[place].astype(np.float16))
