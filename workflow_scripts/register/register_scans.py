"""Register the brains of a batch to the template: volume on the grid, transform, picture and overlap of each."""

import functools
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.imaging import steps
from workflow_scripts.lib.imaging.contract import registered_contract
from workflow_scripts.lib.study import log, tables
from workflow_scripts.lib.study.files import write_json
from workflow_scripts.lib.study.keep import Keep
from workflow_scripts.lib.study.pool import Failed, run_each


def main(snakemake):
    """Entry point of rule ``register_scans``."""
    params, folder, brains = snakemake.params, Path(snakemake.output.volumes), Path(snakemake.input.brains)
    folder.mkdir(parents=True, exist_ok=True)
    passed = tables.read_table(snakemake.input.table, "stage_scans").query("passed and volume")["scan_id"]
    todo = [{"scan_id": scan, "file": str(brains / f"{scan}.nii.gz")} for scan in passed]
    keep = Keep(params.kept, params.code, params.grid)
    work = functools.partial(steps.register_step, keep=keep, grid=params.grid)
    results = run_each(work, todo, snakemake.threads, name=lambda brain: brain["scan_id"])
    rows = []
    for scan, result in zip(passed, results, strict=True):
        row = steps.set_aside(result.reason)["row"] if isinstance(result, Failed) else result["row"]
        rows.append({"scan_id": scan, "passed": None, "reason": None} | row)
        if row["passed"]:
            keep.link(scan, steps.VOLUME, folder / f"{scan}.nii.gz")
            keep.link(scan, steps.PICTURE, folder / f"{scan}.jpg")
    write_json(folder / "contract.json", registered_contract(params.grid).to_json())
    columns = None if rows else ["scan_id", "passed", "reason", "overlap", "scale"]
    tables.write_table(pd.DataFrame(rows, columns=columns), snakemake.output.table, "stage_scans")


if __name__ == "__main__":
    log.run(main, snakemake)
