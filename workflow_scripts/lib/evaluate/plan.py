"""What the probes and the learning curves will cost, told before anything is launched.

Counts follow from the config and the tables of the cohort; hours from the measured time of a step.
"""

import pandas as pd

# a fit of 95 columns on one core, mean over sizes 100 to 500 and nine penalties; a resample of the probe with 104
SECONDS_LINEAR = 0.005
SECONDS_PROBE = 0.001
# of a row: ids of a dozen letters, compressed (samples, scores) or not (fits)
BYTES = {"samples": 6, "scores": 16, "fits": 90}
LONG_JOB, SHORT_JOB = 4 * 3600, 120  # seconds; beyond these the number of repeats in a job should change
GOOD_JOB = 1800
NO_LIMIT = 10**12
CURVES = ["task", "n", "model", "kind", "repeats", "settings", "fits", "jobs", "steps", "device", "at_once"]
CURVES += ["seconds_fit", "seconds", "seconds_job", "megabytes_checkpoint", "megabytes_job"]


def count_settings(kind: str, finetune: dict) -> int:
    """Count the settings that a model's validation chooses from."""
    if kind == "linear":
        return len(finetune["linear"]["c"])
    return len(finetune["network"]["learning_rate"]) * len(finetune["network"]["dropout"])


def steps_of_fit(n: int, network: dict) -> int:
    """Count the training steps of one fit: full batches only, as the training loop makes them."""
    return network["epochs"] * (n // min(n, network["batch"]))


def _cost(costs: pd.DataFrame | None, model: str, planned: int) -> dict | None:
    """Take the measured cost of a model: with as many fits at once as planned, else with one."""
    if costs is None:
        return None
    rows = costs[costs["model"] == model].set_index("fits_at_once")
    found = next((count for count in (planned, 1) if count in rows.index), None)
    return None if found is None else rows.loc[found].to_dict() | {"fits_at_once": found}


def _network(row: dict, finetune: dict, cost: dict | None, scans: int) -> dict:
    """Add what a network's fits cost; missing where nothing was measured.

    A fit trains for all epochs, scores the validation images after each, and the test images once.
    """
    network, steps = finetune["network"], steps_of_fit(row["n"], finetune["network"])
    row |= {"steps": steps, "jobs": -(-row["repeats"] // finetune["repeats_per_job"])}
    if cost is None:
        return row
    scored = network["epochs"] * row["validation"] + row["test"]
    seconds = steps * cost["seconds_step"] + scored * cost["seconds_scan"]
    repeats = min(row["repeats"], finetune["repeats_per_job"])
    images = min(scans, repeats * (row["n"] + row["validation"] + row["test"]))
    # fits at once share a GPU; on a CPU each has a core of its own, so that a job is shorter but costs as much
    cores = cost["device"] == "cpu"
    return row | {
        "device": cost["device"],
        "at_once": cost["fits_at_once"],
        "seconds_fit": seconds,
        "seconds": row["fits"] * seconds / (1 if cores else cost["fits_at_once"]),
        "seconds_job": row["settings"] * repeats * seconds / (network if cores else cost)["fits_at_once"],
        "megabytes_checkpoint": cost["megabytes_checkpoint"],
        "megabytes_job": images * cost["megabytes_scan"] + network["fits_at_once"] * cost["megabytes"],
    }


def plan_curves(
    finetune: dict, sizes: pd.DataFrame, costs: pd.DataFrame | None = None, scans: dict[str, int] | None = None
) -> pd.DataFrame:
    """Count fits, jobs and steps of the learning curves and estimate their time.

    Parameters
    ----------
    finetune : dict
        Config section ``finetune``.
    sizes : pandas.DataFrame
        What :func:`workflow_scripts.lib.evaluate.curve_samples.check_sizes` gave.
    costs : pandas.DataFrame, optional
        Schema ``fit_costs``: measured seconds of a step and of scoring a scan, by so many fits at once.
    scans : dict, optional
        Task -> scans of its pool, which are the most that a job can hold.

    Returns
    -------
    pandas.DataFrame
        A row a task, size that fits and model: task, n, model, kind, repeats, settings, fits, jobs, steps (of a fit),
        device, at_once (fits that shared it when measured), seconds_fit, seconds (of all fits: of one GPU, or of one
        core), seconds_job, megabytes_checkpoint (of a fit), megabytes_job (memory of the device).
    """
    rows, linear, planned = [], set(), finetune["network"]["fits_at_once"]
    for _, size in sizes[sizes["fits"] == "true"].iterrows():
        for model, entry in finetune["models"].items():
            kind, settings = entry["kind"], count_settings(entry["kind"], finetune)
            row = {"model": model, "kind": kind, "settings": settings, "fits": size["repeats"] * settings}
            row |= {key: size[key] for key in ("task", "n", "validation", "test", "repeats")}
            if kind == "linear":
                # one job for all tasks and sizes: it counts once, with the first
                row |= {"jobs": int(model not in linear), "steps": 0, "device": "cpu", "seconds_fit": SECONDS_LINEAR}
                linear.add(model)
                rows.append(row | {"seconds": row["fits"] * SECONDS_LINEAR})
            else:
                most = (scans or {}).get(size["task"], NO_LIMIT)
                rows.append(_network(row, finetune, _cost(costs, model, planned), most))
    return pd.DataFrame(rows).reindex(columns=CURVES)


def disk_bytes(curves: pd.DataFrame, sizes: pd.DataFrame) -> dict[str, int]:
    """Estimate what the tables of the learning curves take on disk, in bytes."""
    images = (sizes["repeats"] * (sizes["n"] + sizes["validation"] + sizes["test"])).sum()
    tested = (sizes["repeats"] * sizes["test"]).sum() * curves["model"].nunique()
    rows = {"samples": images, "scores": tested, "fits": curves["fits"].sum()}
    # fits and scores are kept by model and, joined, for all models
    return {name: int(count * BYTES[name] * (1 if name == "samples" else 2)) for name, count in rows.items()}


def advise_repeats(curves: pd.DataFrame, repeats_per_job: int) -> str:
    """Advise another number of repeats a job if jobs would be too long or too short; empty if they are not."""
    known = curves.dropna(subset=["seconds_job"])
    if known.empty:
        return ""
    longest = known["seconds_job"].max()
    if SHORT_JOB <= longest <= LONG_JOB:
        return ""
    better = min(max(1, round(repeats_per_job * GOOD_JOB / longest)), int(known["repeats"].max()))
    if better == repeats_per_job or (longest < SHORT_JOB and better < repeats_per_job):
        return ""
    return f"The longest job takes {format_time(longest)}: set finetune.repeats_per_job to about {better}."


def format_time(seconds: float) -> str:
    """Write a time in the unit that suits it; never in days, since devices are paid by the hour."""
    if pd.isna(seconds):
        return "not measured"
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.1f} seconds"


def format_bytes(count: float) -> str:
    """Write a number of bytes in the unit that suits it."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count / 1e3:,.0f} kB"
