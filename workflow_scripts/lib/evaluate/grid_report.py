"""All statistics of a grid: from fits and scores to the tables of ``compare_grid``."""

from collections.abc import Mapping

import pandas as pd

from workflow_scripts.lib.evaluate import grid_bootstrap, grid_grouping, grid_models, grid_ranks, grid_roc, grid_tests
from workflow_scripts.lib.evaluate.grid_select import honest, selected_cells
from workflow_scripts.lib.evaluate.grid_units import Units, score_units
from workflow_scripts.lib.study.errors import StudyError


def describe_images(index: pd.DataFrame, splits: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """Return image_id, exam_id and group of the images that stand in a split.

    Parameters
    ----------
    index : pandas.DataFrame
        Schema ``image_index``.
    splits : pandas.DataFrame
        Schema ``image_splits``.
    dataset : str

    Raises
    ------
    StudyError
        An image is in two groups, or in a split and not in the index.
    """
    groups = splits[["image_id", "group"]].drop_duplicates()
    repeated = groups[groups.duplicated("image_id")]
    if len(repeated):
        raise StudyError(f"{dataset}: image '{repeated['image_id'].iloc[0]}' is in two groups. Run group_images again.")
    images = groups.merge(index[["image_id", "exam_id"]], on="image_id", how="left", indicator=True)
    unknown = images[images["_merge"] == "left_only"]
    if len(unknown):
        raise StudyError(f"{dataset}: image '{unknown['image_id'].iloc[0]}' is in a split and not in images.tsv.")
    return images.drop(columns="_merge")


def select_units(
    scores: pd.DataFrame, selection: pd.DataFrame, images: Mapping[str, pd.DataFrame], datasets: Mapping[str, Mapping]
) -> list[Units]:
    """Score the units of the selected cell of each weights on each dataset."""
    return [
        score_units(
            scores, images[dataset], dataset, weights, cell, datasets.get(dataset, {}).get("exam_score") or "mean"
        )
        for dataset, chosen in selected_cells(selection).items()
        for weights, cell in chosen.items()
    ]


def compare(
    fits: pd.DataFrame,
    scores: pd.DataFrame,
    selection: pd.DataFrame,
    images: Mapping[str, pd.DataFrame],
    datasets: Mapping[str, Mapping],
    keys: list[str],
    options: Mapping,
    seed: int,
) -> dict[str, pd.DataFrame]:
    """Make all tables of a grid.

    Parameters
    ----------
    fits, scores, selection : pandas.DataFrame
        Schemas ``grid_fits``, ``grid_scores``, ``grid_selection``.
    images : mapping of str to pandas.DataFrame
        Dataset -> its images, see :func:`describe_images`.
    datasets : mapping
        Config key ``radiology.datasets``; ``exam_score`` is used.
    keys : list of str
        Settings of a cell.
    options : mapping
        n_bootstrap, level.
    seed : int

    Returns
    -------
    dict of str to pandas.DataFrame
        effects, variances, contrasts, tests, ranks, grouping, intervals, roc, calibration; each fits the schema
        ``grid_NAME``. All but ``grouping`` are about splits that keep groups whole, wherever there are any.
    """
    draws, level, own = options["n_bootstrap"], options["level"], honest(fits)
    # were all grouped fits of a dataset lost, the others must not stand for them
    selection = selection.merge(own[["dataset", "grouping"]].drop_duplicates(), on=["dataset", "grouping"])
    recommended = grid_models.fit_recommended(own)
    models = [*(grid_models.fit_published(own, name) for name in grid_models.PUBLISHED), recommended]
    groups = {dataset: table.set_index("image_id")["group"] for dataset, table in images.items()}
    units = select_units(scores, selection, images, datasets)
    return {
        "effects": grid_models.effects_table(models, level),
        "variances": grid_models.variances_table(models),
        "contrasts": grid_bootstrap.contrasts_table(recommended, scores, groups, draws, seed, level),
        "tests": grid_tests.tests_table(units, draws, seed, level),
        "ranks": grid_ranks.ranks_table(own, grid_ranks.count_classes(scores), keys),
        "grouping": grid_grouping.compare_groupings(fits, keys, level),
        "intervals": grid_tests.intervals_table(units, draws, seed, level),
        "roc": grid_roc.roc_table(units, draws, seed, level),
        "calibration": grid_roc.calibration_table(units, draws, seed, level),
    }
