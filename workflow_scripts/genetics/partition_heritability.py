"""Partition heritability by cell types; from munged results and LD scores by annotation to tables."""

import tempfile
from pathlib import Path

from workflow_scripts.lib.genetics import tools
from workflow_scripts.lib.genetics.ldsc import run, staging
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``partition_heritability``."""
    given, params = snakemake.input, snakemake.params
    files = dict(zip(params.traits, given.munged, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        scores = staging.stage([Path(path) for path in given.scores], params.ldsc["scores"], Path(folder))
        traits = run.read_sumstats(files, scores)
        analysis = run.Analysis(tools.find("ldsc.py"), scores, dict(params.ldsc), traits, snakemake.threads)
        partitioned, cell_types = run.partitioned(analysis), run.cell_types(analysis, params.ldsc["fdr"])
    tables.write_table(partitioned, snakemake.output.partitioned, "ldsc_partitioned")
    tables.write_table(cell_types, snakemake.output.cell_types, "ldsc_cell_types")


if __name__ == "__main__":
    log.run(main, snakemake)
