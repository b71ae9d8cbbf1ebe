"""Parts of the page of genetics: numbers in print, tables, bars, intervals, scatter plots, pictures."""

import base64
import html
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pandas as pd

DASH = "–"
LEAST_P = 1e-307  # tables of results hold no smaller ones
TAG = re.compile(r"<[^>]+>")
SHORT = 24  # letters that stay on one line
MOST_DOTS = 2000  # of a scatter plot; more only make the page heavy


class Source(Protocol):
    """Where sections find their tables and options (see genetics_report.Found)."""

    tables: Mapping[str, pd.DataFrame]
    options: Mapping[str, object]

    def get(self, name: str) -> pd.DataFrame | None:
        """Return a table with rows, or None."""

    def label(self, trait: str) -> str:
        """Return the title of a trait."""


def escape(value: object) -> str:
    """Escape any value; a dash for a missing one."""
    return DASH if value is None or (not isinstance(value, str) and pd.isna(value)) else html.escape(str(value))


def count(value: object) -> str:
    """Write a whole number with thin spaces between thousands."""
    return DASH if pd.isna(value) else f"{int(value):,}".replace(",", "\u202f").replace("-", "−")


def removed(value: object) -> str:
    """Write a count of what is removed; nothing is set back."""
    return '<span class="nil">0</span>' if value == 0 else count(value)


def number(digits: int = 3) -> Callable[[object], str]:
    """Return a writer of numbers with so many decimals and a true minus sign."""
    return lambda value: DASH if pd.isna(value) else f"{value:.{digits}f}".replace("-", "−")


def power(value: float) -> str:
    """Write 10 to the minus ``value`` with one decimal."""
    exponent = math.ceil(value)
    head = f"{10 ** (exponent - value):.1f}".removesuffix(".0")
    head, exponent = ("1", exponent - 1) if head == "10" else (head, exponent)
    return f"{head} × 10<sup>−{exponent}</sup>" if head != "1" else f"10<sup>−{exponent}</sup>"


def p_from_log(value: object) -> str:
    """Write a p-value that is given as its -log10."""
    if pd.isna(value):
        return DASH
    return f"{10.0**-value:.3f}" if value < 3 else power(value)


def p_value(value: object) -> str:
    """Write a p-value: three decimals, or a power of ten."""
    if pd.isna(value):
        return DASH
    if value <= LEAST_P:
        return f"≤ {power(-math.log10(LEAST_P))}"
    return f"{value:.3f}" if value >= 0.001 else power(-math.log10(value))


def size(value: object) -> str:
    """Write bytes."""
    for unit, digits in (("B", 0), ("kB", 0), ("MB", 1), ("GB", 1)):
        if value < 1000 or unit == "GB":
            return f"{value:.{digits}f} {unit}"
        value /= 1000
    return DASH


def interval(value: object, lower: object, upper: object, digits: int = 2) -> str:
    """Write a value and its interval."""
    write = number(digits)
    ends = f" [{write(lower)}, {write(upper)}]" if pd.notna(lower) and pd.notna(upper) else ""
    return write(value) + ends


@dataclass(frozen=True)
class Column:
    """A column of a table on the page.

    Attributes
    ----------
    name : str
        Column of the data.
    heading : str
        HTML.
    write : callable
        Turns a value into HTML.
    number : bool
        Whether it is set to the right and sorted by its value.
    """

    name: str
    heading: str
    write: Callable[[object], str] = escape
    number: bool = False


def text(name: str, heading: str, write: Callable[[object], str] = escape) -> Column:
    """Return a column of text."""
    return Column(name, heading, write)


def figures(name: str, heading: str, write: Callable[[object], str] = count) -> Column:
    """Return a column of numbers."""
    return Column(name, heading, write, True)


def label_column(words: str = "Trait") -> Column:
    """Return the column of traits' titles, which are HTML already."""
    return Column("label", words, str)


def _cell(value: object, column: Column, first: bool) -> str:
    shown = column.write(value)
    tag, scope = ("th", ' scope="row"') if first else ("td", "")
    if column.number:
        key = "" if pd.isna(value) else f"{float(value):.10g}"
        return f'<{tag}{scope} class="n" data-v="{key}">{shown}</{tag}>'
    length = len(TAG.sub("", shown))
    kind = ' class="text"' if length > 40 else ' class="s"' if length <= SHORT else ""
    return f"<{tag}{scope}{kind}>{shown}</{tag}>"


