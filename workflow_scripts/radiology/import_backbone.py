"""A file of weights, or nothing, in; a backbone with its card out, under the names of this study."""

from workflow_scripts.lib.models.backbone_weights import import_backbone
from workflow_scripts.lib.models.weights import save_weights
from workflow_scripts.lib.study import log


def main(snakemake):
    """Entry point of rule ``import_backbone``."""
    params, wildcards = snakemake.params, snakemake.wildcards
    backbone, card = import_backbone(params.entry, wildcards.weights, wildcards.backbone, params.backbone, params.seed)
    save_weights(backbone, snakemake.output.weights, card)


if __name__ == "__main__":
    log.run(main, snakemake)
