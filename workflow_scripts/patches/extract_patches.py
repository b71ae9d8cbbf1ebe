"""Cut the 18 patches of the usable scans of a batch into a shard of the patch store."""

import logging
from pathlib import Path

import nibabel as nib
import numpy as np

from workflow_scripts.lib.imaging.patch_store import write_shard
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``extract_patches``."""
    included = set(tables.read_table(snakemake.input.included, "included")["scan_id"])
    volumes = {}
    for path in sorted(Path(snakemake.input.volumes).glob("*.nii.gz")):
        scan = path.name.removesuffix(".nii.gz")
        if scan in included:
            volumes[scan] = nib.load(path).get_fdata(dtype=np.float32)
    write_shard(volumes, snakemake.params.spacing_mm, snakemake.output.shard)
    logging.info("%d scans", len(volumes))


if __name__ == "__main__":
    log.run(main, snakemake)
