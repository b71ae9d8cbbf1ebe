"""The sections of the page of genetics, each from tidy tables to HTML; empty where there is nothing to show."""

from collections.abc import Callable

import pandas as pd

from workflow_scripts.lib.figures import genetics_parts as parts
from workflow_scripts.lib.figures import genetics_text as text
from workflow_scripts.lib.figures.genetics_parts import Source, count, escape, figures, label_column, number, p_value

NEWLINES = "\n\n"


def _span(values: pd.Series, write: Callable[[object], str]) -> str:
    """Write one value, or the lowest and the highest."""
    low, high = write(values.min()), write(values.max())
    return low if low == high else f"{low} to {high}"


def _loci_card(loci: pd.DataFrame | None) -> tuple[str, str]:
    """Count loci and, with a catalogue, the new ones."""
    if loci is None:
        return "0", "loci"
    new = int((loci["novel"].astype(str).str.lower() == "true").sum())
    known = f", {new} of them new to the catalogue" if loci["novel"].notna().any() else ""
    return count(len(loci)), f"loci over all traits{known}"


def glance(found: Source) -> str:
    """Write the large numbers and what to beware of."""
    summary, loci, steps = found.get("summary"), found.get("loci"), found.get("steps")
    entries, warned = [], []
    if summary is not None:
        entries.append((_span(summary["people"], count), "people tested"))
        entries.append((_span(summary["variants"], count), "variants tested"))
        entries.append((count(len(summary)), "trait" if len(summary) == 1 else "traits"))
        if "loci" in found.tables:
            entries.append(_loci_card(loci))
        warned = text.few_people(int(summary["people"].max()))
    elif steps is not None:
        entries.append((count(steps["people"].iloc[-1]), "people after quality control"))
        entries.append((count(steps["variants"].iloc[-1]), "variants after quality control"))
    for name, words in (("greml", "h², GREML"), ("ldsc", "h², LDSC")):
        if (table := found.get(name)) is not None and table["h2"].notna().any():
            entries.append((_span(table["h2"].dropna(), number(2)), words))
    return (parts.cards(entries) if entries else "") + parts.note(*warned)


def quality(found: Source) -> str:
    """Write the counts of each filter."""
    steps = found.get("steps")
    if steps is None:
        return ""
    most = steps[["people", "variants"]].max()
    bars = steps.assign(
        **{
            f"{name}_left": [f"{count(value)}{parts.bar(value, most[name])}" for value in steps[name]]
            for name in ("people", "variants")
        }
    )
    columns = [
        parts.text("step", "Step"),
        parts.text("filter", "Removes"),
        figures("people_removed", "People removed", parts.removed),
        parts.text("people_left", "People left", str),
        figures("variants_removed", "Variants removed", parts.removed),
        parts.text("variants_left", "Variants left", str),
    ]
    return parts.table(bars, columns, sortable=False)


def people(found: Source) -> str:
    """Write who enters and which covariates."""
    body = ""
    if (losses := found.get("losses")) is not None:
        columns = [
            parts.text("reason", "Condition"),
            parts.text("column", "Column"),
            figures("people", "People left"),
            figures("lost", "Lost here"),
            figures("alone", "Would be gained"),
        ]
        body += parts.table(losses, columns, sortable=False)
    if (entered := found.get("entered")) is not None:
        body += f"<h3>Covariates that entered</h3>{text.means('entered')}{_covariates(entered)}"
    return body


def _covariates(entered: pd.DataFrame) -> str:
    """List covariates: in one line if all traits have the same, otherwise by trait; and what did not enter."""
    if not {"covariate", "entered", "label"} <= set(entered):
        return parts.plain_table(entered)
    truth = entered["entered"].astype(str).str.lower() == "true"
    asked = entered["asked"].astype(str).str.lower() == "true" if "asked" in entered else truth
    groups: dict[tuple, list[str]] = {}
    for label, rows in entered[truth].groupby("label", sort=False):
        groups.setdefault(tuple(rows["covariate"]), []).append(label)
    lines = []
    for names, labels in groups.items():
        whose = "all traits" if len(groups) == 1 else ", ".join(labels)
        listed = ", ".join(f"<code>{escape(name)}</code>" for name in names)
        lines.append(f"<p>{len(names)} for {whose}: {listed}</p>")
    lost = entered[asked & ~truth]
    if len(lost):
        names = ", ".join(f"{escape(row.covariate)} ({row.label})" for row in lost.itertuples())
        lines.append(parts.note(f"<b>Asked for and not in the model</b>: {names}."))
    return "".join(lines)


def ancestry(found: Source) -> str:
    """Draw people along the first components."""
    table = found.get("components")
    names = [] if table is None else [name for name in table if name != "participant_id"]
    if not names:
        return ""
    drawn = []
    for one, other in list(zip(names[::2], names[1::2], strict=False))[:2]:
        drawn.append(parts.scatter(table, one, other, f"People along {one} and {other}"))
    values = found.get("eigenvalues")
    if values is not None and values["eigenvalue"].notna().all() and values["eigenvalue"].max() > 0:
        words = "Eigenvalues of the components, strongest first"
        drawn.append(parts.columns(list(values["eigenvalue"]), words, f"eigenvalues of {len(values)} components"))
    said = f"<p>{count(len(table))} people, {len(names)} components.</p>"
    return said + f'<div class="plots">{"".join(drawn)}</div>'


