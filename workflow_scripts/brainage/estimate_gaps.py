"""Brain-age gaps of everybody's first session, from each representation, with the models as cards."""

import pandas as pd

from workflow_scripts.lib.brainage import gaps as brainage
from workflow_scripts.lib.study import files, log, tables


def main(snakemake):
    """Entry point of rule ``estimate_gaps``."""
    options, seed = snakemake.params.brainage, snakemake.params.seed
    names = snakemake.params.representations
    paths = zip(names, snakemake.input.representations, strict=True)
    representations = {name: tables.read_table(path, "representation") for name, path in paths}
    scans = tables.read_table(snakemake.input.scans, "scans")
    included = tables.read_table(snakemake.input.included, "included")
    roles = tables.read_table(snakemake.input.roles, "roles")
    scans = brainage.shared_scans(scans[scans["scan_id"].isin(included["scan_id"])], representations)
    people = brainage.choose_people(scans, roles, options, seed)
    parts = []
    for (name, table), path in zip(representations.items(), snakemake.output.models, strict=True):
        part, card = brainage.estimate(name, table, people, options)
        parts.append(part)
        files.write_json(path, card)
    gaps = pd.concat(parts, ignore_index=True)
    tables.write_table(gaps, snakemake.output.gaps, "gaps")
    tables.write_table(people.buckets, snakemake.output.buckets)
    tables.write_table(brainage.describe(gaps, people), snakemake.output.metrics, "brainage_metrics")
    correlations = brainage.correlate(gaps, people, options["level"])
    tables.write_table(correlations, snakemake.output.correlations, "gap_correlations")


if __name__ == "__main__":
    log.run(main, snakemake)
