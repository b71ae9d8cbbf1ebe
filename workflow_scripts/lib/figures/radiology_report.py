"""The page of the 2D arm: datasets, groups, models, effects, tests and explanations, in one file that opens offline."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from workflow_scripts.lib.figures import genetics_look, radiology_sections
from workflow_scripts.lib.figures import genetics_parts as parts
from workflow_scripts.lib.figures import radiology_text as text
from workflow_scripts.lib.figures.radiology_sections import Found
from workflow_scripts.lib.study.files import atomic

# name of a table -> its schema and whether there is one a dataset or one a grid, which a column names
TABLES = {
    "counts": ("image_counts", "dataset"),
    "dropped": ("image_dropped", "dataset"),
    "groups": ("image_groups", "dataset"),
    "pairs": ("image_pairs", "dataset"),
    "conflicts": ("image_conflicts", "dataset"),
    "fits": ("grid_fits", "grid"),
    "selection": ("grid_selection", "grid"),
    "effects": ("grid_effects", "grid"),
    "variances": ("grid_variances", "grid"),
    "contrasts": ("grid_contrasts", "grid"),
    "tests": ("grid_tests", "grid"),
    "ranks": ("grid_ranks", "grid"),
    "grouping": ("grid_grouping", "grid"),
    "explained": ("explain_summary", "grid"),
    "randomisation": ("explain_randomisation", "grid"),
}
WRITERS: dict[str, Callable[[Found], str]] = {
    "glance": radiology_sections.glance,
    "datasets": radiology_sections.datasets,
    "groups": radiology_sections.groups,
    "leak": radiology_sections.leak,
    "models": radiology_sections.models,
    "effects": radiology_sections.effects,
    "tests": radiology_sections.tests,
    "explanations": radiology_sections.explanations,
}


def _place(paths: Sequence[str | os.PathLike]) -> dict[str, str]:
    """Sort pictures into sections by their names; HTML by section."""
    placed: dict[str, str] = {}
    for path in map(Path, paths):
        known = next((entry for entry in text.FIGURES if path.stem.startswith(entry[0])), None)
        section, words = known[1:] if known else ("glance", path.stem.replace("_", " "))
        placed[section] = placed.get(section, "") + parts.picture(path, words)
    return placed


def write_page(found: Found, path: str | os.PathLike, title: str = "Transfer to images") -> None:
    """Write the page as one HTML file that needs nothing else, atomically.

    Parameters
    ----------
    found : Found
    path : path
    title : str
        Heading.
    """
    drawn, written, contents = _place(found.pictures), [], []
    for name, heading in text.TITLES.items():
        body, pictures = WRITERS[name](found), drawn.get(name, "")
        contents.append((name, heading, bool(body or pictures)))
        means = f'<p class="means">{text.MEANS[name]}</p>' if name in text.MEANS and (body or pictures) else ""
        if not contents[-1][2]:
            absent = text.ABSENT.get(name, "no table was given")
            body = f'<p class="absent-part">Not part of this run: {absent}.</p>'
        written.append(f'<section id="{name}"><h2>{heading}</h2>{means}{body}{pictures}</section>')
    under = "This page needs no network and names no person; images are called by their ids."
    with atomic(path) as temporary:
        Path(temporary).write_text(genetics_look.frame(title, under, contents, "\n".join(written)), encoding="utf-8")
