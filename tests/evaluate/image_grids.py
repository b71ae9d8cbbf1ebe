"""Grids of image classifiers whose truth is known, in the shape of the tables of a real one.

The score of an image is its class times a distance, plus what all fits see of its group, what fits of the same weights
see of it, the same in one split only (fits that share a training set), what fits of the same cell see, and noise of the
fit: all normal. Effects shift the distance of a weights or head.
"""

import itertools

import numpy as np
import pandas as pd
from scipy import special, stats

from workflow_scripts.lib.evaluate import grid_bootstrap, grid_models

KEYS = ["dataset", "weights", "backbone", "head", "lr_decay", "grouping", "filters"]
FACTORS = {
    "dataset": ["knee"],
    "weights": ["nature", "xray"],
    "backbone": ["deep", "small"],
    "head": ["Conv", "Linear"],
    "lr_decay": ["beta", "cosine"],
}
SPREAD = (0.7, 0.4, 0.2, 0.2, 0.3)


def cells(factors):
    """Return the cells of all combinations."""
    rows = [dict(zip(factors, values, strict=True)) for values in itertools.product(*factors.values())]
    table = pd.DataFrame(rows)
    table["cell"] = table.astype(str).agg(".".join, axis=1)
    for key, value in (("grouping", "groups"), ("filters", 16)):
        table[key] = table.get(key, pd.Series(value, index=table.index))
    return table


def draw_images(rng, dataset, groups=60, size=2):
    """Return images of groups of 1 to ``size``; half of the groups are positive."""
    sizes = rng.integers(1, size + 1, groups)
    group = np.repeat(np.arange(groups), sizes)
    names = [f"{dataset}-{number:04d}" for number in range(len(group))]
    exam = [f"{dataset}-exam{place:03d}" for place in group]
    return pd.DataFrame({"image_id": names, "exam_id": exam, "group": exam, "y": group % 2})


def draw_splits(rng, images, splits=1, share=0.5):
    """Return split, image_id, set: whole groups, ``share`` of them test, the others validation."""
    parts = []
    for split in range(splits):
        tested = set()
        for _, part in images.groupby("y"):
            names = part["group"].unique()
            tested |= set(rng.permutation(names)[: round(share * len(names))])
        which = np.where(images["group"].isin(tested), "test", "validation")
        parts.append(images[["image_id"]].assign(split=split, set=which))
    return pd.concat(parts, ignore_index=True)


def simulate(rng, factors=None, groups=60, size=2, splits=1, seeds=1, auc=0.8, effect=None, spread=SPREAD):
    """Simulate a grid.

    ``auc``: of a fit, about; ``effect``: {(factor, level): shift of the distance}; ``spread``: sd of what all fits,
    fits of the weights, these in a split, and fits of the cell see of a group, and of a fit's noise at each image.

    Returns fits, scores, images (by dataset).
    """
    table, effect = cells(factors or FACTORS), effect or {}
    fits, scores, images = [], [], {}
    base = np.sqrt(2) * stats.norm.ppf(auc) * np.sqrt(np.square(spread).sum())
    for dataset, part in table.groupby("dataset"):
        own = images[dataset] = draw_images(rng, dataset, groups, size)
        place, y = np.unique(own["group"], return_inverse=True)[1], own["y"].to_numpy()
        common = spread[0] * rng.normal(size=groups)[place]
        names = sorted(part["weights"].unique())
        seen = {name: spread[1] * rng.normal(size=groups)[place] for name in names}
        trained = {
            (name, split): spread[2] * rng.normal(size=groups)[place] for name in seen for split in range(splits)
        }
        sets = draw_splits(rng, own, splits)["set"].to_numpy().reshape(splits, -1)
        for cell in part.to_dict("records"):
            distance = base + sum(value for (factor, level), value in effect.items() if cell[factor] == level)
            of_cell = spread[3] * rng.normal(size=groups)[place]
            for split, seed in itertools.product(range(splits), range(seeds)):
                value = distance * (y - 0.5) + common + seen[cell["weights"]] + of_cell
                value = value + trained[cell["weights"], split] + spread[4] * rng.normal(size=len(y))
                score, which = special.expit(value), sets[split]
                ids = {"cell": cell["cell"], "split": split, "seed": seed}
                columns = {"set": which, "image_id": own["image_id"].to_numpy(), "y": y, "positive": y == 1}
                scores.append(ids | columns | {"score": score, "predicted": (score > 0.5).astype(int)})
                areas = {f"{name}_auc": area(y[which == name], score[which == name]) for name in ("validation", "test")}
                fits.append({**cell, **ids, "leaks": 0.0, **areas})
    return pd.DataFrame(fits), pd.concat([pd.DataFrame(rows) for rows in scores], ignore_index=True), images


def area(y, score):
    """Return the AUC by counting pairs."""
    return float((np.sign(score[y == 1][:, None] - score[y == 0]) + 1).mean() / 2)


def groups_of(images):
    """Return dataset -> group of each image."""
    return {dataset: table.set_index("image_id")["group"] for dataset, table in images.items()}


def analyse(rng, seed, splits=1, seeds=1, groups=100, n_bootstrap=500, **design):
    """Simulate a grid whose weights are equal (or have an ``effect``) and tell what each analysis rejects at 5%."""
    spread = (0.7, 0.4, 0.0 if splits == 1 else 0.2, 0.2, 0.3)
    fits, scores, images = simulate(rng, groups=groups, splits=splits, seeds=seeds, spread=spread, **design)
    published = grid_models.fit_published(fits, "published_weights").fitted.terms["p"].iloc[1]
    model = grid_models.fit_recommended(fits)
    row = grid_bootstrap.contrasts_table(model, scores, groups_of(images), n_bootstrap, seed).iloc[0]
    return {
        "published": published < 0.05,
        "settings": row["p_settings"] < 0.05,
        "groups": row["lower_groups"] > 0 or row["upper_groups"] < 0,
        "both": row["p_both"] < 0.05,
        "estimate": row["estimate"],
        "se_settings": row["se_settings"],
        "se_groups": row["se_groups"],
    }
