"""Groups of images that may not be parted: copies of each other, and images of one exam or one patient."""

import logging
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from workflow_scripts.lib.radiology.alignment import Aligner, flip
from workflow_scripts.lib.radiology.hashes import find_pairs
from workflow_scripts.lib.radiology.neighbours import find_candidates, thumbnails

PIXELS = ("hash", "mirror", "crop", "neighbour")  # found on pixels, in the order of their names' claim to a pair
IDS = ("exam", "patient")
PAIRS = ["image_a", "image_b", "found_by", "flip", "distance", "correlation", "copy", "same_label", "same_class"]
EVERY = 5000  # candidates between two lines of the log


def find_copies(images: np.ndarray, options: Mapping, views: Iterable | None = None) -> tuple[pd.DataFrame, int]:
    """Find the pairs of images that show the same pixels.

    Candidates come from hashes and from the nearest features; every one is laid on its partner, and is a pair if the
    two then correlate.

    Parameters
    ----------
    images : numpy.ndarray
        uint8 (n, S, S).
    options : mapping
        Config ``radiology.grouping``: bits, distance, crops, neighbours, correlation.
    views : iterable, optional
        Features as :func:`neighbours.find_candidates` wants them, whose nearest images are tried beside those of
        thumbnails.

    Returns
    -------
    pairs : pandas.DataFrame
        a < b (places), flip, distance, found_by, correlation.
    checked : int
        Number of candidates.
    """
    hashed = find_pairs(images, options["bits"], options["distance"], options["crops"])
    # every candidate is checked below, so that features can only add pairs; alone they would miss crops
    sources = [thumbnails(images, options["crops"])] + ([] if views is None else [views])
    near = [find_candidates(source, options["neighbours"]) for source in sources]
    # a pair may be a candidate twice, mirrored and not: both are tried, since only one is the true way
    candidates = pd.concat([hashed, *near], ignore_index=True).drop_duplicates(["a", "b", "flip"])
    candidates = candidates.astype({"a": int, "b": int})  # of none, pandas makes other numbers
    aligner = Aligner(images)
    correlations = []
    for place, (a, b, how) in enumerate(zip(candidates["a"], candidates["b"], candidates["flip"], strict=True)):
        if place and place % EVERY == 0:
            logging.info("%d of %d candidates laid on each other", place, len(candidates))
        same = np.array_equal(flip(images[a], how), images[b])  # also of pictures without any detail
        correlations.append(1.0 if same else aligner.match(a, b, how).correlation)
    pairs = candidates.assign(correlation=np.array(correlations, dtype=float))
    pairs = pairs[pairs["correlation"] >= options["correlation"]]
    best = pairs.sort_values(["a", "b", "correlation", "flip"], ascending=[True, True, False, True], kind="stable")
    return best.drop_duplicates(["a", "b"]).reset_index(drop=True), len(candidates)


