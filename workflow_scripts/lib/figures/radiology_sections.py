"""The sections of the page of the 2D arm, each from tidy tables to HTML; empty where there is nothing to show."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from workflow_scripts.lib.figures import genetics_parts as parts
from workflow_scripts.lib.figures import radiology_text as text
from workflow_scripts.lib.figures.factor_boxes import honest
from workflow_scripts.lib.figures.genetics_parts import count, escape, figures, number, p_value
from workflow_scripts.lib.figures.unfreezing_points import count as short_count

MOST_ROWS = 24  # of a table or list that is shown at once; what is more opens on demand
ALL = "all"


@dataclass(frozen=True)
class Found:
    """What the page shows.

    Attributes
    ----------
    tables : dict of pandas.DataFrame
        Those of :data:`radiology_report.TABLES` that there are; an absent one becomes a sentence.
    titles : dict of dict
        ``grid``, ``dataset``, ``weights``, ``backbone``: name in config -> name in print.
    links : dict
        Dataset -> address of its page of pairs, seen from this page.
    pictures : sequence of path
        PNG files; their names decide in which section they stand (:data:`radiology_text.FIGURES`).
    """

    tables: Mapping[str, pd.DataFrame]
    titles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    pictures: Sequence[str | os.PathLike] = ()

    def get(self, name: str) -> pd.DataFrame | None:
        """Return a table with rows, or None."""
        table = self.tables.get(name)
        return None if table is None or table.empty else table

    def name(self, kind: str, key: object) -> str:
        """Return the title of a grid, dataset, weights or backbone, escaped."""
        return escape(self.titles.get(kind, {}).get(key) or key)

    def named(self, table: pd.DataFrame) -> pd.DataFrame:
        """Put titles (HTML) in the place of names."""
        kinds = [kind for kind in ("grid", "dataset", "weights", "backbone") if kind in table]
        new = {kind: [self.name(kind, key) if pd.notna(key) else parts.DASH for key in table[kind]] for kind in kinds}
        return table.assign(**new)

    def where(self, row: pd.Series) -> str:
        """Name the dataset of a row, and its grid where there are several."""
        dataset = self.name("dataset", row["dataset"])
        return f"{dataset}, {self.name('grid', row['grid'])}" if self.grids > 1 else dataset

    @property
    def grids(self) -> int:
        """Number of grids."""
        return max((table["grid"].nunique() for table in self.tables.values() if "grid" in table), default=0)

    def grid_column(self) -> list[parts.Column]:
        """Return the column of grids, if there are several."""
        return [html("grid", "Grid")] if self.grids > 1 else []


def html(name: str, heading: str) -> parts.Column:
    """Return a column whose cells are HTML already."""
    return parts.text(name, heading, str)


def _list(sentences: Sequence[str]) -> str:
    """Make a list of sentences; a long one opens on demand."""
    sentences = [words for words in sentences if words]
    if not sentences:
        return ""
    items = "".join(f"<li>{words}</li>" for words in sentences)
    body = f"<ul>{items}</ul>"
    return (
        body
        if len(sentences) <= MOST_ROWS
        else f"<details><summary>{len(sentences)} sentences</summary>{body}</details>"
    )


def _table(frame: pd.DataFrame, columns: list[parts.Column], caption: str = "") -> str:
    """Make a table; a long one opens on demand."""
    made = parts.table(frame, columns, caption)
    if len(frame) <= MOST_ROWS:
        return made
    return f"<details><summary>{caption or 'Table'}: {len(frame)} rows</summary>{made}</details>"


def _counts(found: Found) -> pd.DataFrame | None:
    """Return the counts by label, with how many images are ``conflicting`` copies and how many are ``used``."""
    counts, conflicts = found.get("counts"), found.get("conflicts")
    if counts is None:
        return None
    counts = counts.assign(conflicting=0)
    if conflicts is not None:
        gone = conflicts[~conflicts["kept"]].groupby(["dataset", "label"]).size()
        places = pd.MultiIndex.from_frame(counts[["dataset", "label"]])
        counts["conflicting"] = gone.reindex(places, fill_value=0).to_numpy()
    return counts.assign(used=counts["images"] - counts["conflicting"])


def _unused(found: Found, counts: pd.DataFrame) -> pd.DataFrame:
    """Count the images that are not in use, by dataset and reason."""
    dropped, lost = found.get("dropped"), counts.groupby("dataset", sort=False)["conflicting"].sum()
    parts = [lost[lost > 0].rename("images").reset_index().assign(reason=text.CONFLICTING)]
    if dropped is not None:
        parts.insert(0, dropped.groupby(["dataset", "reason"], sort=False).size().rename("images").reset_index())
    return pd.concat(parts, ignore_index=True)


def glance(found: Found) -> str:
    """Write the large numbers."""
    entries = []
    if (counts := _counts(found)) is not None:
        number_of = counts["dataset"].nunique()
        entries.append((count(number_of), "dataset" if number_of == 1 else "datasets"))
        entries.append((count(counts["used"].sum()), "images in use"))
    if (groups := found.get("groups")) is not None:
        kept = groups[groups["kept"]]
        entries.append((count(kept.groupby("dataset")["group"].nunique().sum()), "groups of images"))
    if (fits := found.get("fits")) is not None:
        entries.append((count(len(fits)), f"fits of {count(fits.groupby(['grid', 'cell']).ngroups)} cells"))
        if lost := int(fits["test_auc"].isna().sum()):
            entries.append((count(lost), "fits without a score"))
    return parts.cards(entries) if entries else ""


def datasets(found: Found) -> str:
    """Write counts by label, notes on label maps, and why images were dropped."""
    counts = _counts(found)
    if counts is None:
        return ""
    columns = [
        html("dataset", "Dataset"),
        parts.text("label", "Label"),
        figures("y", "Class"),
        figures("found", "Found"),
        figures("dropped", "Dropped", parts.removed),
        figures("set_aside", "Set aside", parts.removed),
        figures("conflicting", "Conflicting", parts.removed),
        figures("used", "In use"),
        figures("patients", "Patients"),
        figures("exams", "Exams"),
        figures("with_mask", "With mask", parts.removed),
    ]
    noted = counts[counts["note"].notna()].drop_duplicates(["dataset", "note"])
    notes = [f"<b>{found.name('dataset', row.dataset)}</b>: {escape(row.note)}." for row in noted.itertuples()]
    body = parts.note(*notes) + _table(found.named(counts), columns, "Images by label")
    if len(reasons := _unused(found, counts)):
        columns = [html("dataset", "Dataset"), parts.text("reason", "Reason"), figures("images", "Images")]
        body += _table(found.named(reasons), columns, "Why images are not in use")
    return body


def groups(found: Found) -> str:
    """Say what was found to belong together."""
    table, pairs, conflicts = found.get("groups"), found.get("pairs"), found.get("conflicts")
    if table is None:
        return ""
    said = []
    for dataset, rows in table.groupby("dataset", sort=False):
        own = None if pairs is None else pairs[pairs["dataset"] == dataset]
        clashes = None if conflicts is None else conflicts[conflicts["dataset"] == dataset]
        words = text.grouped(found.name("dataset", dataset), rows, own, clashes)
        if link := found.links.get(dataset):
            words += f' <a href="{escape(link)}">The pairs side by side</a>.'
        said.append(words)
    return _list(said)


def leak(found: Found) -> str:
    """Write AUCs before and after grouping."""
    table = found.get("grouping")
    if table is None:
        return ""
    whole = table[(table["cell"] == ALL) & table["split"].isna()]
    said = _list([text.leak(row, found.where(row)) for _, row in whole.iterrows()])
    rows = table[(table["cell"] != ALL) & table["split"].isna()]
    rows = rows.assign(bounds=[text.bounds(row.lower, row.upper) for row in rows.itertuples()])
    columns = [
        *found.grid_column(),
        html("dataset", "Dataset"),
        parts.text("cell", "Cell"),
        figures("splits", "Splits"),
        figures("auc_groups", "AUC, groups whole", number(3)),
        figures("auc_images", "AUC, groups ignored", number(3)),
        figures("difference", "Difference", text.signed),
        html("bounds", "Interval"),
        figures("leaks", "Leaked share", text.percent),
    ]
    return said + _table(found.named(rows), columns, "By cell")


def _selected(found: Found) -> pd.DataFrame | None:
    """Join the chosen cell of each weights with its structure and sizes."""
    selection, fits = found.get("selection"), found.get("fits")
    if selection is None or fits is None:
        return None
    sizes = ["parameters", "trainable", "images_train"]
    cells = fits.groupby(["grid", "cell"], sort=False).agg(
        structure=("structure", "first"), **{s: (s, "max") for s in sizes}
    )
    # splits that part groups have their own section, and do not stand for others whose fits were lost
    whole = honest(fits)[["grid", "dataset", "grouping"]].drop_duplicates()
    rows = selection[selection["choice"] == "weights"].merge(whole)
    return rows.merge(cells.reset_index(), on=["grid", "cell"], how="left")


def models(found: Found) -> str:
    """Write the selected models, and warn of heads that outweigh their data."""
    table = _selected(found)
    if table is None:
        return ""
    shown = table.assign(
        validation=[_spread(row.validation_auc, row.validation_sd) for row in table.itertuples()],
        test=[_spread(row.test_auc, row.test_sd) for row in table.itertuples()],
    )
    columns = [
        *found.grid_column(),
        html("dataset", "Dataset"),
        html("weights", "Weights"),
        html("backbone", "Backbone"),
        parts.text("head", "Head"),
        parts.text("structure", "Structure"),
        figures("parameters", "In the head", short_count),
        figures("trainable", "Learn in all", short_count),
        figures("images_train", "Images"),
        html("validation", "Validation AUC"),
        html("test", "Test AUC"),
    ]
    heads = table.drop_duplicates(["grid", "dataset", "backbone", "head", "parameters"])
    warned = [
        text.outweighed(row, f"{found.where(row)}, {found.name('backbone', row['backbone'])}")
        for _, row in heads.iterrows()
    ]
    warned = [words for words in warned if words]
    warned += [text.LARGE_HEAD] if warned else []
    return parts.note(*warned) + _table(
        found.named(shown),
        columns,
        "Best cell of each weights; parameters in the head and in all that learns; images that train",
    )


def _spread(value: object, sd: object) -> str:
    return number(3)(value) + ("" if pd.isna(sd) else f" ± {number(3)(sd)}")


def _published(found: Found, grid: str) -> str:
    """Write the published reading of a grid."""
    effects, variances, fits = found.get("effects"), found.get("variances"), found.get("fits")
    if effects is None or fits is None:
        return ""
    said, own = [], honest(fits)
    for factor in ("weights", "head"):
        rows = effects[(effects["grid"] == grid) & (effects["model"] == f"published_{factor}")]
        terms = rows[rows["term"].str.startswith(f"{factor}=")]
        base = sorted(set(own.loc[own["grid"] == grid, factor]) - {term.split("=", 1)[1] for term in terms["term"]})
        said += [text.published_effect(row, factor, base[0], found.name) for _, row in terms.iterrows() if base]
        if terms["singular"].any():
            said.append(f"The published model of {factor} is singular: one of its variances is 0.")
    formulas = []
    if variances is not None:
        models = variances[(variances["grid"] == grid) & variances["model"].str.startswith("published")]
        formulas = [f"<code>{escape(formula)}</code>" for formula in dict.fromkeys(models["formula"])]
    heading = f"<h4>Published reading</h4><p>{'; '.join(formulas)}</p>" if formulas else "<h4>Published reading</h4>"
    return heading + _list(said) if said else ""


def _recommended(found: Found, grid: str) -> str:
    """Write the recommended reading of a grid."""
    contrasts, variances = found.get("contrasts"), found.get("variances")
    rows = None if contrasts is None else contrasts[(contrasts["grid"] == grid) & contrasts["estimate"].notna()]
    if rows is None or rows.empty:
        return ""
    said = [text.contrast(row, found.name) for _, row in rows[rows["kind"] != "weights_by_backbone"].iterrows()]
    body = f"<h4>Recommended reading</h4><p>{text.optimism(rows)}</p>{_list(said)}"
    body += parts.note(*text.opposite(rows, found.name))
    if variances is not None:
        own = variances[(variances["grid"] == grid) & (variances["model"] == "recommended")]
        left = own["left_out"].dropna()
        if len(own):
            body += f"<p>Model: <code>{escape(own['formula'].iloc[0])}</code>, {count(own['n'].iloc[0])} fits"
            body += f"; not in the model: {escape(left.iloc[0])}.</p>" if len(left) else ".</p>"
    return body + _contrast_table(found, rows)


def _contrast_table(found: Found, rows: pd.DataFrame) -> str:
    """Make the table of planned contrasts."""
    factors = [text.factor_of(kind) for kind in rows["kind"]]
    pairs = zip(factors, rows["a"], rows["b"], strict=True)
    new = {"pair": [f"{found.name(factor, a)} − {found.name(factor, b)}" for factor, a, b in pairs]}
    for kind in ("settings", "groups", "both"):
        ends = zip(rows[f"lower_{kind}"], rows[f"upper_{kind}"], strict=True)
        new[kind] = [text.bounds(lower, upper) or parts.DASH for lower, upper in ends]
    columns = [
        html("pair", "Pair"),
        html("dataset", "Dataset"),
        html("backbone", "Backbone"),
        figures("estimate", "Difference", text.signed),
        html("settings", "Other settings"),
        html("groups", "Other patients"),
        html("both", "Both"),
        figures("p_settings_holm", "p, settings", p_value),
        figures("p_both_holm", "p, both", p_value),
    ]
    return _table(found.named(rows.assign(**new)), columns, "Planned contrasts, differences of AUC, p by Holm's rule")


def effects(found: Found) -> str:
    """Write effects in words, grid by grid."""
    grids = [table["grid"] for name in ("effects", "contrasts") if (table := found.get(name)) is not None]
    body = ""
    for grid in dict.fromkeys(pd.concat(grids) if grids else []):
        words = _published(found, grid) + _recommended(found, grid)
        body += f"<h3>{found.name('grid', grid)}</h3>{words}" if words else ""
    return body


def tests(found: Found) -> str:
    """Write DeLong's and McNemar's tests over all splits, and Wilcoxon's as published."""
    table, ranks = found.get("tests"), found.get("ranks")
    body = ""
    if table is not None:
        rows = table[(table["split"].astype(str) == ALL) & table["difference"].notna()]
        pairs = [f"{found.name('weights', row.a)} − {found.name('weights', row.b)}" for row in rows.itertuples()]
        rows = rows.assign(
            pair=pairs, ends=[text.bounds(row.lower_delong, row.upper_delong) for row in rows.itertuples()]
        )
        columns = [
            *found.grid_column(),
            html("dataset", "Dataset"),
            html("pair", "Pair"),
            figures("difference", "Difference of AUC", text.signed),
            html("ends", "Interval"),
            figures("p_delong", "p, DeLong", p_value),
            figures("p_delong_holm", "Holm", p_value),
            figures("p_independent", "p, as published", p_value),
            figures("p_mcnemar", "p, McNemar, as published", p_value),
            figures("p_mcnemar_exact", "exact", p_value),
            figures("p_mcnemar_clustered", "by groups", p_value),
            figures("p_mcnemar_holm", "Holm", p_value),
        ]
        if len(rows):
            body += _list([text.tested(row, found.where(row), found.name) for _, row in rows.iterrows()])
            body += _table(found.named(rows), columns, "Over all splits")
    if ranks is not None:
        pairs = [f"{found.name('weights', row.a)} − {found.name('weights', row.b)}" for row in ranks.itertuples()]
        columns = [
            *found.grid_column(),
            html("dataset", "Dataset"),
            html("pair", "Pair"),
            figures("mean_difference", "Mean difference", text.signed),
            figures("p_rank_sum", "p, rank sum, as published", p_value),
            figures("p_signed_rank", "p, signed rank of pairs", p_value),
        ]
        caption = "Wilcoxon's tests: units are cells, so that nothing here knows of patients"
        body += _table(found.named(ranks.assign(pair=pairs)), columns, caption)
    return body


def explanations(found: Found) -> str:
    """Write where maps lie, and what randomised weights leave of them."""
    table, fresh = found.get("explained"), found.get("randomisation")
    if table is None:
        return ""
    rows = table[(table["explained"] == "predicted") & (table["subset"] == ALL)]
    said, left = [], []
    for (_, dataset, cell), some in rows.groupby(["grid", "dataset", "cell"], sort=False):
        said.append(text.looked(some.set_index("quantity"), f"{found.name('dataset', dataset)}, {escape(cell)}"))
    if fresh is not None:
        for (_, dataset, cell), some in fresh.groupby(["grid", "dataset", "cell"], sort=False):
            left.append(text.randomised(some, f"{found.name('dataset', dataset)}, {escape(cell)}"))
    empty = rows[rows["quantity"] == "empty"]
    share = f"<p>Maps without a place that stands out: {_span(empty['value'])} of a cell's.</p>" if len(empty) else ""
    checked = f"<h3>With learned weights taken away</h3>{_list(left)}" if any(left) else ""
    return _list(said) + share + checked


def _span(values: pd.Series) -> str:
    """Write one share, or the lowest and the highest."""
    low, high = text.percent(values.min()), text.percent(values.max())
    return low if low == high else f"{low} to {high}"
