"""A table of embeddings of the user's in; the same for the included scans, checked, out."""

from workflow_scripts.lib.pretrain.encoders import own_table
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``embed_table``."""
    included = tables.read_table(snakemake.input.included, "included")
    given = tables.read_table(snakemake.input.table)
    table = own_table(given, included, str(snakemake.input.table))
    tables.write_table(table, snakemake.output.representation, "representation")


if __name__ == "__main__":
    log.run(main, snakemake)
