"""Whole volumes of all usable scans and a trained network in; one representation table out."""

from workflow_scripts.lib.models.weights import load_any
from workflow_scripts.lib.pretrain import encoders, runs
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``embed_volume``."""
    given, method = snakemake.input, snakemake.wildcards.method
    device = runs.use_device(snakemake.threads)
    included = tables.read_table(given.included, "included")
    network, card = load_any(given.weights)
    encoder = encoders.Encoder.from_card(network, card, given.weights)
    table = encoders.embed_scans(encoder, given.shards, included, device, prefix=method)
    tables.write_table(table, snakemake.output.representation, "representation")


if __name__ == "__main__":
    log.run(main, snakemake)
