"""Compare what the phantom planted with what the study measured: volumes, poses, sites, brain age, loci."""

from pathlib import Path

import pandas as pd

from workflow_scripts.lib.figures import planted_truth, style
from workflow_scripts.lib.phantom import recovery
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``planted_truth``."""
    given = snakemake.input
    rendered = pd.concat(
        [tables.read_table(Path(folder) / "truth.tsv") for folder in given.rendered], ignore_index=True
    )
    planted = tables.read_table(given.truth, "planted_scans").merge(rendered, on="scan_id")
    raw, harmonised = (tables.read_table(path, "features") for path in (given.features, given.harmonised))
    tests = [tables.read_table(path, "gwas") for path in given.tests]
    parts = [
        recovery.volumes(planted, raw),
        recovery.poses(planted, tables.read_table(given.qc, "qc_scans")),
        recovery.sites(planted, raw, harmonised),
        recovery.brain_age(planted, tables.read_table(given.gaps, "gaps")),
        recovery.loci(tables.read_table(given.loci), dict(zip(snakemake.params.representations, tests, strict=True))),
    ]
    table = pd.concat(parts, ignore_index=True)
    summary = recovery.summarise(table)
    tables.write_table(summary, snakemake.output.summary)
    style.apply()
    style.save(planted_truth.draw(table, summary), table, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