def _components(n: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Number the connected parts of a graph of ``n`` images with edges a - b."""
    edges = coo_array((np.ones(len(a), np.int8), (np.asarray(a, int), np.asarray(b, int))), shape=(n, n))
    return connected_components(edges, directed=False)[1]


def _id_pairs(images: pd.DataFrame) -> pd.DataFrame:
    """Tie each image to the first one of its exam and of its patient: places a < b, found_by."""
    parts = []
    for kind in IDS:
        known = images[images[f"{kind}_id"].notna()]
        first = known.groupby(f"{kind}_id")["place"].transform("min")
        tied = first < known["place"]
        parts.append(pd.DataFrame({"a": first[tied], "b": known.loc[tied, "place"], "found_by": kind}))
    return pd.concat(parts, ignore_index=True).drop_duplicates(["a", "b"])


def join_groups(images: pd.DataFrame, copies: pd.DataFrame, copy: float) -> dict[str, pd.DataFrame]:
    """Join copies, exams and patients to groups, and drop copies that carry different classes.

    Parameters
    ----------
    images : pandas.DataFrame
        Schema ``image_index``, line i being place i.
    copies : pandas.DataFrame
        As :func:`find_copies` gives it.
    copy : float
        Correlation from which a pair is one picture twice, so that its labels must agree; below, and within an exam, it
        is the same tissue in another frame.

    Returns
    -------
    dict of pandas.DataFrame
        groups, pairs and conflicts (schemas ``image_groups``, ``image_pairs``, ``image_conflicts``).
    """
    images = images.reset_index(drop=True)
    images = images.assign(place=np.arange(len(images)))
    ties = _id_pairs(images)
    n, names = len(images), images["image_id"]
    part = _components(n, np.r_[copies["a"], ties["a"]], np.r_[copies["b"], ties["b"]])
    group = names.groupby(part).transform("min")
    exams = [images["exam_id"].to_numpy()[copies[side].to_numpy(int)] for side in ("a", "b")]
    apart = pd.isna(exams[0]) | (exams[0] != exams[1])  # slices of one exam look alike and may have labels of their own
    copies = copies.assign(copy=(copies["correlation"] >= copy).to_numpy() & apart)
    strict = copies[copies["copy"]]
    picture = _components(n, strict["a"], strict["b"])
    labels, classes = (images[column].groupby(picture).transform("nunique") for column in ("label", "y"))
    groups = pd.DataFrame({"image_id": names, "group": group, "kept": classes == 1})
    pairs = pd.concat([copies, ties], ignore_index=True).drop_duplicates(["a", "b"])  # pixels say more than ids
    first, second = images.iloc[pairs["a"]], images.iloc[pairs["b"]]
    pairs = pairs.assign(
        image_a=first["image_id"].to_numpy(),
        image_b=second["image_id"].to_numpy(),
        copy=pairs["copy"].eq(True).to_numpy(),
        same_label=first["label"].to_numpy() == second["label"].to_numpy(),
        same_class=first["y"].to_numpy() == second["y"].to_numpy(),
    )
    odd = images.assign(picture=names.groupby(picture).transform("min"), kept=classes == 1)[labels > 1]
    conflicts = odd[["picture", "image_id", "label", "y", "kept"]].sort_values(["picture", "image_id"])
    return {
        "groups": groups.sort_values("image_id").reset_index(drop=True),
        "pairs": pairs[PAIRS].sort_values(["image_a", "image_b"]).reset_index(drop=True),
        "conflicts": conflicts.reset_index(drop=True),
    }


def summarise(images: pd.DataFrame, found: Mapping[str, pd.DataFrame], checked: int, dataset: str) -> pd.DataFrame:
    """Count what was found.

    Parameters
    ----------
    images : pandas.DataFrame
        Schema ``image_index``.
    found : mapping
        As :func:`join_groups` gives it.
    checked : int
        Candidate pairs that were laid on each other.
    dataset : str

    Returns
    -------
    pandas.DataFrame
        Schema ``image_group_summary``.
    """
    groups, pairs = found["groups"], found["pairs"]
    sizes = groups["group"].value_counts()
    patient = images.set_index("image_id")["patient_id"]
    pixels = pairs[pairs["found_by"].isin(PIXELS)]
    people = [pixels[column].map(patient) for column in ("image_a", "image_b")]
    strangers = people[0].notna() & people[1].notna() & (people[0].to_numpy() != people[1].to_numpy())
    rows = {"images": len(groups), "groups": len(sizes), "groups_of_several": (sizes > 1).sum()}
    rows |= {"images_in_groups_of_several": sizes[sizes > 1].sum(), "largest_group": sizes.max()}
    rows |= {"candidates": checked}
    rows |= {f"pairs_{kind}": (pairs["found_by"] == kind).sum() for kind in (*PIXELS, *IDS)}
    rows |= {"pairs_copy": pairs["copy"].sum(), "pairs_copy_other_label": (pairs["copy"] & ~pairs["same_label"]).sum()}
    rows |= {"pairs_across_patients": strangers.sum(), "images_dropped": (~groups["kept"]).sum()}
    table = pd.DataFrame({"dataset": dataset, "quantity": list(rows), "value": [int(value) for value in rows.values()]})
    logging.info("%s: %s", dataset, ", ".join(f"{name} {value}" for name, value in rows.items()))
    return table
