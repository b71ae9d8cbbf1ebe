"""The page of all comparisons: one file that opens offline, tables and pictures inside."""

import base64
import dataclasses
import html
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.figures import page_text, style
from workflow_scripts.lib.figures.panels import AXES, choose_reference, write_p
from workflow_scripts.lib.study.files import atomic

LIMIT = 0.05
FEW = 300  # people, below which DeLong's p is too small to count
DASH = "–"
# column of p -> heading and its test in the catalogue
VALID = {
    "p_corrected": ("Pool-corrected t", "pool_corrected_t"),
    "p_delong": ("DeLong", "delong"),
    "p_swap": ("Swaps", "swap"),
}
PUBLISHED = {"paired": "sign_flip", "unpaired": "unpaired"}
OTHERS = ["nadeau_bengio_t", "delong_clustered", "bootstrap_percentile", "bootstrap_bca", "holm"]


@dataclasses.dataclass(frozen=True)
class Found:
    """What the page shows.

    Attributes
    ----------
    comparisons, coverage, sensitivity : pandas.DataFrame
        Schemas ``comparisons``, ``probe_coverage`` and ``probe_sensitivity``.
    tests : pandas.DataFrame
        What each test is conditional on: name, title, question, conditional_on, valid, not_valid, reference.
    titles : dict
        Task -> title.
    options : dict
        Config section ``probe``: permutation, p_rule, n_permutations, n_swaps, n_bootstrap, level, reference.
    """

    comparisons: pd.DataFrame
    coverage: pd.DataFrame
    sensitivity: pd.DataFrame
    tests: pd.DataFrame
    titles: Mapping[str, str]
    options: Mapping[str, object]

    def title(self, task: str) -> str:
        """Return the title of a task, escaped."""
        return html.escape(self.titles.get(task, task))


def write_number(value: float, digits: int = 3) -> str:
    """Write a number with a true minus sign; a dash where there is none."""
    return DASH if pd.isna(value) else f"{value:.{digits}f}".replace("-", "−")


def write_interval(value: float, lower: float, upper: float) -> str:
    """Write a value and its interval."""
    ends = f" [{write_number(lower)}, {write_number(upper)}]" if pd.notna(lower) and pd.notna(upper) else ""
    return write_number(value) + ends


def table(headings: list[str], rows: list[list[str]], caption: str = "", marks: list[str] | None = None) -> str:
    """Make a table of cells that are already escaped; ``marks`` are classes of rows, the first cell names its row."""
    head = "".join(f'<th scope="col">{heading}</th>' for heading in headings)
    lines = []
    for row, mark in zip(rows, marks or [""] * len(rows), strict=True):
        cells = f'<th scope="row">{row[0]}</th>' + "".join(f"<td>{cell}</td>" for cell in row[1:])
        lines.append(f'<tr class="{mark}">{cells}</tr>' if mark else f"<tr>{cells}</tr>")
    named = f"<caption>{caption}</caption>" if caption else ""
    return (
        f'<div class="wide"><table>{named}<thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
    )


def _name(representation: str) -> str:
    return html.escape(style.label(representation))


def _p(row: pd.Series, column: str) -> str:
    """Write a p-value and, in brackets, the adjusted one; in bold where that is below the limit."""
    if pd.isna(row[column]):
        return DASH
    text = f"{write_p(row[column])} ({write_p(row[f'{column}_holm'])})"
    text = html.escape(text)
    return f"<b>{text}</b>" if row[f"{column}_holm"] < LIMIT else text


def _counting(people: int) -> list[str]:
    """List the valid tests that count with so many people."""
    return [column for column in VALID if people >= FEW or column != "p_delong"]


