"""The learning curves in words and one table a task, as a results section reports them."""

import html

import pandas as pd

ALPHA = 0.05
HEAD = "Learning curves: median AUC over samples\n"
READ = (
    "A sample draws n images to train, then images of other people to choose the setting, then of others to test. "
    "Published test: paired permutation over samples, which is about samples of this pool only and finds "
    "differences that are none. Valid test: the pool-corrected t test, about the population. Both are two-sided at "
    "0.05; (Holm): still so when adjusted for all pairs and sizes of the task."
)


def format_p(p: float) -> str:
    """Write a p-value: two digits, never 0."""
    if pd.isna(p):
        return "unknown"
    return "< 0.0001" if p < 0.0001 else f"= {p:.2g}" if p < 0.1 else f"= {p:.2f}"


def _verdict(row: pd.Series, test: str) -> str:
    """Say of one test: its p-value, and whether it is significant, and whether also when adjusted."""
    p, adjusted = row[f"p_{test}"], row[f"p_{test}_holm"]
    if not p < ALPHA:
        return f"p {format_p(p)}, not significant"
    return f"p {format_p(p)}, significant{' (Holm)' if adjusted < ALPHA else ''}"


def _sentence(row: pd.Series, titles: dict[str, str]) -> str:
    """Write one comparison, the better model first."""
    better, worse = ("a", "b") if row["difference"] >= 0 else ("b", "a")
    names = {side: titles.get(row[side], row[side]) for side in "ab"}
    medians = f"median AUC {row[f'median_{better}']:.2f} against {row[f'median_{worse}']:.2f}"
    sign = 1 if better == "a" else -1
    bounds = sorted((sign * row["lower"], sign * row["upper"]))
    interval = f"mean difference {abs(row['difference']):.3f} ({bounds[0]:.3f} to {bounds[1]:.3f})"
    tests = f"published test {_verdict(row, 'permutation')}; valid test {_verdict(row, 'corrected')}"
    return f"- {names[better]} over {names[worse]}: {medians}, {interval}; {tests}."


def _table(summary: pd.DataFrame, titles: dict[str, str]) -> list[str]:
    """Lay the medians out: a row a model, a column a size, quartiles in brackets."""
    sizes, models = list(dict.fromkeys(summary["n"])), list(dict.fromkeys(summary["model"]))
    cells = summary.set_index(["model", "n"])
    rows = [["model", *(f"n = {n}" for n in sizes)]]
    for model in models:
        texts = []
        for n in sizes:
            row = cells.loc[(model, n)] if (model, n) in cells.index else None
            known = row is not None and row["repeats"] > 0
            texts.append(f"{row['median']:.2f} ({row['q25']:.2f}-{row['q75']:.2f})" if known else "-")
        rows.append([titles.get(model, model), *texts])
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return [lines[0], "| " + " | ".join("-" * width for width in widths) + " |", *lines[1:]]


def _best(part: pd.DataFrame, titles: dict[str, str]) -> str:
    """Say at one size which model has the largest median and which the smallest."""
    part = part[part["repeats"] > 0].sort_values("median", ascending=False)
    if len(part) < 2:
        return ""
    best, worst = part.iloc[0], part.iloc[-1]
    names = [titles.get(row["model"], row["model"]) for row in (best, worst)]
    said = f"best {names[0]} ({best['median']:.2f}), worst {names[1]} ({worst['median']:.2f})."
    if best["median"] == worst["median"]:
        said = f"all models have a median of {best['median']:.2f}."
    missing = int(part["missing"].sum())
    return said + (f" In {missing} cases every fit of a sample failed." if missing else "")


def write_results(
    summary: pd.DataFrame,
    comparisons: pd.DataFrame,
    sizes: pd.DataFrame,
    titles: dict[str, str] | None = None,
    task_titles: dict[str, str] | None = None,
) -> str:
    """Write the results section.

    Parameters
    ----------
    summary, comparisons : pandas.DataFrame
        Schemas ``curve_summary`` and ``curve_comparisons``.
    sizes : pandas.DataFrame
        Schema ``curve_sizes``: which sizes the pools are too small for.
    titles, task_titles : dict, optional
        Names in print of models and tasks.

    Returns
    -------
    str
        Markdown that reads well as plain text.
    """
    titles, task_titles = titles or {}, task_titles or {}
    lines = ["# " + HEAD, READ]
    for task, part in summary.groupby("task", sort=False):
        lines += ["", f"## {task_titles.get(task, task)}", "", *_table(part, titles)]
        pairs = comparisons[comparisons["task"] == task]
        for n, size in part.groupby("n", sort=True):
            lines += ["", f"n = {n}, {int(size['repeats'].max())} samples: {_best(size, titles)}"]
            lines += ["", *(_sentence(row, titles) for _, row in pairs[pairs["n"] == n].iterrows())]
    left_out = sizes.loc[sizes["fits"] == "false", "reason"]
    if len(left_out):
        lines += ["", "## Sizes that were passed over", "", *(f"- {reason}." for reason in left_out)]
    return "\n".join(lines) + "\n"


def as_page(text: str) -> str:
    """Put the text on a page that a browser shows as it stands."""
    style = "font: 13px/1.5 monospace; white-space: pre-wrap; max-width: 70em; margin: 2em"
    return f'<!doctype html>\n<meta charset="utf-8">\n<pre style="{style}">\n{html.escape(text)}</pre>\n'
