"""How well the site of a scan can be told from its features: what harmonisation has to take out."""

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from workflow_scripts.lib.features.combat import design
from workflow_scripts.lib.study.seeds import derive_seed

FOLDS = 10


def assess_sites(
    tables: dict[str, pd.DataFrame], people: pd.DataFrame, covariates: list[str], level: float, seed: int
) -> pd.DataFrame:
    """Classify the site of people outside training by each table of features, and by the covariates alone.

    Sites differ in whom they scan, and harmonisation keeps the effects of its covariates: what age and sex tell about
    the site stays in the features and is no fault of theirs. The row ``covariates`` says how much that is.

    Parameters
    ----------
    tables : dict of str to pandas.DataFrame
        Features by name, rows those of ``people``.
    people : pandas.DataFrame
        Schema ``scans``.
    covariates : list of str
        That harmonisation keeps.
    level : float
        Coverage of the intervals (Clopper-Pearson).
    seed : int

    Returns
    -------
    pandas.DataFrame
        features, split (test), sites, people, chance (share of the largest site), accuracy, lower, upper; missing
        accuracies where fewer than two sites have :data:`FOLDS` people.

    Notes
    -----
    Linear discriminant analysis with the shrinkage of Ledoit and Wolf, ten-fold, first scans only.
    """
    known = design(people, covariates)
    kept = choose_scans(people, known)
    sites = people.loc[kept, "site"].to_numpy(str)
    tables = tables | {"covariates": pd.DataFrame(known, people.index)}
    return pd.DataFrame(
        [
            {"features": name, "split": "test"} | _classify(table.loc[kept].to_numpy(float), sites, level, seed)
            for name, table in tables.items()
        ]
    )


def choose_scans(people: pd.DataFrame, covariates: np.ndarray) -> np.ndarray:
    """Choose first scans of people outside training with all covariates, of sites with :data:`FOLDS` people or more.

    Returns
    -------
    numpy.ndarray
        bool, one a scan.
    """
    kept = (people["split"] == "test") & ~np.isnan(covariates).any(axis=1)
    first = people[kept].sort_values("age", kind="stable").drop_duplicates("participant_id").index
    kept &= people.index.isin(first)
    counts = people.loc[kept, "site"].value_counts()
    return (kept & people["site"].isin(counts[counts >= FOLDS].index)).to_numpy()


def _classify(x: np.ndarray, sites: np.ndarray, level: float, seed: int) -> dict:
    """Classify sites by cross-validation."""
    names, counts = np.unique(sites, return_counts=True)
    found = {"sites": len(names), "people": len(sites), "chance": np.nan}
    if len(names) < 2 or x.shape[1] == 0:
        return found | dict.fromkeys(("accuracy", "lower", "upper"), np.nan)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=derive_seed(seed, "sites") % 2**32)
    model = make_pipeline(StandardScaler(), LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"))
    right = 0
    for train, test in folds.split(x, sites):
        right += int((model.fit(x[train], sites[train]).predict(x[test]) == sites[test]).sum())
    interval = stats.binomtest(right, len(sites)).proportion_ci(level, method="exact")
    accuracy = {"accuracy": right / len(sites), "lower": interval.low, "upper": interval.high}
    return found | {"chance": counts.max() / len(sites)} | accuracy
