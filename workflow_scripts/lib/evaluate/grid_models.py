r"""Mixed models of the test AUCs of a grid: as published, and the recommended one with planned contrasts.

Published (seed study of breast ultrasound and knee MRI): ``test_auc ~ weights`` or ``~ head`` with random intercepts
of all other factors. Their residual describes settings: one test set a dataset is shared by all its fits, and the
model does not know.

Recommended: ``test_auc ~ weights * dataset * backbone + head + lr_decay`` (those that vary, and further factors that
vary and that all heads share) with random intercepts of splits and of cells within splits, where there are several
splits and seeds. A factor that a grid cannot tell from another one is left out of either model and named. A contrast
is a weighted sum of the fits' AUCs, :math:`c'(X'\Omega^{-1}X)^{-1}X'\Omega^{-1}y`: the weights go on to
:mod:`~workflow_scripts.lib.evaluate.grid_bootstrap`, which recomputes the sum under draws of test groups.
"""

import dataclasses
import itertools

import numpy as np
import pandas as pd

from workflow_scripts.lib.evaluate.design import expand, fixed_columns
from workflow_scripts.lib.evaluate.mixed import Mixed, fit_mixed
from workflow_scripts.lib.study.errors import StudyError

RESPONSE = "test_auc"
PUBLISHED = {
    "published_weights": ("weights", ["head", "filters", "lr_decay", "backbone", "dataset"]),
    "published_head": ("head", ["dataset", "weights", "backbone", "lr_decay", "filters"]),
}
CROSSED = ["weights", "dataset", "backbone"]
# besides them, whatever else varies and can be told apart
FURTHER = ["head", "lr_decay", "structure", "batch_norm", "optimizer", "learning_rate", "weight_decay", "epochs"]
FURTHER += ["batch", "balance", "augment", "precision"]
# settings that some heads, optimizers or decays have and others not: in the model where every fit has one and every
# head all of their levels, else what is compared is averaged over them
OWN = ["filters", "kernel", "ratio", "dropout", "faithful", "momentum", "nesterov", "beta", "preprocessing"]
# settings whose levels are compared over all else; the other further ones are only held
COMPARED = ["head", "structure"]
NONE = "none"


@dataclasses.dataclass(frozen=True)
class GridModel:
    """A model of the AUCs of a grid.

    Attributes
    ----------
    name : str
    table : pandas.DataFrame, one row a fit
        Factors as text.
    fixed, random : list of str
    left_out : list of str
        Factors and terms that this grid cannot tell.
    fitted : Mixed or None
        None where there are too few fits for a residual.
    """

    name: str
    table: pd.DataFrame
    fixed: list[str]
    random: list[str]
    left_out: list[str]
    fitted: Mixed | None

    @property
    def formula(self) -> str:
        """The model in R's notation."""
        return f"{RESPONSE} ~ " + " + ".join([*(self.fixed or ["1"]), *(f"(1|{name})" for name in self.random)])


def prepare(fits: pd.DataFrame) -> pd.DataFrame:
    """Keep the fits that have a test AUC and write factors as text.

    ``filters`` that a head has not counts as the least in the grid, as in the published table. Splits of different
    datasets have nothing in common, so that a split is named with its dataset.
    """
    table = fits[fits[RESPONSE].notna()].reset_index(drop=True)
    if table.empty:
        raise StudyError("no fit of the grid has a test AUC; see the log of collect_grid for what failed.")
    table = table.assign(split=table["dataset"].astype(str) + " " + table["split"].astype(str))
    if "filters" in table and table["filters"].notna().any():
        table["filters"] = table["filters"].fillna(table["filters"].min())
    for factor in {*CROSSED, *FURTHER, *OWN, "cell"} & {*table.columns}:
        # numbers such as 16.0 and 16 are one level
        number = pd.to_numeric(table[factor], errors="coerce")
        text = table[factor].astype(object).where(table[factor].notna(), NONE).astype(str)
        table[factor] = text if number.isna().any() or table[factor].dtype == bool else number.map("{:g}".format)
    return table


def _varying(table: pd.DataFrame, factors: list[str]) -> list[str]:
    return [factor for factor in factors if factor in table and table[factor].nunique() > 1]


def fit_published(fits: pd.DataFrame, name: str) -> GridModel:
    """Fit a published model, without the factors that have one level here.

    The compared factor is left out too where the others' levels say what it is (each dataset has its own weights, say):
    its effect would be a difference of datasets.

    Parameters
    ----------
    fits : pandas.DataFrame
        dataset, weights, backbone, head, filters, lr_decay, cell, split, test_auc.
    name : {'published_weights', 'published_head'}

    Returns
    -------
    GridModel
    """
    table = prepare(fits)
    factor, others = PUBLISHED[name]
    random = [other for other in _varying(table, others) if table[other].nunique() < len(table)]
    fixed = [] if _aliased(table, factor, random) else _varying(table, [factor])
    left_out = [other for other in [factor, *others] if other not in [*fixed, *random]]
    return GridModel(name, table, fixed, random, left_out, _fit(table, fixed, random))


