"""Contrasts of weights, heads and structures: published effects, and recommended ones with three intervals."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workflow_scripts.lib.figures import style
from workflow_scripts.lib.figures.factor_boxes import Titles, honest, legend, name_of
from workflow_scripts.lib.figures.panels import write_p
from workflow_scripts.lib.study.errors import StudyError

# reading -> words, colour, marker, width of line, place in the row
READINGS = {
    "published": ("model as published", style.PALETTE["vermillion"], "D", 1.2, 0.0),
    "settings": ("model: other settings, splits and seeds", style.PALETTE["blue"], "o", 1.2, -0.25),
    "groups": ("bootstrap: other patients", style.PALETTE["orange"], "s", 1.2, 0.0),
    "both": ("both variances: the one to quote", "#000000", "v", 2.2, 0.25),
}
# factor -> heading and the kinds of contrasts under it
FACTORS = {
    "weights": ("Weights", ["weights", "weights_by_backbone"]),
    "head": ("Heads", ["head"]),
    "structure": ("Structures", ["structure"]),
}
KEYS = ["kind", "dataset", "backbone", "a", "b"]
COLUMNS = ["grid", "factor", *KEYS, "reading", "estimate", "lower", "upper", "p", "p_holm"]
TEXTS = ("p", "Holm")
PLACES = (1.1, 1.24)  # of the columns of text, in widths of the panel
ROW = 0.3  # inches
MOST = 60  # rows of a panel; beyond, the contrasts by backbone stay in the table
LIMIT = 0.05

First = Mapping[tuple[str, str], str]  # grid and factor -> first level


def first_levels(fits: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Return the level with which the published models compare, the first in alphabetical order, by grid and factor.

    Parameters
    ----------
    fits : pandas.DataFrame
        Schema ``grid_fits`` with a column grid.
    """
    scored = honest(fits)
    scored = scored[scored["test_auc"].notna()]
    return {
        (grid, factor): min(rows[factor].astype(str))
        for grid, rows in scored.groupby("grid", sort=False)
        for factor in FACTORS
    }


def _published(effects: pd.DataFrame, contrasts: pd.DataFrame, first: Mapping[str, str]) -> pd.DataFrame:
    """Turn the published models' terms into contrasts with their first level, in the order of the planned pairs."""
    rows = []
    for factor, (_, kinds) in FACTORS.items():
        terms = effects[effects["model"] == f"published_{factor}"]
        terms = terms[terms["term"].str.startswith(f"{factor}=")]
        named = [term.split("=", 1)[1] for term in terms["term"]]
        pairs = contrasts.loc[contrasts["kind"].isin(kinds), ["a", "b"]]
        bases = sorted(set(pairs.to_numpy().ravel()) - set(named))
        base = first.get(factor) or (bases[0] if len(bases) == 1 else "first in the alphabet")
        for name, row in zip(named, terms.itertuples(), strict=True):
            values = [name, base, row.estimate, row.lower, row.upper]
            if (pairs["a"].eq(base) & pairs["b"].eq(name)).any():
                values = [base, name, -row.estimate, -row.upper, -row.lower]
            rows.append([factor, "published", *values, row.p])
    table = pd.DataFrame(rows, columns=["factor", "kind", "a", "b", "estimate", "lower", "upper", "p"])
    return table.assign(reading="published", dataset=pd.NA, backbone=pd.NA, p_holm=np.nan)


def source_table(contrasts: pd.DataFrame, effects: pd.DataFrame, first: First | None = None) -> pd.DataFrame:
    """Put all that is drawn into one long table.

    Parameters
    ----------
    contrasts, effects : pandas.DataFrame
        Schemas ``grid_contrasts`` and ``grid_effects`` with a column grid.
    first : dict, optional
        From :func:`first_levels`; without it, the first level is known from the planned pairs alone.

    Returns
    -------
    pandas.DataFrame
        grid, factor (weights, head, structure), kind (that of the contrast, or ``published``), dataset, backbone, a, b,
        reading (published, settings, groups, both), estimate (AUC of a less that of b), lower, upper, p, p_holm.
        Bootstraps have no p, published effects none that is adjusted.
    """
    factor_of = {kind: factor for factor, (_, kinds) in FACTORS.items() for kind in kinds}
    grids = dict.fromkeys([*effects["grid"], *contrasts["grid"]])
    parts = []
    for grid in grids:
        own = contrasts[contrasts["grid"] == grid]
        levels = {factor: level for (name, factor), level in (first or {}).items() if name == grid}
        parts.append(_published(effects[effects["grid"] == grid], own, levels).assign(grid=grid))
        for reading in ("settings", "groups", "both"):
            numbers = {"lower": own[f"lower_{reading}"], "upper": own[f"upper_{reading}"]}
            for name in ("p", "p_holm"):
                column = name.replace("p", f"p_{reading}", 1)
                numbers[name] = own.get(column, np.nan)
            parts.append(own.assign(factor=own["kind"].map(factor_of), reading=reading, **numbers))
    table = pd.concat([part[COLUMNS].astype(object) for part in parts], ignore_index=True)
    return table.astype(dict.fromkeys(["estimate", "lower", "upper", "p", "p_holm"], float))


