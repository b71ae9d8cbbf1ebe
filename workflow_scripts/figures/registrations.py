"""Show registered brains in the template's outline: real heads, and those with the least overlap."""

from pathlib import Path

from PIL import Image

from workflow_scripts.lib.figures import registrations, style
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``registrations``."""
    table = tables.read_table(snakemake.input.scans, "qc_scans")
    shown = registrations.choose(table, snakemake.params.pictures)
    files = {path.stem: path for folder in snakemake.input.volumes for path in Path(folder).glob("*.jpg")}
    pictures = [Image.open(files[scan]) for scan in shown["scan_id"]]
    style.apply()
    figure = registrations.draw(shown, pictures)
    style.save(figure, shown, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
