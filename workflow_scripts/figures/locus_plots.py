"""Draw the strongest loci: association by linkage with the lead, genes, and open chromatin of cell types."""

import pandas as pd

from workflow_scripts.lib.figures import locus_plots, style
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``locus_plots``; without peaks there is one table instead of two."""
    parts = [tables.read_table(path, "locus_regions") for path in snakemake.input.regions]
    filled = [part for part in parts if len(part)]
    table = pd.concat(filled, ignore_index=True) if filled else parts[0]
    style.apply()
    style.save(locus_plots.draw(table), table, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
