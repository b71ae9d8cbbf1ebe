"""The findings on the page of genetics: loci, heritability, correlations, cell types, open chromatin, as HTML."""

import pandas as pd

from workflow_scripts.lib.figures import genetics_parts as parts
from workflow_scripts.lib.figures import genetics_text as text
from workflow_scripts.lib.figures.genetics_parts import Source, escape, figures, label_column, number, p_value

MOST_LEADS = 200  # rows of leads on the page; the table on the disk has all
MOST_NAMES = 6  # genes or traits in a cell
LIMIT = 0.05  # of q, where a table does not say itself what is significant
MARKER = "● "


def _novelty(value: object) -> str:
    words = "" if pd.isna(value) else str(value).lower()
    return {"true": parts.pill("new", "good"), "false": parts.pill("known", "dim")}.get(words, parts.DASH)


def _names(value: object) -> str:
    """Write a list joined by semicolons with its first names."""
    if pd.isna(value):
        return parts.DASH
    names = [name.strip() for name in str(value).split(";") if name.strip()]
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return escape(", ".join(names[:MOST_NAMES])) + more


def loci(found: Source) -> str:
    """Write loci, leads and genes."""
    table = found.get("loci")
    if table is None:
        limit = p_value(found.options.get("threshold", 5e-8))
        return f"<p>No variant of any trait is below {limit}, hence no locus.</p>" if "loci" in found.tables else ""
    shown = table.assign(
        place=[f"{row.chrom}: {row.start / 1e6:.2f}–{row.end / 1e6:.2f}" for row in table.itertuples()],
        allele=[f"{escape(row.lead_a1)}, {number(2)(row.lead_a1_freq)}" for row in table.itertuples()],
        effect=[f"{number(3)(row.lead_beta)} ± {number(3)(row.lead_se)}" for row in table.itertuples()],
    )
    columns = [
        label_column(),
        figures("locus", "Locus"),
        parts.text("place", "Chromosome: Mb"),
        parts.text("lead_id", "Lead"),
        figures("lead_p", "p", p_value),
        parts.text("effect", "Effect ± SE", str),
        parts.text("allele", "Allele, frequency", str),
        parts.text("nearest_gene", "Nearest gene", _names),
        parts.text("genes", "Genes", _names),
        parts.text("novel", "Catalogue", _novelty),
        parts.text("known_traits", "Known for", _names),
        figures("n_candidates", "Candidates"),
        figures("n_leads", "Leads"),
    ]
    body = parts.table(shown, columns, "Effects in units of the trait per copy of the allele")
    if table["novel"].notna().any():
        body += f"<p>{text.MEANS['novel']}</p>"
    return body + _leads(found.get("leads")) + _genes(found.get("genes"))


def _leads(leads: pd.DataFrame | None) -> str:
    if leads is None:
        return ""
    columns = [
        label_column(),
        figures("locus", "Locus"),
        parts.text("id", "Lead"),
        parts.text("chrom", "Chromosome"),
        figures("pos", "Position"),
        parts.text("a1", "Allele"),
        figures("a1_freq", "Frequency", number(2)),
        figures("beta", "Effect", number(3)),
        figures("se", "SE", number(3)),
        figures("p", "p", p_value),
        figures("n", "People"),
    ]
    cut = f"The first {MOST_LEADS} of {len(leads)}" if len(leads) > MOST_LEADS else ""
    inner = parts.table(leads.head(MOST_LEADS), columns, cut)
    return f"<details><summary>Leads, {len(leads)}</summary>{inner}</details>"


def _genes(genes: pd.DataFrame | None) -> str:
    if genes is None:
        return ""
    columns = [
        label_column(),
        figures("locus", "Locus"),
        parts.text("gene", "Gene"),
        parts.text("chrom", "Chromosome"),
        figures("start", "Start"),
        figures("end", "End"),
        figures("distance", "Distance, bp"),
        figures("variants", "Candidates"),
        figures("min_p", "Lowest p", p_value),
    ]
    cut = f"The first {MOST_LEADS} of {len(genes)}" if len(genes) > MOST_LEADS else ""
    inner = parts.table(genes.head(MOST_LEADS), columns, cut)
    return f"<details><summary>Genes near candidates, {len(genes)}</summary>{inner}</details>"


def estimates(found: Source) -> pd.DataFrame:
    """Stack heritability by GREML and LDSC, with who estimated as ``by``."""
    stacked = []
    for name in ("greml", "ldsc"):
        if (table := found.get(name)) is not None:
            by = {"gcta": "GCTA", "bolt": "BOLT-REML"}
            methods = table["method"].map(by).fillna("GREML") if "method" in table else "LDSC"
            stacked.append(table.assign(by=methods, second=name == "ldsc"))
    return pd.concat(stacked, ignore_index=True) if stacked else pd.DataFrame()