def association(found: Source) -> str:
    """Write each trait's summary with λ beside the intercept."""
    summary = found.get("summary")
    if summary is None:
        return ""
    if (ldsc := found.get("ldsc")) is not None:
        wanted = [name for name in ("trait", "intercept", "intercept_se", "ratio", "mean_chi2") if name in ldsc]
        summary = summary.merge(ldsc[wanted], on="trait", how="left")
    if "intercept" in summary:
        errors = summary.get("intercept_se", pd.Series(float("nan"), summary.index))
        pairs = zip(summary["intercept"], errors, strict=True)
        texts = [
            f"{number(3)(value)} ± {number(3)(error)}" if pd.notna(value) else parts.DASH for value, error in pairs
        ]
        summary = summary.assign(intercept_text=texts)
    logged = figures("top_neg_log10_p", "p", parts.p_from_log)
    columns = [
        label_column(),
        figures("people", "People"),
        figures("variants", "Variants"),
        figures("lambda_gc", "λ", number(3)),
        parts.text("intercept_text", "LDSC intercept", str),
        figures("ratio", "Ratio", number(2)),
        figures("significant", f"Variants below {p_value(found.options.get('threshold', 5e-8))}"),
        parts.text("top_id", "Strongest variant"),
        figures("top_beta", "Effect", number(3)),
        logged if logged.name in summary else figures("top_p", "p", p_value),
    ]
    judged = "".join(f"<li>{text.inflation(row)}</li>" for _, row in summary.iterrows())
    body = parts.table(summary, columns) + f"<ul>{judged}</ul>"
    if (dropped := found.get("dropped")) is not None:
        inner = parts.table(
            dropped, [label_column(), parts.text("reason", "Filter before LDSC"), figures("variants", "Variants")]
        )
        body += f"<details><summary>Variants that did not go into LD score regression</summary>{inner}</details>"
    return body


def handoffs(found: Source) -> str:
    """Write which files there are, for whom, who may see them, and the validator's verdict."""
    table, verdicts = found.get("files"), found.get("validation")
    if table is None:
        return ""
    private = table["individuals"].astype(str).str.lower() == "true"
    grouped = table.assign(private=private).groupby("target", sort=False)
    rows = grouped.agg(files=("file", "size"), bytes=("bytes", "sum"), private=("private", "any")).reset_index()
    rows["who"] = [
        parts.pill("data of individuals", "bad") if mark else parts.pill("summary statistics", "dim")
        for mark in rows["private"]
    ]
    columns = [
        parts.text("target", "Folder", lambda name: f"<code>{escape(name)}</code>"),
        figures("files", "Files"),
        figures("bytes", "Size", parts.size),
        parts.text("who", "Holds", str),
    ]
    where = found.options.get("handoffs")
    body = f"<p>In <code>{escape(where)}</code>.</p>" if where else ""
    body += parts.table(rows, columns, sortable=False)
    return body + ("" if verdicts is None else _verdicts(verdicts))


def _verdicts(table: pd.DataFrame) -> str:
    kinds = {"yes": ("valid", "good"), "no": ("not valid", "bad")}
    shown = table.assign(
        verdict=[parts.pill(*kinds.get(str(value), ("not checked", "dim"))) for value in table["valid"]],
        taken=["yes" if str(value).lower() == "true" else "no: fewer than 100,000" for value in table["enough_rows"]],
    )
    columns = [
        label_column(),
        parts.text("file", "File"),
        figures("rows", "Variants"),
        parts.text("verdict", "Verdict", str),
        parts.text("taken", "Enough variants"),
        parts.text("validator", "Validator"),
        parts.text("message", "Its words"),
    ]
    return f"<h3>GWAS-SSF, by the GWAS Catalog's validator</h3>{parts.table(shown, columns)}"


def programs(found: Source) -> str:
    """List versions of programs and one command of each kind."""
    table = found.get("commands")
    if table is None:
        return ""
    versions = "".join(f"<li>{escape(name)}</li>" for name in dict.fromkeys(table["program"]))
    kinds = table["command"].str.replace(r"\d+", "0", regex=True)  # the same command of another part
    body = f"<ul>{versions}</ul>"
    for rule, rows in table.groupby("rule", sort=False):
        shown = rows.assign(kind=kinds[rows.index]).groupby("kind", sort=False)["command"].agg(["first", "size"])
        lines = [
            escape(row.first) + (f"\n# and {row.size - 1} of the kind for other parts" if row.size > 1 else "")
            for row in shown.itertuples(index=False, name="Shown")
        ]
        body += f"<details><summary>{escape(rule)}</summary><pre>{NEWLINES.join(lines)}</pre></details>"
    return body
