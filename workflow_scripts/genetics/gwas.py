"""Associate variants with brain age gaps; from gaps, covariates and genotypes to one table a representation."""

import tempfile
from pathlib import Path

from workflow_scripts.lib.genetics import gwas, phenotypes, points
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``gwas``."""
    given, params = snakemake.input, snakemake.params
    gaps = tables.read_table(given.gaps, "gaps")
    scans = tables.read_table(given.scans, "scans").drop_duplicates("participant_id")
    roles = tables.read_table(given.roles, "roles")
    features = tables.read_table(given.features, "features")
    design = phenotypes.build(
        gaps[gaps["representation"].isin(params.representations)],
        scans.set_index("participant_id")["sex"],
        features.set_index("scan_id")["icv"],
        tables.read_table(given.components, "genetic_pcs"),
        set(roles.loc[roles["role"] == "gwas", "participant_id"]),
        params.phenotype,
        params.people,
    )
    prefix = Path(given.genotypes[0]).with_suffix("")
    limits = Limits(snakemake.threads, snakemake.resources.mem_mb)
    with tempfile.TemporaryDirectory() as folder:
        results = gwas.association(prefix, design, Path(folder), limits)
    for representation, path in zip(params.representations, snakemake.output.results, strict=True):
        gwas.write_results(results[representation], path)
    threshold, suggestive = params.gwas["threshold"], params.gwas["suggestive"]
    tables.write_table(gwas.summarise(results, threshold), snakemake.output.summary, "gwas_summary")
    gwas.write_results(points.plot_points(results, threshold, suggestive), snakemake.output.points, "gwas_points")
    tables.write_table(design.phenotypes.reset_index(), snakemake.output.phenotypes)
    tables.write_table(design.covariates.reset_index(), snakemake.output.covariates)
    tables.write_table(design.losses, snakemake.output.losses)


if __name__ == "__main__":
    log.run(main, snakemake)
