"""Draw the training curves of all methods, locations and levels."""

from workflow_scripts.lib.figures import style, training_curves
from workflow_scripts.lib.pretrain.history import collect
from workflow_scripts.lib.study import log


def main(snakemake):
    """Entry point of rule ``training_curves``."""
    methods, folders = snakemake.params.methods, list(snakemake.input.patches)
    chunks = len(folders) // len(methods)
    patches = {method: folders[place * chunks : (place + 1) * chunks] for place, method in enumerate(methods)}
    table = collect(patches, dict(zip(methods, snakemake.input.images, strict=True)))
    style.apply()
    style.save(training_curves.draw(table), table, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
