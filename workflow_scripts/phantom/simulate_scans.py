"""Render the scans of one batch, with the pose and the volumes planted in each."""

import logging
from pathlib import Path

import pandas as pd
import torch

from workflow_scripts.lib.phantom.anatomy import load_anatomy
from workflow_scripts.lib.phantom.faults import save_with_fault
from workflow_scripts.lib.phantom.people import SCANNERS
from workflow_scripts.lib.phantom.render import Factors, render
from workflow_scripts.lib.study import log, tables
from workflow_scripts.lib.study.seeds import generator


def main(snakemake):
    """Entry point of rule ``simulate_scans``."""
    torch.set_num_threads(snakemake.threads)
    phantom, seed = snakemake.params.phantom, snakemake.params.seed
    folder = Path(snakemake.output.scans)
    folder.mkdir(parents=True, exist_ok=True)
    visits = tables.read_table(snakemake.input.truth, "planted_scans")
    visits = visits[visits["batch"] == snakemake.wildcards.batch]
    anatomy = load_anatomy(phantom["anatomy_spacing_mm"])
    rows = []
    for visit in visits.itertuples():
        person = generator(seed, "person", visit.participant_id)
        own = generator(seed, "visit", visit.scan_id)
        factors = Factors(visit.brain_age, visit.severity, visit.hidden, visit.head_size)
        scanner, head = SCANNERS[visit.site], visit.image == "head"
        image, truth = render(anatomy, factors, scanner, phantom["scan_spacing_mm"], person, own, head)
        fault = visit.fault if isinstance(visit.fault, str) else None
        save_with_fault(image, fault, folder / f"{visit.scan_id}.nii.gz")
        pose = {f"pose_{i}{j}": truth["pose"][i, j] for i in range(3) for j in range(4)}
        measures = {name: value for name, value in truth.items() if name != "pose"}
        rows.append({"scan_id": visit.scan_id, **pose, **measures})
        logging.info("%s: brain age %.1f, fault %s", visit.scan_id, visit.brain_age, fault)
    tables.write_table(pd.DataFrame(rows, columns=None if rows else ["scan_id"]), folder / "truth.tsv")


if __name__ == "__main__":
    log.run(main, snakemake)