def _label(key: tuple, factor: str, titles: Titles | None) -> str:
    """Name a row."""
    kind, dataset, backbone, a, b = key
    pair = f"{name_of(titles, factor, a)} − {name_of(titles, factor, b)}"
    if kind == "published":
        return f"{pair}, published"
    where = [
        name_of(titles, what, name) for what, name in (("dataset", dataset), ("backbone", backbone)) if pd.notna(name)
    ]
    return f"{pair}, {', '.join(where) or 'all datasets'}"


def _row(axes: Axes, rows: pd.DataFrame, place: int) -> None:
    """Draw one contrast: its intervals, and its p-values as text."""
    for row in rows.itertuples():
        _, colour, marker, width, shift = READINGS[row.reading]
        if pd.notna(row.lower) and pd.notna(row.upper):
            axes.hlines(place + shift, row.lower, row.upper, color=colour, linewidth=width)
        axes.plot(row.estimate, place + shift, marker, color=colour, markersize=4)
    quoted = rows[rows["reading"].isin(["published", "both"])].iloc[0]
    for x, p in zip(PLACES, (quoted["p"], quoted["p_holm"]), strict=True):
        look = {"fontsize": 6.5, "ha": "right", "va": "center", "transform": axes.get_yaxis_transform()}
        axes.text(x, place, write_p(p), fontweight="bold" if p < LIMIT else "normal", **look)


def _panel(axes: Axes, rows: pd.DataFrame, factor: str, titles: Titles | None) -> None:
    """Draw the contrasts of one factor of one grid."""
    axes.axvline(0, color=style.GREY, linewidth=0.8, zorder=0)
    groups = list(rows.groupby(KEYS, sort=False, dropna=False))
    for place, (_, some) in enumerate(groups):
        _row(axes, some, place)
    axes.set_yticks(range(len(groups)), [_label(key, factor, titles) for key, _ in groups])
    axes.set_ylim(len(groups) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    span = np.nanmax(np.abs(rows[["estimate", "lower", "upper"]].to_numpy(dtype=float)), initial=0.01)
    axes.set_xlim(-1.06 * span, 1.06 * span)
    axes.set_xlabel("difference of test AUC")
    for x, heading in zip(PLACES, TEXTS, strict=True):
        look = {"fontsize": 6.5, "ha": "right", "va": "bottom", "color": style.GREY, "transform": axes.transAxes}
        axes.text(x, 1.0, heading, **look)


def _shorten(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Leave out contrasts by backbone where a panel would have too many rows, and say so."""
    if rows[KEYS].drop_duplicates().shape[0] <= MOST:
        return rows, ""
    return rows[rows["kind"] != "weights_by_backbone"], " (by backbone: in the source table)"


def draw(
    contrasts: pd.DataFrame, effects: pd.DataFrame, titles: Titles | None = None, first: First | None = None
) -> Figure:
    """Draw a panel for each grid and factor, a row for each contrast.

    Parameters
    ----------
    contrasts, effects : pandas.DataFrame
        Schemas ``grid_contrasts`` and ``grid_effects`` with a column grid.
    titles : dict of dict, optional
        ``grid``, ``dataset``, ``weights``, ``backbone``: name in config -> name in print.
    first : dict, optional
        From :func:`first_levels`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    StudyError
        The grids have nothing to compare.
    """
    source = pd.DataFrame({"grid": [], "factor": []})
    if len(contrasts) + len(effects):
        source = source_table(contrasts, effects, first).dropna(subset="estimate")
    groups = [(*key, *_shorten(rows)) for key, rows in source.groupby(["grid", "factor"], sort=False)]
    if not groups:
        raise StudyError(
            "no grid has two weights or two heads with an AUC, so there is no effect to draw; give a grid in "
            "radiology.grids a factor with two levels."
        )
    heights = [rows[KEYS].drop_duplicates().shape[0] * ROW + 0.75 for *_, rows, _ in groups]
    figure = Figure(figsize=(7.2, sum(heights) + 0.5), layout="constrained")
    panels = figure.subplots(len(groups), 1, squeeze=False, height_ratios=heights).ravel()
    for axes, (grid, factor, rows, note) in zip(panels, groups, strict=True):
        _panel(axes, rows, factor, titles)
        axes.set_title(f"{name_of(titles, 'grid', grid)}: {FACTORS[factor][0].lower()}{note}", loc="left", pad=12)
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=4, linewidth=width, label=words)
        for words, colour, marker, width, _ in READINGS.values()
    ]
    legend(figure, handles, 2)
    return figure