def table(frame: pd.DataFrame, columns: Sequence[Column], caption: str = "", sortable: bool = True) -> str:
    """Make a table of those of the columns that the data has; pressing a heading sorts its rows."""
    shown = [column for column in columns if column.name in frame]
    sortable = sortable and len(frame) > 2
    heads = []
    for column in shown:
        words = f'<button type="button">{column.heading}</button>' if sortable else column.heading
        heads.append(f'<th scope="col"{" class=n" if column.number else ""}>{words}</th>')
    rows = []
    for values in frame[[column.name for column in shown]].itertuples(index=False, name=None):
        cells = zip(values, shown, strict=True)
        rows.append("<tr>" + "".join(_cell(value, column, not place) for place, (value, column) in enumerate(cells)))
    named = f"<caption>{caption}</caption>" if caption else ""
    body = "</tr>".join(rows) + ("</tr>" if rows else "")
    return (
        f'<div class="wide"><table>{named}<thead><tr>{"".join(heads)}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def plain_table(frame: pd.DataFrame, caption: str = "") -> str:
    """Make a table of all columns, whatever they are, under their own names."""
    columns = []
    for name in frame.columns:
        words = escape(str(name).replace("_", " "))
        if pd.api.types.is_bool_dtype(frame[name]) or not pd.api.types.is_numeric_dtype(frame[name]):
            columns.append(text(name, words))
        elif pd.api.types.is_integer_dtype(frame[name]):
            columns.append(figures(name, words))
        else:
            small = str(name).split("_")[0] in ("p", "q")
            columns.append(figures(name, words, p_value if small else number(3)))
    return table(frame, columns, caption)


def bar(value: object, whole: object) -> str:
    """Draw a share of a whole."""
    share = 100 * float(value) / float(whole) if whole else 0.0
    return f'<span class="bar" aria-hidden="true"><i style="width:{share:.1f}%"></i></span>'


def cards(entries: Sequence[tuple[str, str]]) -> str:
    """Make the row of large numbers: value and what it is."""
    inner = "".join(f'<div class="card"><b>{value}</b><span>{words}</span></div>' for value, words in entries)
    return f'<div class="cards">{inner}</div>'


def note(*sentences: str) -> str:
    """Make a note that catches the eye; HTML in, HTML out; nothing without sentences."""
    return f'<div class="note">{"".join(f"<p>{words}</p>" for words in sentences)}</div>' if sentences else ""


def pill(words: str, kind: str) -> str:
    """Make a small label; ``kind`` is good, bad or dim."""
    return f'<span class="pill {kind}">{escape(words)}</span>'


def forest(rows: Sequence[tuple[str, float, float, float, bool]], low: float, high: float, line: float) -> str:
    """Draw values with intervals on one axis.

    Parameters
    ----------
    rows : sequence of (str, float, float, float, bool)
        Name (HTML), value, lower and upper end, and whether it is drawn in the second colour.
    low, high : float
        Ends of the axis; intervals that leave it end in an arrow.
    line : float
        Value that a dashed line marks.
    """

    def place(value: float) -> float:
        return 100 * (min(max(value, low), high) - low) / (high - low)

    parts = []
    for name, value, lower, upper, other in rows:
        if pd.isna(value):
            continue
        ends = (value if pd.isna(lower) else lower, value if pd.isna(upper) else upper)
        marks = f'<u style="left:{place(line):.1f}%"></u>'
        marks += f'<i style="left:{place(ends[0]):.1f}%;width:{place(ends[1]) - place(ends[0]):.1f}%"></i>'
        marks += f'<b style="left:{place(value):.1f}%"></b>'
        marks += '<span class="more" style="left:-13px">◂</span>' if ends[0] < low else ""
        marks += '<span class="more" style="right:-13px">▸</span>' if ends[1] > high else ""
        kind = "track other" if other else "track"
        track = f'<span class="{kind}" aria-hidden="true">{marks}</span>'
        shown = f'<span class="value">{interval(value, lower, upper)}</span>'
        parts.append(f'<div class="row"><span>{name}</span>{track}{shown}</div>')
    steps = [low + (high - low) * step / 4 for step in range(5)]
    ticks = "".join(f'<span style="left:{place(step):.0f}%">{number(2)(step)}</span>' for step in steps)
    parts.append(
        f'<div class="row"><span></span><span class="axis" aria-hidden="true">{ticks}</span><span></span></div>'
    )
    return f'<div class="forest">{"".join(parts)}</div>' if len(parts) > 1 else ""


def scatter(frame: pd.DataFrame, x: str, y: str, words: str) -> str:
    """Draw two columns against each other, at most 2,000 dots spread evenly over the rows."""
    step = math.ceil(len(frame) / MOST_DOTS)
    points = frame[[x, y]].dropna().iloc[::step]
    low, high = points.min(), points.max()
    spread = (high - low).where(high > low, 1.0)
    placed = (points - low) / spread
    dots = "".join(
        f'<circle class="dot" cx="{30 + 220 * across:.1f}" cy="{215 - 200 * up:.1f}" r="2.6"/>'
        for across, up in placed.itertuples(index=False)
    )
    return (
        f'<svg viewBox="0 0 260 245" role="img" aria-label="{escape(words)}">'
        f'<rect class="box" x="22" y="7" width="236" height="216"/>{dots}'
        f'<text x="140" y="240" text-anchor="middle">{escape(x)}</text>'
        f'<text x="14" y="115" text-anchor="middle" transform="rotate(-90 14 115)">{escape(y)}</text></svg>'
    )


def columns(values: Sequence[float], words: str, under: str) -> str:
    """Draw values as columns from 0."""
    top, wide = max(values), 236 / len(values)
    drawn = "".join(
        f'<rect class="column" x="{22 + place * wide + 0.12 * wide:.1f}" y="{223 - 205 * max(value, 0) / top:.1f}" '
        f'width="{0.76 * wide:.1f}" height="{205 * max(value, 0) / top:.1f}"/>'
        for place, value in enumerate(values)
    )
    return (
        f'<svg viewBox="0 0 260 245" role="img" aria-label="{escape(words)}">'
        f'<rect class="box" x="22" y="7" width="236" height="216"/>{drawn}'
        f'<text x="140" y="240" text-anchor="middle">{escape(under)}</text></svg>'
    )


def grid(table: pd.DataFrame, rows: str, heading: str, write: Callable[[object], str]) -> str:
    """Make a table of one column of rows and a column a trait.

    Parameters
    ----------
    table : pandas.DataFrame
        ``rows``, ``label`` (title of the trait), ``p``; a row a cell. Rows come by their lowest p.
    rows : str
        Column that names rows.
    heading : str
        Of the first column.
    write : callable
        Turns a row of the data into HTML.
    """
    order = table.groupby(rows, sort=False)["p"].min().sort_values(kind="stable").index
    labels = list(dict.fromkeys(table["label"]))
    cells = {(getattr(row, rows), row.label): write(row) for row in table.itertuples()}
    lines = [
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(f'<td class="s">{cells.get((name, label), DASH)}</td>' for label in labels)
        + "</tr>"
        for name in order
    ]
    heads = "".join(f'<th scope="col">{words}</th>' for words in (heading, *labels))
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def matrix(frame: pd.DataFrame, names: Sequence[str], label: Callable[[str], str]) -> str:
    """Make the table of correlations of all pairs.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``trait_a``, ``trait_b``, ``rg``, ``lower``, ``upper``; a row a pair.
    """
    known = {}
    for row in frame.itertuples():
        known[row.trait_a, row.trait_b] = known[row.trait_b, row.trait_a] = row
    rows = []
    for one in names:
        cells = [f'<th scope="row">{escape(label(one))}</th>']
        for other in names:
            pair = known.get((one, other))
            if one == other or pair is None or pd.isna(pair.rg):
                cells.append(f'<td class="pair">{"" if one == other else DASH}</td>')
                continue
            hue = "var(--mark)" if pair.rg >= 0 else "var(--bad)"
            share = f"{min(abs(pair.rg), 1) * 55:.0f}%"
            shown = interval(pair.rg, pair.lower, pair.upper)
            cells.append(f'<td class="pair heat" style="--hue:{hue};--share:{share}">{shown}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    heads = "".join(f'<th scope="col">{escape(label(name))}</th>' for name in names)
    return (
        f'<div class="wide"><table><thead><tr><td></td>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def picture(path: Path, words: str) -> str:
    """Put a PNG into the page."""
    data = base64.b64encode(path.read_bytes()).decode()
    words = html.escape(words)
    return f'<figure><img alt="{words}" src="data:image/png;base64,{data}"><figcaption>{words}</figcaption></figure>'
