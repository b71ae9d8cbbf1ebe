"""Numbered splits of the images of a dataset into train, validation and test: drawn, read, and guarded."""

import logging
from collections.abc import Mapping

import numpy as np
import pandas as pd

from workflow_scripts.lib.study.errors import LeakageError, StudyError
from workflow_scripts.lib.study.seeds import generator

SETS = ("train", "validation", "test")
GROUPINGS = ("groups", "images")
COLUMNS = ["grouping", "split", "image_id", "group", "y", "set"]
TRIES = 200  # draws until every class stands in every set; a draw that can succeed does so in a few
SHOWN = 5  # groups that a message names


def refuse_shared_groups(groups: np.ndarray, sets: np.ndarray, what: str) -> None:
    """Refuse a split that parts a group.

    Parameters
    ----------
    groups, sets : (n,) arrays of str
        Group and set of each image.
    what : str
        What is split, for the message: ``dataset 'busi', split 0``.

    Raises
    ------
    LeakageError
        Names up to five groups with their sets, and how to mend it.
    """
    found = pd.DataFrame({"group": np.asarray(groups, dtype=str), "set": np.asarray(sets, dtype=str)})
    found = found.drop_duplicates()
    parted = found[found.duplicated("group", keep=False)]
    if parted.empty:
        return
    names = [f"'{group}' in {' and '.join(sorted(rows))}" for group, rows in parted.groupby("group")["set"]]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    raise LeakageError(
        f"{what}: groups stand in two sets: {', '.join(names[:SHOWN])}{more}. Images of a group are copies or of one "
        "patient, so that the test would know them. Put each group into one set, or give no sets and let them be drawn."
    )


def read_split(table: pd.DataFrame, dataset: object, grouping: str, split: int) -> dict[str, np.ndarray]:
    """Find the images of each set of one split.

    Parameters
    ----------
    table : pandas.DataFrame
        Schema ``image_splits``.
    dataset : Dataset
        Only its ``images`` (image_id, row) and ``name`` are used.
    grouping : {"groups", "images"}
        Whether groups are kept together.
    split : int
        Number of the split.

    Returns
    -------
    dict of str to (n,) numpy.ndarray of int64
        train, validation, test: places in the arrays of the dataset, in rising order.

    Raises
    ------
    StudyError
        There is no such split, or an image of it is not in the dataset.
    LeakageError
        Groups are to be kept together and one stands in two sets.
    """
    part = table[(table["grouping"] == grouping) & (table["split"] == split)]
    what = f"dataset '{dataset.name}', grouping '{grouping}', split {split}"
    if part.empty:
        have = table.loc[table["grouping"] == grouping, "split"].nunique()
        raise StudyError(f"{what}: not drawn; there are {have}. Raise radiology.splits.count or ask for fewer splits.")
    rows = part["image_id"].map(dataset.images.set_index("image_id")["row"])
    if rows.isna().any():
        lost = part.loc[rows.isna(), "image_id"].iloc[0]
        raise StudyError(f"{what}: image '{lost}' is not in the dataset. Draw the splits again (rule draw_splits).")
    if grouping == "groups":
        refuse_shared_groups(part["group"], part["set"], what)
    rows = rows.to_numpy(np.int64)
    sets = part["set"].to_numpy(str)
    return {name: np.sort(rows[sets == name]) for name in SETS}


def row_groups(table: pd.DataFrame, dataset: object) -> np.ndarray:
    """Give every image of a dataset its group.

    Parameters
    ----------
    table : pandas.DataFrame
        Schema ``image_splits``; its groups are the same in all splits.
    dataset : Dataset
        Only its ``images`` are used.

    Returns
    -------
    (n,) numpy.ndarray of str
        By row of the arrays; an image that no split has (a conflicting label) is its own group.
    """
    images = dataset.images.sort_values("row")
    known = table.drop_duplicates("image_id").set_index("image_id")["group"]
    return images["image_id"].map(known).fillna(images["image_id"]).to_numpy(str)


def leaked_share(split: Mapping[str, np.ndarray], groups: np.ndarray) -> float:
    """Say what share of the test images has its group in training too.

    Parameters
    ----------
    split : mapping of str to (n,) int arrays
        As :func:`read_split` gives it.
    groups : (n,) numpy.ndarray of str
        Group by row (:func:`row_groups`).

    Returns
    -------
    float
        In [0, 1]; nan without test images.
    """
    test = groups[split["test"]]
    return float(np.isin(test, groups[split["train"]]).mean()) if len(test) else float("nan")


