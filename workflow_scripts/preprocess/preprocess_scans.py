"""Preprocess a batch of scans: brain, regional volumes and numbers, or the reason why a scan is set aside."""

import logging
from pathlib import Path

import pandas as pd
import torch

from workflow_scripts.lib.imaging.backends.base import get_backend
from workflow_scripts.lib.imaging.volumes import read_scan, save_volume
from workflow_scripts.lib.study import log, tables
from workflow_scripts.lib.study.errors import StudyError


def preprocess_scan(scan, backend, settings, folder):
    """Preprocess one scan; return its row of the batch's table and its regional features (or None)."""
    try:
        result = backend(read_scan(scan.t1w), scan.image, settings)
    except StudyError as error:
        logging.warning("%s set aside: %s", scan.scan_id, error)
        return {"scan_id": scan.scan_id, "passed": False, "reason": str(error)}, None
    save_volume(result.brain, result.affine, folder / f"{scan.scan_id}.nii.gz")
    logging.info("%s: brain of %.0f ml", scan.scan_id, result.icv / 1e3)
    features = {"scan_id": scan.scan_id, "participant_id": scan.participant_id, "icv": result.icv, **result.volumes}
    return {"scan_id": scan.scan_id, "passed": True, "reason": None, **result.numbers}, features


def main(snakemake):
    """Entry point of rule ``preprocess_scans``."""
    torch.set_num_threads(snakemake.threads)
    folder = Path(snakemake.output.brains)
    folder.mkdir(parents=True, exist_ok=True)
    scans = tables.read_table(snakemake.input.scans, "scans")
    scans = scans[scans["batch"] == snakemake.wildcards.batch]
    settings = snakemake.params.preprocess
    backend = get_backend(settings["backend"])
    rows, features = zip(
        *[preprocess_scan(scan, backend, settings, folder) for scan in scans.itertuples()], strict=True
    )
    found = pd.DataFrame(
        [row for row in features if row], columns=None if any(features) else ["scan_id", "participant_id", "icv"]
    )
    tables.write_table(found, folder / "features.tsv", "features")
    tables.write_table(pd.DataFrame(rows), snakemake.output.table, "stage_scans")


if __name__ == "__main__":
    log.run(main, snakemake)
