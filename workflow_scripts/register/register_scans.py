"""Register the brains of a batch to the template: volume on the grid, transform, picture and overlap of each."""

import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from workflow_scripts.lib.imaging import registration
from workflow_scripts.lib.imaging.grid import Grid
from workflow_scripts.lib.imaging.volumes import save_volume
from workflow_scripts.lib.study import log, tables


def register_scan(scan_id, brain_file, folder, grid, estimate_spacing):
    """Register one brain; return its row of the batch's table."""
    image = nib.load(brain_file)
    brain = image.get_fdata(dtype=np.float32)
    try:
        transform = registration.estimate(brain, image.affine, estimate_spacing)
    except RuntimeError as error:  # ITK's own failures, e.g. no overlap at all
        logging.warning("%s set aside: %s", scan_id, error)
        return {"scan_id": scan_id, "passed": False, "reason": f"registration failed ({str(error).splitlines()[0]})"}
    volume = registration.apply(brain, image.affine, transform, grid)
    save_volume(volume, grid.affine, folder / f"{scan_id}.nii.gz")
    registration.picture(volume, grid.spacing).save(folder / f"{scan_id}.png")
    overlap = registration.overlap(volume, grid.spacing)
    logging.info("%s: overlap %.3f", scan_id, overlap)
    matrix = {f"transform_{i}{j}": transform[i, j] for i in range(3) for j in range(4)}
    scale = registration.scale_of(transform)
    return {"scan_id": scan_id, "passed": True, "reason": None, "overlap": overlap, "scale": scale, **matrix}


def main(snakemake):
    """Entry point of rule ``register_scans``."""
    folder = Path(snakemake.output.volumes)
    folder.mkdir(parents=True, exist_ok=True)
    grid, brains = Grid(snakemake.params.grid["spacing_mm"]), Path(snakemake.input.brains)
    passed = tables.read_table(snakemake.input.table, "stage_scans").query("passed")["scan_id"]
    spacing = snakemake.params.grid["estimate_spacing_mm"]
    rows = [register_scan(scan, brains / f"{scan}.nii.gz", folder, grid, spacing) for scan in passed]
    columns = None if rows else ["scan_id", "passed", "reason", "overlap", "scale"]
    tables.write_table(pd.DataFrame(rows, columns=columns), snakemake.output.table, "stage_scans")


if __name__ == "__main__":
    log.run(main, snakemake)
