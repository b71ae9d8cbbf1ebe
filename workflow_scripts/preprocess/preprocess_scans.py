"""Preprocess a batch of scans: brain, regional features and numbers, or the reason why a scan is set aside."""

import functools
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.imaging import sources, steps
from workflow_scripts.lib.study import log, tables
from workflow_scripts.lib.study.keep import Keep
from workflow_scripts.lib.study.pool import Failed, run_each


def work_on(scans, snakemake, keep):
    """Preprocess the scans; give row and features by scan_id."""
    params = snakemake.params
    exported = sources.read_exported(scans, params.inputs)
    tool = {"passed": True, "tool": "tables", "tool_version": "unknown"}
    found = {scan: {"row": tool, "features": values} for scan, values in exported.items()}
    todo = [scan for scan in scans.to_dict("records") if scan["scan_id"] not in exported]
    work = functools.partial(steps.preprocess_step, keep=keep, settings=params.preprocess)
    results = run_each(work, todo, snakemake.threads, name=lambda scan: scan["scan_id"])
    for scan, result in zip(todo, results, strict=True):
        found[scan["scan_id"]] = steps.set_aside(result.reason) if isinstance(result, Failed) else result
    return found


def main(snakemake):
    """Entry point of rule ``preprocess_scans``."""
    params, folder = snakemake.params, Path(snakemake.output.brains)
    folder.mkdir(parents=True, exist_ok=True)
    scans = tables.read_table(snakemake.input.scans, "scans")
    scans = scans[scans["batch"] == snakemake.wildcards.batch]
    if snakemake.input.reconstructed:
        made = tables.read_table(snakemake.input.reconstructed, "reconstructed")
        scans = sources.use_reconstructed(scans, made, params.preprocess["backend"])
    keep = Keep(params.kept, params.code, params.preprocess)
    found, rows, features = work_on(scans, snakemake, keep), [], []
    for scan in scans.itertuples():
        result = found[scan.scan_id]
        rows.append({"scan_id": scan.scan_id, "passed": None, "reason": None, "volume": False} | result["row"])
        if rows[-1]["volume"]:
            keep.link(scan.scan_id, steps.BRAIN, folder / f"{scan.scan_id}.nii.gz")
        if result["features"]:
            ids = {"scan_id": scan.scan_id, "participant_id": scan.participant_id, "icv": None}
            features.append(ids | result["features"])
    columns = None if features else ["scan_id", "participant_id", "icv"]
    tables.write_table(pd.DataFrame(features, columns=columns), folder / "features.tsv", "features")
    tables.write_table(pd.DataFrame(rows), snakemake.output.table, "stage_scans")


if __name__ == "__main__":
    log.run(main, snakemake)
