"""Brain-age gaps of everybody's first session, from each representation, with the models as cards."""

import pandas as pd

from workflow_scripts.lib.brainage import cards, describe
from workflow_scripts.lib.brainage import gaps as brainage
from workflow_scripts.lib.study import files, log, tables


def main(snakemake):
    """Entry point of rule ``estimate_gaps``."""
    params, output = snakemake.params, snakemake.output
    options, names = params.brainage, params.representations
    paths = zip(names, snakemake.input.representations, strict=True)
    representations = {name: tables.read_table(path, "representation") for name, path in paths}
    scans = tables.read_table(snakemake.input.scans, "scans")
    included = tables.read_table(snakemake.input.included, "included")
    roles = tables.read_table(snakemake.input.roles, "roles")
    scans = brainage.shared_scans(scans[scans["scan_id"].isin(included["scan_id"])], representations)
    people = brainage.choose_people(scans, roles, options, params.seed)
    found = {name: brainage.estimate(name, table, people, options) for name, table in representations.items()}
    gaps = pd.concat([part for part, _ in found.values()], ignore_index=True)
    healthy, n_train = people.healthy_scans(), int(people.table["train"].sum())
    metrics = describe.describe(gaps, healthy, n_train)
    for (name, (_, fitted)), path in zip(found.items(), output.models, strict=True):
        made_by = cards.describe_columns(name, params.features, params.harmonise, params.methods)
        about = {"columns_made_by": made_by, "seed": params.seed, "version": params.version}
        rows = metrics[metrics["representation"] == name]
        files.write_json(path, cards.make_card(name, fitted, people, rows, about))
    tables.write_table(gaps, output.gaps, "gaps")
    tables.write_table(people.buckets, output.buckets, "age_buckets")
    tables.write_table(metrics, output.metrics, "brainage_metrics")
    bias = describe.age_bias(gaps, healthy, options["buckets"], options["level"])
    tables.write_table(bias, output.age_bias, "age_bias")
    tables.write_table(describe.correlate(gaps, healthy, options["level"]), output.correlations, "gap_correlations")


if __name__ == "__main__":
    log.run(main, snakemake)