def _aliased(table: pd.DataFrame, factor: str, others: list[str]) -> bool:
    """Say whether a level of a factor cannot be told from levels of others, were they fixed."""
    own, rest = (fixed_columns(table, names)[1] for names in ([factor], others))
    both = np.hstack([rest, own[:, 1:]])
    return bool(np.linalg.matrix_rank(both) < np.linalg.matrix_rank(rest) + own.shape[1] - 1)


def _fit(table: pd.DataFrame, fixed: list[str], random: list[str]) -> Mixed | None:
    """Fit where something is left to explain."""
    columns = fixed_columns(table, fixed)[1]
    if len(table) <= columns.shape[1]:
        return None
    y = table[RESPONSE].to_numpy(dtype=np.float64)
    rest = y - columns @ np.linalg.lstsq(columns, y, rcond=None)[0]
    return None if np.abs(rest).max() <= 1e-10 else fit_mixed(table, RESPONSE, fixed, random)


def _tellable(table: pd.DataFrame, terms: list[str]) -> tuple[list[str], list[str]]:
    """Take terms one by one if all their columns tell something new; return those taken and those not."""
    taken, refused = [], []
    for term in terms:
        parts = [":".join(part) for part in itertools.combinations(term.split(":"), term.count(":"))]
        columns = fixed_columns(table, [*taken, term])[1]
        if all(part in taken for part in parts if part) and np.linalg.matrix_rank(columns) == columns.shape[1]:
            taken.append(term)
        else:
            refused.append(term)
    return taken, refused


def fit_recommended(fits: pd.DataFrame) -> GridModel:
    """Fit the recommended model as far as the grid allows.

    Parameters
    ----------
    fits : pandas.DataFrame
        Schema ``grid_fits``, or as :func:`fit_published`; of splits that keep groups whole.

    Returns
    -------
    GridModel
        ``split`` is random with two or more splits a dataset, ``split:cell`` with two or more seeds. A term of which
        the grid lacks a combination is left out and named; so are weights that each dataset has its own of, and
        settings that not every head has in all their levels.
    """
    table = prepare(fits)
    crossed, further, own = (_varying(table, names) for names in (CROSSED, FURTHER, OWN))
    partial = [name for name in own if not _crossed(fits[fits[RESPONSE].notna()], name)]
    terms = [":".join(term) for term in expand(["*".join(crossed)])] if crossed else []
    terms = sorted(terms, key=lambda term: term != _taken_first(table))
    fixed, refused = _tellable(table, [*terms, *further, *(name for name in own if name not in partial)])
    random = []
    if table.groupby("dataset")["split"].nunique().max() > 1 and table["split"].nunique() < len(table):
        random.append("split")
    if 1 < table.groupby(["split", "cell"]).ngroups < len(table):
        random.append("split:cell")
    left_out = [factor for factor in [*CROSSED, "head", "lr_decay"] if factor not in [*crossed, *further]]
    left_out += [*refused, *partial]
    return GridModel("recommended", table, fixed, random, left_out, _fit(table, fixed, random))


def _crossed(fits: pd.DataFrame, setting: str) -> bool:
    """Say whether every fit has a setting and every head all of its levels."""
    levels = fits.groupby("head")[setting].nunique()
    return bool(fits[setting].notna().all() and (levels == fits[setting].nunique()).all())


def _taken_first(table: pd.DataFrame) -> str:
    """Return what stays in the model where dataset and weights cannot both.

    The dataset, so that its differences are not taken for those of weights; the weights, if their pairs within a
    dataset would be lost with them.
    """
    within = table.groupby("dataset")["weights"].nunique().max() > 1
    return "weights" if within and _aliased(table, "weights", _varying(table, ["dataset"])) else "dataset"


def effects_table(models: list[GridModel], level: float = 0.95) -> pd.DataFrame:
    """Return the fixed effects of models that could be fitted, schema ``grid_effects``."""
    rows = []
    for model in (model for model in models if model.fitted is not None):
        for row in model.fitted.terms.to_dict("records"):
            bounds = model.fitted.contrast({row["term"]: 1.0}, level)
            ends = {"lower": bounds["lower"], "upper": bounds["upper"], "singular": model.fitted.singular}
            rows.append({"model": model.name, **row, **ends})
    return pd.DataFrame(rows, columns=["model", "term", "estimate", "se", "df", "t", "p", "lower", "upper", "singular"])


