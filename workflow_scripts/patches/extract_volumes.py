"""Cut the whole volumes that networks read, of the usable scans of a batch, into a shard of the store."""

import logging
from pathlib import Path

from workflow_scripts.lib.imaging.contract import from_json
from workflow_scripts.lib.imaging.patch_store import read_volumes, write_shard
from workflow_scripts.lib.study import log, tables
from workflow_scripts.lib.study.files import read_json


def main(snakemake):
    """Entry point of rule ``extract_volumes``."""
    included = set(tables.read_table(snakemake.input.included, "included")["scan_id"])
    folder = Path(snakemake.input.volumes)
    contract = from_json(read_json(folder / "contract.json"), f"{folder}/contract.json")
    files = {path.name.removesuffix(".nii.gz"): path for path in sorted(folder.glob("*.nii.gz"))}
    usable = [scan for scan in files if scan in included]
    volumes = read_volumes((files[scan] for scan in usable), contract)
    write_shard(usable, volumes, contract, snakemake.output.shard, snakemake.params.volumes)
    logging.info("%d scans: %s", len(usable), ", ".join(snakemake.params.volumes))


if __name__ == "__main__":
    log.run(main, snakemake)
