"""Estimate heritability and genetic correlation by LD score regression; from munged results and LD scores to tables."""

import tempfile
from pathlib import Path

from workflow_scripts.lib.genetics import tools
from workflow_scripts.lib.genetics.ldsc import run, staging
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``run_ldsc``."""
    given, params = snakemake.input, snakemake.params
    files = dict(zip(params.traits, given.munged, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        scores = staging.stage([Path(path) for path in given.scores], params.ldsc["scores"], Path(folder))
        traits = run.read_sumstats(files, scores)
        analysis = run.Analysis(tools.find("ldsc.py"), scores, dict(params.ldsc), traits, snakemake.threads)
        heritability, correlation = run.heritability(analysis), run.correlation(analysis)
    tables.write_table(heritability, snakemake.output.heritability, "ldsc_heritability")
    tables.write_table(correlation, snakemake.output.correlation, "ldsc_correlation")


if __name__ == "__main__":
    log.run(main, snakemake)
