"""Trained networks of a method in; one MONAI bundle for each of them out."""

from pathlib import Path

from workflow_scripts.lib.models.bundle import write_bundle
from workflow_scripts.lib.models.weights import read_card
from workflow_scripts.lib.study import log


def main(snakemake):
    """Entry point of rule ``export_bundle``."""
    output = Path(snakemake.output.bundle)
    for given in map(Path, snakemake.input.weights):
        # a folder holds the encoders of its locations, each named after one; a file lies in its rule's folder
        files = sorted(given.glob("*.safetensors")) if given.is_dir() else [given]
        for file in files:
            name = file.stem if given.is_dir() else "network"
            write_bundle(file, output / name, rule=read_card(file)["input"].get("rule", "stored"))


if __name__ == "__main__":
    log.run(main, snakemake)
