"""The page of genetics: one file that opens offline, from quality control to files for other programs."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.figures import genetics_findings as findings
from workflow_scripts.lib.figures import genetics_look, style
from workflow_scripts.lib.figures import genetics_parts as parts
from workflow_scripts.lib.figures import genetics_sections as sections
from workflow_scripts.lib.figures import genetics_text as text
from workflow_scripts.lib.study.files import atomic

WRITERS: dict[str, Callable[[parts.Source], str]] = {
    "glance": sections.glance,
    "quality": sections.quality,
    "people": sections.people,
    "ancestry": sections.ancestry,
    "association": sections.association,
    "loci": findings.loci,
    "heritability": findings.heritability,
    "correlation": findings.correlation,
    "cells": findings.cells,
    "peaks": findings.peaks,
    "handoffs": sections.handoffs,
    "programs": sections.programs,
}
# name -> what it is; see the schemas of the rules named
TABLES = {
    "steps": "filters of people and variants (genotype_qc_steps)",
    "losses": "people left for the association after each condition (losses)",
    "entered": "covariates that entered (entered)",
    "components": "genetic components (genetic_pcs)",
    "eigenvalues": "their eigenvalues: component, eigenvalue",
    "summary": "association of each trait (gwas_summary)",
    "loci": "loci (loci)",
    "leads": "leads (locus_leads)",
    "genes": "genes of loci (locus_genes)",
    "greml": "heritability by GREML (greml_heritability)",
    "greml_correlation": "genetic correlation by GREML (greml_correlation)",
    "ldsc": "heritability by LDSC: trait, people, variants, h2, se, lower, upper, p, lambda_gc, intercept, ratio ...",
    "ldsc_correlation": "genetic correlation by LDSC: trait_a, trait_b, rg, se, lower, upper, p, gcov_intercept, note",
    "dropped": "variants that munging dropped (munge_dropped)",
    "cells": "cell types by LDSC: trait, cell_type, coefficient, se, z, p, q, significant",
    "partitioned": "heritability by annotation: trait, category, prop_snps, prop_h2, enrichment ...",
    "expression": "cell types by expression: trait, cell_type, genes, beta, se, t, p, p_bonferroni, q",
    "peaks": "variants in open chromatin (peak_summary)",
    "files": "files for other programs (handoff_files)",
    "validation": "verdict of the GWAS Catalog's validator (handoff_validation)",
    "commands": "commands that ran: rule, log, program, command",
}


@dataclass(frozen=True)
class Found:
    """What the page shows.

    Attributes
    ----------
    tables : dict of pandas.DataFrame
        Those of :data:`TABLES` that there are; an absent one becomes a sentence.
    pictures : sequence of path
        PNG files; their names decide in which section they stand (:data:`genetics_text.FIGURES`).
    options : dict
        ``build``, ``threshold`` (genome-wide significance), ``tool`` of the association, ``titles`` (trait -> title),
        ``handoffs`` (where the reader finds them).
    """

    tables: Mapping[str, pd.DataFrame]
    pictures: Sequence[str | os.PathLike] = ()
    options: Mapping[str, object] = field(default_factory=dict)

    def get(self, name: str) -> pd.DataFrame | None:
        """Return a table with rows, or None; where it has traits, with their titles as ``label``."""
        table = self.tables.get(name)
        if table is None or table.empty:
            return None
        if "trait" in table:
            return table.assign(label=table["trait"].map(self.label))
        return table

    def label(self, trait: str) -> str:
        """Return the title of a trait, escaped."""
        titles = self.options.get("titles") or {}
        return parts.escape(titles.get(trait) or style.label(trait))


def place_pictures(paths: Sequence[str | os.PathLike]) -> dict[str, str]:
    """Sort pictures into sections by their names; HTML by section, the unknown ones under the empty name."""
    placed: dict[str, str] = {}
    for path in map(Path, paths):
        known = next((entry for entry in text.FIGURES if path.stem.lower().startswith(entry[0])), None)
        name, words = known[1:] if known else ("", path.stem.replace("_", " "))
        placed[name] = placed.get(name, "") + parts.picture(path, words)
    return placed


def _section(name: str, body: str, drawn: str) -> tuple[str, bool]:
    """Write a section, and say whether there is something in it."""
    there = bool(body or drawn)
    means = f'<p class="means">{text.MEANS[name]}</p>' if name in text.MEANS and there else ""
    if not there:
        body = f'<p class="absent-part">Not part of this run: {text.ABSENT[name]}.</p>'
    html = f'<section id="{name}"><h2>{text.TITLES[name]}</h2>{means}{body}{drawn}</section>'
    return html, there


def write_page(found: Found, path: str | os.PathLike, title: str = "From brain age to genes") -> None:
    """Write the page as one HTML file that needs nothing else, atomically.

    Parameters
    ----------
    found : Found
    path : path
    title : str
        Heading.
    """
    drawn = place_pictures(found.pictures)
    written, contents = [], []
    for name, heading in text.TITLES.items():
        body = WRITERS[name](found)
        section, there = _section(name, body, drawn.pop(name, ""))
        written.append(section)
        contents.append((name, heading, there))
    if drawn:
        written.append(f'<section id="figures"><h2>Other figures</h2>{"".join(drawn.values())}</section>')
        contents.append(("figures", "Other figures", True))
    options = found.options
    under = "; ".join(
        parts.escape(words)
        for words in (
            f"association by {options['tool']}" if options.get("tool") else "",
            f"positions on {options['build']}" if options.get("build") else "",
            "this page needs no network and holds no data of individuals beyond unnamed dots",
        )
        if words
    )
    with atomic(path) as temporary:
        content = genetics_look.frame(title, under[:1].upper() + under[1:] + ".", contents, "\n".join(written))
        Path(temporary).write_text(content, encoding="utf-8")