def _targets(counts: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Say how many images of each class each set should have, at least one of each where the class has enough.

    ``counts`` are images by class (k,), ``shares`` those of the sets (s,), train first; the result is (s, k).
    """
    targets = np.outer(shares, counts)
    targets[1:] = np.where(counts >= len(shares), np.maximum(targets[1:], 1), targets[1:])
    targets[0] = counts - targets[1:].sum(axis=0)
    return targets


def _place(counts: np.ndarray, targets: np.ndarray, fixed: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Place groups (g, k: images by class) into sets (s, k); ``fixed`` has the set of a group, or -1.

    Large groups first, ties in random order. A set may take a group if it lacks half of its images (of all classes
    together), and is asked for it if that brings its classes nearer to the targets; among those the draw is by what
    each lacks, so that every group may come to the test. Without any such set the group goes where most is lacking.
    """
    lacking = targets.copy()
    np.subtract.at(lacking, fixed[fixed >= 0], counts[fixed >= 0])
    placed = fixed.copy()
    free = np.flatnonzero(fixed < 0)
    free = draw.permutation(free)
    free = free[np.argsort(-counts[free].sum(axis=1), kind="stable")]
    chances = draw.random(len(free))
    for group, chance in zip(free, chances, strict=True):
        own = counts[group]
        total, gain = lacking.sum(axis=1), lacking @ own
        may = total >= own.sum() / 2
        if not may.any():
            chosen = int(total.argmax())
        else:
            wanted = np.where(may & (gain >= own @ own / 2), gain, 0)
            if wanted.sum() > 0:
                chosen = int(np.searchsorted(wanted.cumsum(), chance * wanted.sum(), side="right"))
            else:
                chosen = int(np.where(may, gain, -np.inf).argmax())
        placed[group] = chosen
        lacking[chosen] -= own
    return placed


def _refuse_classes(counts: np.ndarray, classes: np.ndarray, what: str) -> None:
    found = "; ".join(
        f"class {name}: {images:.0f} images in {groups} groups"
        for name, images, groups in zip(classes, counts.sum(axis=0), (counts > 0).sum(axis=0), strict=True)
    )
    raise StudyError(
        f"{what}: no draw puts every class into train, validation and test ({found}). A class needs a group for each "
        "set. Add images, merge classes (radiology.datasets: classes), or raise the shares (radiology.splits)."
    )


def _refuse_given(found: np.ndarray, classes: np.ndarray, what: str) -> None:
    """Refuse sets that the user gave for all images, unless each set has every class; ``found`` are images (s, k)."""
    for name, own in zip(SETS, found, strict=True):
        if not own.all():
            lacks = f"no {name}" if not own.any() else f"no image of class {classes[own == 0][0]} for {name}"
            source = "test" if name == "train" else "train"
            raise StudyError(
                f"{what}: the column set gives {lacks}. Leave some {source} rows n/a, whose sets are then drawn, or "
                f"add {name} rows."
            )


def place_groups(
    groups: np.ndarray, y: np.ndarray, shares: Mapping[str, float], draw: np.random.Generator, what: str, given=None
) -> np.ndarray:
    """Draw a set for every image so that no group is parted.

    Parameters
    ----------
    groups : (n,) array of str
        Names of things that may not be parted; image ids split by image.
    y : (n,) array of int
        Classes, which the sets share out alike as nearly as the groups allow.
    shares : mapping
        ``validation`` and ``test``: shares of the images; train has the rest.
    draw : numpy.random.Generator
    what : str
        For messages.
    given : (n,) array of str or None, optional
        Sets that the user fixed, None or nan elsewhere.

    Returns
    -------
    (n,) numpy.ndarray of str

    Raises
    ------
    StudyError
        No draw put every class into every set, or the user's sets, given for all images, lack one.
    LeakageError
        The user's sets part a group.

    Notes
    -----
    Without ``given``, a set's number of images differs from its share of all by at most the size of the largest group,
    and one more for each class so rare that its share of a set is below one image. Proof: a set is only chosen when it
    lacks half of the group or more, so it overshoots by half of a group at most; the two others together leave a set
    short by no more than that twice. If no set lacks half of the group, none can end more than half of it short, and
    the fullest need is a third of it at least.
    """
    names, place = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    classes, label = np.unique(y, return_inverse=True)
    counts = np.zeros((len(names), len(classes)))
    np.add.at(counts, (place, label), 1)
    fixed = np.full(len(names), -1)
    if given is not None:
        known = ~pd.isna(np.asarray(given, dtype=object))
        sets = np.asarray(given, dtype=object)[known].astype(str)
        refuse_shared_groups(names[place[known]], sets, what)
        fixed[place[known]] = [SETS.index(name) for name in sets]
        if (fixed >= 0).all():
            found = np.zeros((len(SETS), len(classes)))
            np.add.at(found, fixed, counts)
            _refuse_given(found, classes, what)
    portions = np.array([1 - shares["validation"] - shares["test"], shares["validation"], shares["test"]])
    targets = _targets(counts.sum(axis=0), portions)
    if ((counts > 0).sum(axis=0) >= len(SETS)).all():
        for _ in range(TRIES):
            placed = _place(counts, targets, fixed, draw)
            found = np.zeros_like(targets)
            np.add.at(found, placed, counts)
            if (found > 0).all():
                return np.array(SETS)[placed[place]]
    return _refuse_classes(counts, classes, what)


def draw_splits(images: pd.DataFrame, groups: pd.DataFrame, options: Mapping, seed: int, dataset: str) -> pd.DataFrame:
    """Draw all splits of a dataset, by groups and, as published, by images.

    Parameters
    ----------
    images : pandas.DataFrame
        Schema ``image_index``.
    groups : pandas.DataFrame
        Schema ``image_groups``; only images that are kept are split.
    options : mapping
        ``count``, ``validation``, ``test`` (config: ``radiology.splits``).
    seed : int
        Seed of the study.
    dataset : str

    Returns
    -------
    pandas.DataFrame
        Schema ``image_splits``. Sets that the user gave (``split_given``) are those of split 0 of both groupings.

    Raises
    ------
    StudyError
        No image of a class is kept, or see :func:`place_groups`.
    LeakageError
        See :func:`place_groups`.
    """
    table = images[["image_id", "y", "split_given"]].merge(groups[groups["kept"]], on="image_id", validate="1:1")
    table = table.sort_values("image_id").reset_index(drop=True)
    _refuse_lost(images["y"], table["y"], dataset)
    given = table["split_given"].where(table["split_given"].notna(), None)
    given = given if table["split_given"].notna().any() else None
    if given is not None:
        known = given.notna()
        refuse_shared_groups(table["group"][known], given[known], f"dataset '{dataset}', sets given (column set)")
    parts = []
    for grouping in GROUPINGS:
        kept_together = table["group"] if grouping == "groups" else table["image_id"]
        for split in range(options["count"]):
            draw = generator(seed, "draw_splits", dataset, grouping, split)
            what = f"dataset '{dataset}', grouping '{grouping}', split {split}"
            own = given if split == 0 else None
            sets = place_groups(kept_together.to_numpy(), table["y"].to_numpy(), options, draw, what, own)
            parts.append(table[["image_id", "group", "y"]].assign(grouping=grouping, split=split, set=sets))
    drawn = pd.concat(parts, ignore_index=True)[COLUMNS]
    log_leaks(drawn, dataset)
    return drawn


def _refuse_lost(all_y: pd.Series, kept_y: pd.Series, dataset: str) -> None:
    """Refuse a dataset whose conflicting labels have taken every image of a class."""
    lost = sorted(set(all_y) - set(kept_y))
    if lost:
        found = ", ".join(f"class {name} ({int((all_y == name).sum())} images)" for name in lost)
        raise StudyError(
            f"dataset '{dataset}': no image of {found} is kept, since copies of each carry another class. They "
            "stand in conflicts.tsv of group_images: correct their labels, or drop the wrong copies."
        )


def log_leaks(drawn: pd.DataFrame, dataset: str) -> None:
    """Write into the log what share of the test images each grouping leaks, mean over splits."""
    for grouping, part in drawn.groupby("grouping"):
        shares = []
        for _, one in part.groupby("split"):
            rows = {name: np.flatnonzero(one["set"] == name) for name in SETS}
            shares.append(leaked_share(rows, one["group"].to_numpy(str)))
        logging.info("%s by %s: %.3f of test images have a group that also trains", dataset, grouping, np.mean(shares))
