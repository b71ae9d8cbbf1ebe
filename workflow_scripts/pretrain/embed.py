"""Tokens of all included scans and the trained aggregator in; one representation table out."""

from workflow_scripts.lib.imaging.names import PATCHES
from workflow_scripts.lib.models import weights
from workflow_scripts.lib.models.aggregator import Aggregator
from workflow_scripts.lib.pretrain import runs, tokens
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``embed``."""
    given, params, method = snakemake.input, snakemake.params, snakemake.wildcards.method
    device = runs.use_device(snakemake.threads)
    scans = tables.read_table(given.included, "included").sort_values("scan_id", ignore_index=True)
    values = tokens.read_tokens(given.tokens, given.token_scans, PATCHES, scans["scan_id"])
    aggregator = Aggregator(len(PATCHES), params.representation).to(device)
    weights.load_weights(aggregator, given.weights)
    columns = tokens.embed(aggregator, values, device, prefix=method)
    table = scans[["scan_id", "participant_id"]].join(columns)
    tables.write_table(table, snakemake.output.representation, "representation")


if __name__ == "__main__":
    log.run(main, snakemake)
