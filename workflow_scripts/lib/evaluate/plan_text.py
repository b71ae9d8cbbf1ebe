"""The plan as a text for the terminal."""

import pandas as pd

from workflow_scripts.lib.evaluate.plan import (
    SECONDS_PROBE,
    advise_repeats,
    disk_bytes,
    format_bytes,
    format_time,
    plan_curves,
)

TITLE = "Plan of the evaluation: counted and estimated, nothing of it has been run"


def lay_out(rows: list[list[object]]) -> list[str]:
    """Align the columns of a table: the first row is the head, numbers to the right."""
    texts = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[place]) for row in texts) for place in range(len(texts[0]))]
    right = [all(not text or text[0].isdigit() for text in column[1:]) for column in zip(*texts, strict=True)]
    return [
        "  "
        + "  ".join(
            text.rjust(w) if r else text.ljust(w) for text, w, r in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in texts
    ]


def multiply(counts: dict[str, int]) -> str:
    """Write counts of things as a product: 2 tasks x 1 size."""
    return " x ".join(f"{count:,} {thing}{'' if count == 1 else 's'}" for thing, count in counts.items())


def tell_people(counts: pd.DataFrame) -> list[str]:
    """Tell the people and scans of each class of each task (schema ``task_counts``)."""
    rows = [["task", "class", "people", "scans", ""]]
    for _, row in counts.iterrows():
        reason = "" if row["used"] == "true" else f"left out: {row['reason']}"
        rows.append([row["task"], row["class"], int(row["participants"]), int(row["scans"]), reason])
    return ["People and scans with a known label, before quality control", *lay_out(rows)]


def tell_probes(tasks: int, representations: int, resamples: int) -> list[str]:
    """Tell the fits of the probes."""
    fits = tasks * representations * resamples
    product = multiply({"task": tasks, "resample": resamples, "representation": representations})
    cost = f"{representations:,} jobs, about {format_time(fits * SECONDS_PROBE)} of a core"
    return ["Linear probes", f"  {product} = {fits:,} fits, {cost}"]


def tell_sizes(sizes: pd.DataFrame) -> list[str]:
    """Tell which samples are drawn and which sizes no pool is large enough for (schema ``curve_sizes``)."""
    rows = [["task", "n", "validation", "test", "samples"]]
    rows += [
        [row["task"], *(int(row[key]) for key in ("n", "validation", "test", "repeats"))] for _, row in sizes.iterrows()
    ]
    lines = ["Samples of the learning curves (images)", *lay_out(rows)]
    return lines + [f"  DOES NOT FIT: {reason}." for reason in sizes["reason"].dropna()]


def tell_curves(curves: pd.DataFrame, finetune: dict) -> list[str]:
    """Tell the fits, jobs and hours of the learning curves, a row a model."""
    if curves.empty:
        return ["Learning curves", "  no fit: no size fits the pool"]
    rows = [["model", "kind", "settings", "fits", "jobs", "steps", "time", "longest job", "memory of a job", "device"]]
    for model, part in curves.groupby("model", sort=False):
        first, steps = part.iloc[0], int((part["fits"] * part["steps"]).sum())
        seconds, memory = part["seconds"].sum(skipna=False), part["megabytes_job"].max()
        longest = seconds if first["kind"] == "linear" else part["seconds_job"].max()
        row = [model, first["kind"], int(first["settings"]), int(part["fits"].sum()), int(part["jobs"].sum())]
        row += [steps or "", format_time(seconds), format_time(longest)]
        row += [format_bytes(1e6 * memory) if pd.notna(memory) else "", first["device"]]
        rows.append(["" if pd.isna(cell) else cell for cell in row])
    counts = {"task": curves["task"].nunique(), "size": curves["n"].nunique(), "sample": finetune["repeats"]}
    total = f"  {multiply(counts)}: {int(curves['fits'].sum()):,} fits in {int(curves['jobs'].sum()):,} jobs"
    return ["Learning curves", total, *lay_out(rows), *_tell_time(curves, finetune)]


def _tell_time(curves: pd.DataFrame, finetune: dict) -> list[str]:
    """Tell the sum for each device, how far the times can be trusted, and what to change."""
    networks, planned = curves[curves["kind"] == "network"], finetune["network"]["fits_at_once"]
    lines = []
    for device, part in networks.dropna(subset=["seconds"]).groupby("device", sort=False):
        unit = "core" if device == "cpu" else device
        lines.append(f"  in all {format_time(part['seconds'].sum())} of one {unit}")
        if device != "cpu" and (part["at_once"] != planned).any():
            lines.append(
                f"  {planned} fits at once were not measured for every model: those times are of one at a time"
            )
    if networks["seconds"].isna().any():
        lines.append("  no time of networks without the probe: make results/finetune/measure_fit/fit_costs.tsv first")
    if len(networks) and finetune["network"].get("early_stopping"):
        lines.append("  early stopping is on: times are upper bounds")
    advice = advise_repeats(networks, finetune["repeats_per_job"])
    return [*lines, *([f"  {advice}"] if advice else [])]


def tell_disk(curves: pd.DataFrame, sizes: pd.DataFrame, there: dict[str, int]) -> list[str]:
    """Tell what the tables will take, and what is there already."""
    rows = [[name, format_bytes(count), ""] for name, count in disk_bytes(curves, sizes).items()]
    one = curves["megabytes_checkpoint"].max() * 1e6
    rows.append(
        ["a checkpoint", format_bytes(one) if pd.notna(one) else "", "for each fit in progress, removed afterwards"]
    )
    for name, count in there.items():
        rows.append([name, format_bytes(count) if count else "", "there already" if count else "not made yet"])
    return ["Disk", *lay_out([["what", "size", ""], *rows])]


def write_plan(
    counts: pd.DataFrame,
    sizes: pd.DataFrame,
    finetune: dict,
    probe: dict,
    representations: int,
    costs: pd.DataFrame | None = None,
    there: dict[str, int] | None = None,
) -> str:
    """Write the plan.

    Parameters
    ----------
    counts : pandas.DataFrame
        Schema ``task_counts``.
    sizes : pandas.DataFrame
        Schema ``curve_sizes``.
    finetune : dict
        Config section.
    probe : dict
        n_resamples.
    representations : int
        How many are probed.
    costs : pandas.DataFrame, optional
        Schema ``fit_costs``.
    there : dict, optional
        What is on disk already, in bytes.

    Returns
    -------
    str
    """
    curves = plan_curves(finetune, sizes, costs, counts.groupby("task")["scans"].sum().to_dict())
    used = counts.loc[counts["used"] == "true", "task"].nunique()
    parts = [
        [TITLE],
        tell_people(counts),
        tell_probes(used, representations, probe["n_resamples"]),
        tell_sizes(sizes),
        tell_curves(curves, finetune),
        tell_disk(curves, sizes, there or {}),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"
