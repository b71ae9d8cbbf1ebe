"""Draw the training curves of all methods, locations and levels."""

from workflow_scripts.lib.figures import style, training_curves
from workflow_scripts.lib.pretrain.history import collect
from workflow_scripts.lib.study import log


def main(snakemake):
    """Entry point of rule ``training_curves``."""
    given, params = snakemake.input, snakemake.params
    folders, count = list(given.patches), len(params.patch_methods)
    chunks = len(folders) // max(1, count)
    patches = {
        method: folders[place * chunks : (place + 1) * chunks] for place, method in enumerate(params.patch_methods)
    }
    images = dict(zip(params.patch_methods, given.images, strict=True))
    table = collect(patches, images, dict(zip(params.volume_methods, given.volumes, strict=True)))
    style.apply()
    style.save(training_curves.draw(table), table, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