def _verdict(rows: pd.DataFrame) -> str:
    """Count the pairs that each test tells apart."""
    said = [f"the published test tells {(rows['p_permutation_holm'] < LIMIT).sum()} of {len(rows)} pairs apart"]
    counting = _counting(rows["n_participants"].iloc[0])
    for column in counting:
        if rows[column].notna().any():
            said.append(f"{VALID[column][0]}: {(rows[f'{column}_holm'] < LIMIT).sum()}")
    warning = "" if len(counting) == len(VALID) else f" {page_text.FEW_PEOPLE}"
    return f"After Holm's adjustment at {LIMIT}, {'; '.join(said)}.{warning}"


def comparison_table(rows: pd.DataFrame, level: float) -> str:
    """Make the table of one task's pairs."""
    auc = rows["metric"].iloc[0] == "auc"
    percent, ends = f"{100 * level:.0f}%", "delong" if auc else "percentile"
    headings = ["Pair", f"Difference over resamples [{percent}, pool-corrected]", "p published (Holm)"]
    headings += ["p pool-corrected t (Holm)", "p classical factor"]
    headings += [f"Difference of mean held-out scores [{percent}, {'DeLong' if auc else 'percentiles'}]", "[BCa]"]
    headings += ["p DeLong (Holm)", "p swaps (Holm)"]
    cells, marks = [], []
    for _, row in rows.iterrows():
        line = [f"{_name(row['a'])} − {_name(row['b'])}"]
        line += [write_interval(row["difference"], row["lower"], row["upper"]), _p(row, "p_permutation")]
        line += [_p(row, "p_corrected"), html.escape(write_p(row["p_nadeau_bengio"]))]
        line += [write_interval(row["heldout_difference"], row[f"lower_{ends}"], row[f"upper_{ends}"])]
        bca = f"[{write_number(row['lower_bca'])}, {write_number(row['upper_bca'])}]"
        line += [bca, _p(row, "p_delong"), _p(row, "p_swap")]
        cells.append(line)
        published = row["p_permutation_holm"] < LIMIT
        held = any(row[f"{column}_holm"] < LIMIT for column in _counting(row["n_participants"]))
        marks.append("odd" if published and not held else "")
    return table(headings, cells, f"Differences of {AXES[rows['metric'].iloc[0]]}", marks)


def sensitivity_table(rows: pd.DataFrame, reference: str) -> str:
    """Make the table of p by the number of resamples, of one task's pairs with the reference."""
    rows = rows[(rows["a"] == reference) | (rows["b"] == reference)]
    firsts = sorted(rows["first"].unique())
    cells = []
    for (a, b), some in rows.groupby(["a", "b"], sort=False):
        by_first = some.set_index("first")
        for column, heading in {
            "p_permutation": "published",
            **{key: word for key, (word, _) in VALID.items()},
        }.items():
            if by_first[column].isna().all():
                continue
            numbers = [html.escape(write_p(by_first[column].get(first))) for first in firsts]
            cells.append([f"{_name(a)} − {_name(b)}", heading, *numbers])
    heads = ["Pair", "Test", *(f"{first} resamples" for first in firsts)]
    body = table(heads, cells, "p, not adjusted, from the first resamples")
    return f"<details><summary>The same tests with fewer resamples</summary>{body}</details>"


def coverage_sentence(rows: pd.DataFrame) -> str:
    """Say of one task which scans are compared, and who costs the most."""
    asked = rows[rows["scans"] > 0]
    first = rows.iloc[0]
    said = f"Compared: {first['shared_scans']} scans of {first['shared_participants']} people"
    if (asked["scans"] == first["shared_scans"]).all():
        said += f", which all {len(asked)} representations have."
    else:
        said += f", those that all {len(asked)} representations have (the fullest has {asked['scans'].max()} scans)."
    costly = rows[rows["costs_most"]]
    if len(costly):
        names = " and ".join(_name(name) for name in costly["representation"])
        gained = costly["gained_without"].iloc[0]
        said += f" The most costly is {names}: without it {gained} more scans would be compared."
    absent = rows[rows["scans"] == 0]["representation"]
    if len(absent):
        said += f" Not asked this task, hence not compared: {', '.join(_name(name) for name in absent)}."
    return said


