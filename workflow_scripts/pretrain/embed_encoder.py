"""Whole volumes of all usable scans and an encoder of the user's in; one representation table out."""

from workflow_scripts.lib.models.weights import refuse_seen
from workflow_scripts.lib.pretrain import encoders, runs
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``embed_encoder``."""
    given, name = snakemake.input, snakemake.wildcards.encoder
    device = runs.use_device(snakemake.threads)
    included = tables.read_table(given.included, "included")
    encoder, card = encoders.load_own(snakemake.params.entry, f"representations.{name}")
    if card:
        roles = tables.read_table(given.roles, "roles")
        evaluated = roles.loc[roles["role"] == "evaluate", "participant_id"]
        refuse_seen(card, evaluated.tolist(), f"representations.{name}")
    table = encoders.embed_scans(encoder, given.shards, included, device, prefix=name)
    tables.write_table(table, snakemake.output.representation, "representation")


if __name__ == "__main__":
    log.run(main, snakemake)
