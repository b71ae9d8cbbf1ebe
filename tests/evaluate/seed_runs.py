"""The seed's 176 published runs as the table of a grid."""

from pathlib import Path

import pandas as pd

DATA = Path(__file__).resolve().parents[1] / "data" / "statistics"
NAMES = {"task": "dataset", "pretrain": "weights", "clf": "head", "numfilters": "filters", "lrdecay": "lr_decay"}
NAMES |= {"fcsizeratio": "ratio", "val_auc": "validation_auc"}
COUNTS = {"acl": (58, 45), "breast": (21, 57)}  # positives and negatives that test
KEYS = ["dataset", "weights", "backbone", "head", "lr_decay", "ratio", "filters"]


def read_runs():
    """Return the runs with the columns of schema grid_fits that they have."""
    runs = pd.read_csv(DATA / "seed003_grid_v4.csv").rename(columns=NAMES)
    runs["cell"] = runs[KEYS].astype(str).agg(".".join, axis=1)
    return runs.assign(split=0, seed=0, grouping="groups")


def class_counts(runs):
    """Return positives and negatives of the test set of each run."""
    counts = pd.DataFrame([COUNTS[name] for name in runs["dataset"]], columns=["positives", "negatives"])
    return pd.concat([runs[["cell", "split", "seed"]].reset_index(drop=True), counts], axis=1)