def variances_table(models: list[GridModel]) -> pd.DataFrame:
    """Return the variances of models that could be fitted, schema ``grid_variances``."""
    rows = []
    for model in (model for model in models if model.fitted is not None):
        for effect, variance in model.fitted.variances.items():
            rows.append(
                {
                    "model": model.name,
                    "effect": effect,
                    "levels": len(model.fitted.effects[effect]) if effect in model.fitted.effects else pd.NA,
                    "variance": variance,
                    "sd": np.sqrt(variance),
                    "formula": model.formula,
                    "left_out": ", ".join(model.left_out) or None,
                    "n": model.fitted.n,
                    "reml": model.fitted.reml,
                    "singular": model.fitted.singular,
                }
            )
    columns = ["model", "effect", "levels", "variance", "sd", "formula", "left_out", "n", "reml", "singular"]
    return pd.DataFrame(rows, columns=columns).astype({"levels": "Int64"})


def fit_shares(model: GridModel, contrasts: np.ndarray) -> np.ndarray:
    """Return what each fit's AUC counts in each contrast of the fixed effects.

    Parameters
    ----------
    model : GridModel
    contrasts : numpy.ndarray, (contrasts, fixed columns)

    Returns
    -------
    numpy.ndarray, (contrasts, fits)
        Times the AUCs it is the estimate: generalised least squares under the fitted variances, least squares where
        nothing could be fitted.
    """
    x = fixed_columns(model.table, model.fixed)[1]
    weighted = x
    if model.fitted is not None and model.random:
        residual = model.fitted.variances["residual"]
        parts = []
        for name in model.random:
            key = model.table[name.split(":")].astype(str).agg(":".join, axis=1)
            levels = np.unique(key.to_numpy(), return_inverse=True)[1]
            scale = np.sqrt(model.fitted.variances[name] / residual)
            parts.append(scale * np.eye(levels.max() + 1)[levels])
        z = np.hstack(parts)
        # the inverse of I + ZZ' by Woodbury's identity: no matrix has as many rows and columns as there are fits
        weighted = x - z @ np.linalg.solve(np.eye(z.shape[1]) + z.T @ z, z.T @ x)
    return contrasts @ np.linalg.pinv(weighted.T @ x) @ weighted.T


def planned(model: GridModel) -> tuple[pd.DataFrame, np.ndarray]:
    """List the planned contrasts that the grid has.

    Returns
    -------
    names : pandas.DataFrame
        kind, dataset, backbone, a, b. Pairs of weights on each dataset, averaged over the backbones that have both; the
        same for each backbone, where there are several; pairs of heads; pairs of structures.
    contrasts : numpy.ndarray, (contrasts, fixed columns)
    """
    table, rows, sums = model.table, [], []
    present = set(map(tuple, table[CROSSED].drop_duplicates().to_numpy()))
    for dataset in sorted(table["dataset"].unique()):
        own = table[table["dataset"] == dataset]
        for a, b in itertools.combinations(sorted(own["weights"].unique()), 2):
            shared = [
                name for name in sorted(own["backbone"].unique()) if {(a, dataset, name), (b, dataset, name)} <= present
            ]
            groups = [("weights", None, shared)] if shared else []
            if table["backbone"].nunique() > 1:
                groups += [("weights_by_backbone", name, [name]) for name in shared]
            for kind, backbone, backbones in groups:
                rows.append({"kind": kind, "dataset": dataset, "backbone": backbone, "a": a, "b": b})
                sums.append([{"dataset": dataset, "backbone": name} for name in backbones])
    for kind in (name for name in COMPARED if name in model.fixed):
        for a, b in itertools.combinations(sorted(table[kind].unique()), 2):
            rows.append({"kind": kind, "dataset": None, "backbone": None, "a": a, "b": b})
            sums.append([{}])
    names = pd.DataFrame(rows, columns=["kind", "dataset", "backbone", "a", "b"])
    return names, _differences(model, names, sums)


def _differences(model: GridModel, names: pd.DataFrame, sums: list[list[dict]]) -> np.ndarray:
    """Return the difference of two predictions for each contrast, averaged over the places it names."""
    template, wanted, owner = model.table.iloc[0].to_dict(), [], []
    for number, (row, places) in enumerate(zip(names.itertuples(), sums, strict=True)):
        factor = row.kind if row.kind in COMPARED else "weights"
        for place, (side, sign) in itertools.product(places, ((row.a, 1.0), (row.b, -1.0))):
            wanted.append({**template, **place, factor: side})
            owner.append((number, sign / len(places)))
    columns = fixed_columns(model.table, model.fixed)[1].shape[1]
    out = np.zeros((len(names), columns))
    if wanted:
        # coded together with the fits, so that levels are the same
        every = fixed_columns(pd.concat([model.table, pd.DataFrame(wanted)], ignore_index=True), model.fixed)[1]
        for (number, share), row in zip(owner, every[len(model.table) :], strict=True):
            out[number] += share * row
    return out
