"""Cut the 18 patches of the usable scans of a batch into a shard of the patch store."""

import logging
from pathlib import Path

import nibabel as nib
import numpy as np

from workflow_scripts.lib.imaging.contract import check_array, from_json
from workflow_scripts.lib.imaging.patch_store import write_shard
from workflow_scripts.lib.study import log, tables
from workflow_scripts.lib.study.files import read_json


def main(snakemake):
    """Entry point of rule ``extract_patches``."""
    included = set(tables.read_table(snakemake.input.included, "included")["scan_id"])
    volumes, folder = {}, Path(snakemake.input.volumes)
    contract = from_json(read_json(folder / "contract.json"), f"{folder}/contract.json")
    for path in sorted(folder.glob("*.nii.gz")):
        scan = path.name.removesuffix(".nii.gz")
        if scan in included:
            image = nib.load(path)
            volumes[scan] = image.get_fdata(dtype=np.float32)
            check_array(contract, volumes[scan], image.affine, str(path))
    write_shard(volumes, contract, snakemake.output.shard)
    logging.info("%d scans", len(volumes))


if __name__ == "__main__":
    log.run(main, snakemake)