def coverage_table(coverage: pd.DataFrame, title: Callable[[str], str]) -> str:
    """Make the table of scans and people by task and representation."""
    headings = ["Task", "Representation", "Scans", "People", "Compared scans", "Compared people", "More without it"]
    rows = [
        [title(row["task"]), _name(row["representation"])]
        + [
            str(row[name])
            for name in ("scans", "participants", "shared_scans", "shared_participants", "gained_without")
        ]
        for _, row in coverage.iterrows()
    ]
    marks = ["odd" if costs else "" for costs in coverage["costs_most"]]
    return f"<details><summary>By representation</summary>{table(headings, rows, marks=marks)}</details>"


def tests_table(tests: pd.DataFrame, permutation: str) -> str:
    """Make the table of what each test that is used is conditional on."""
    used = [PUBLISHED[permutation], *(name for _, name in VALID.values()), *OTHERS]
    by_name = tests.set_index("name")
    columns = ["title", "question", "conditional_on", "valid", "not_valid", "reference"]
    rows = [[html.escape(str(by_name.at[name, key])) for key in columns] for name in used]
    headings = ["Test", "Question", "Conditional on", "Valid", "Not valid", "Reference"]
    return table(headings, rows, marks=["odd" if name == used[0] else "" for name in used])


def picture(path: str | os.PathLike, words: str) -> str:
    """Put a PNG into the page."""
    data = base64.b64encode(Path(path).read_bytes()).decode()
    words = html.escape(words)
    return f'<figure><img alt="{words}" src="data:image/png;base64,{data}"><figcaption>{words}</figcaption></figure>'


def _task(found: Found, task: str, reference: str) -> str:
    """Write the section of one task."""
    rows = found.comparisons[found.comparisons["task"] == task]
    early = found.sensitivity[found.sensitivity["task"] == task]
    first = rows.iloc[0]
    counts = (
        f"{first['n_participants']} people, {first['n_scans']} scans, {first['n_resamples']} resamples, "
        f"{first['n_test']:.1f} people scored in each."
    )
    cover = coverage_sentence(found.coverage[found.coverage["task"] == task])
    return "".join(
        [
            f'<section id="{html.escape(task)}"><h2>{found.title(task)}</h2>',
            f"<p>{counts} {cover}</p><p>{_verdict(rows)}</p>",
            comparison_table(rows, float(found.options["level"])),
            sensitivity_table(early, reference) if len(early) else "",
            "</section>",
        ]
    )


def write_page(
    found: Found, pictures: Mapping[str, str | os.PathLike], sources: Mapping[str, str], path: str | os.PathLike
) -> None:
    """Write the page of all comparisons as one HTML file that needs nothing else.

    Parameters
    ----------
    found : Found
    pictures : dict
        What a picture shows -> its PNG file.
    sources : dict
        What a table holds -> the name under which the reader finds it.
    path : path
        Written atomically.
    """
    reference = choose_reference(found.comparisons, str(found.options["reference"]))
    tasks = list(found.comparisons["task"].unique())
    contents = "".join(f'<li><a href="#{html.escape(task)}">{found.title(task)}</a></li>' for task in tasks)
    listed = "".join(
        f"<li>{html.escape(what)}: <code>{html.escape(str(file))}</code></li>" for what, file in sources.items()
    )
    parts = [
        page_text.introduction(found.options, len(tasks)),
        f"<nav><h2>Tasks</h2><ul>{contents}</ul></nav>",
        f"<h2>What each test is conditional on</h2>{tests_table(found.tests, str(found.options['permutation']))}",
        f"<h2>Which scans are compared</h2><p>{page_text.INTERSECTION}</p>",
        coverage_table(found.coverage, found.title),
        *(picture(file, words) for words, file in pictures.items()),
        *(_task(found, task, reference) for task in tasks),
        f"<h2>Source tables</h2><ul>{listed}</ul>",
    ]
    with atomic(Path(path)) as temporary:
        Path(temporary).write_text(
            page_text.frame("Comparisons of representations", "\n".join(parts)), encoding="utf-8"
        )