def heritability(found: Source) -> str:
    """Draw and write heritability by all methods."""
    table = estimates(found)
    if table.empty:
        return ""
    table = table.sort_values("trait", key=lambda names: names.map({n: i for i, n in enumerate(names.unique())}))
    rows = [(f"{row.label}, {row.by}", row.h2, row.lower, row.upper, bool(row.second)) for row in table.itertuples()]
    columns = [
        label_column(),
        parts.text("by", "Method"),
        figures("people", "People"),
        figures("variants", "Variants"),
        figures("h2", "h²", number(3)),
        figures("se", "SE", number(3)),
        figures("lower", "From", number(3)),
        figures("upper", "to", number(3)),
        figures("p", "p of h² = 0", p_value),
        parts.text("note", "Note"),
    ]
    judged = [words for _, row in table.iterrows() if (words := text.heritability(row))]
    return parts.forest(rows, 0.0, 1.0, 0.0) + parts.note(*judged) + parts.table(table, columns)


def correlation(found: Source) -> str:
    """Write genetic correlations by both methods."""
    body = ""
    for name, heading in (("greml_correlation", "GREML"), ("ldsc_correlation", "LDSC")):
        table = found.get(name)
        if table is None:
            continue
        names = list(dict.fromkeys([*table["trait_a"], *table["trait_b"]]))
        shown = table.assign(first=table["trait_a"].map(found.label), other=table["trait_b"].map(found.label))
        columns = [
            parts.text("first", "Trait", str),
            parts.text("other", "Trait", str),
            figures("rg", "r<sub>g</sub>", number(3)),
            figures("se", "SE", number(3)),
            figures("lower", "From", number(2)),
            figures("upper", "to", number(2)),
            figures("p_zero", "p of 0", p_value),
            figures("p", "p of 0", p_value),
            figures("p_one", "p of 1", p_value),
            figures("re", "Residual r", number(2)),
            figures("gcov_intercept", "Intercept", number(3)),
            parts.text("note", "Note"),
        ]
        body += f"<h3>{heading}</h3>{parts.matrix(table, names, found.label)}"
        body += f"<details><summary>With errors and tests</summary>{parts.table(shown, columns)}</details>"
    known = estimates(found)
    return parts.note(*text.weak_correlations(known)) + body if body and len(known) else body


def _significant(table: pd.DataFrame) -> pd.Series:
    """Say of each row whether it is below the limit."""
    if "significant" in table:
        return table["significant"].astype(str).str.lower() == "true"
    return table["q"] < LIMIT


def _cell(row: object) -> str:
    """Write p and, in brackets, q; marked where it is below the limit."""
    shown = f"{p_value(row.p)} ({p_value(row.q)})"
    return f"<b>{MARKER}{shown}</b>" if row.below else shown


def _cell_types(table: pd.DataFrame, columns: list[parts.Column]) -> str:
    """Write cell types by trait, and all numbers of them to open."""
    table = table.assign(below=_significant(table))
    known = [parts.text("data_set", "Data set"), parts.text("note", "Note")]
    full = [parts.text("cell_type", "Cell type"), label_column(), *columns, *known]
    inner = parts.table(table.sort_values(["trait", "p"], kind="stable"), full)
    sets = table.groupby("data_set", sort=False) if "data_set" in table else [("Cell type", table)]
    grids = [parts.grid(rows, "cell_type", escape(name), _cell) for name, rows in sets]
    legend = f'<p class="means">p, in brackets q; {MARKER}below the limit of the study.</p>'
    return f"{legend}{''.join(grids)}<details><summary>All numbers</summary>{inner}</details>"


def cells(found: Source) -> str:
    """Write cell types by LDSC and by expression, and partitioned heritability."""
    body = ""
    test = [figures("p", "p", p_value), figures("p_bonferroni", "p Bonferroni", p_value), figures("q", "q", p_value)]
    if (table := found.get("cells")) is not None:
        shown = _cell_types(table, [figures("z", "z", number(2)), *test])
        body += f"<h3>Heritability in open chromatin (LDSC)</h3>{text.means('cts')}{shown}"
    if (table := found.get("expression")) is not None:
        size = [figures("genes", "Genes"), figures("beta", "Effect", number(3)), figures("se", "SE", number(3))]
        body += f"<h3>Gene expression</h3>{text.means('expression')}{_cell_types(table, [*size, *test])}"
    if (table := found.get("partitioned")) is not None:
        columns = [
            parts.text("category", "Annotation"),
            label_column(),
            figures("prop_snps", "Share of variants", number(3)),
            figures("prop_h2", "Share of h²", number(3)),
            figures("enrichment", "Enrichment", number(2)),
            figures("enrichment_se", "SE", number(2)),
            figures("enrichment_p", "p", p_value),
            figures("q", "q", p_value),
            parts.text("note", "Note"),
        ]
        inner = text.means("partitioned") + parts.table(table, columns)
        body += f"<details><summary>Partitioned heritability</summary>{inner}</details>"
    return body


def peaks(found: Source) -> str:
    """Write counts of variants in open chromatin."""
    table = found.get("peaks")
    if table is None:
        return ""
    columns = [
        parts.text("cell_type", "Cell type"),
        label_column(),
        figures("peaks", "Peaks"),
        figures("tested_inside", "Tested variants inside"),
        figures("expected_share", "Share of tested", number(3)),
        figures("variants", "Nominal variants inside"),
        figures("share", "Share of nominal", number(3)),
        figures("fold", "Ratio", number(2)),
        figures("significant", "Significant inside"),
    ]
    known = [column for column in columns if column.name in table]
    return parts.table(table, known) if len(known) > 3 else parts.plain_table(table.drop(columns="label"))
