"""Put traits and covariates side by side; from brain age gaps or the user's own table to one row a person."""

from workflow_scripts.lib.genetics import phenotypes, tools
from workflow_scripts.lib.study import log, tables


def read_people(given, params):
    """Read traits and what covariates are formed of; also who has the role gwas, if the study has roles."""
    if given.traits:
        people = phenotypes.from_table(tables.read_table(given.traits, "traits"), params.traits, given.traits)
        return people, None
    gaps = tables.read_table(given.gaps, "gaps")
    features = tables.read_table(given.features, "features")
    people = phenotypes.from_gaps(
        gaps[gaps["representation"].isin(params.traits)],
        tables.read_table(given.scans, "scans"),
        features.set_index("scan_id")["icv"],
        params.phenotype,
        params.people,
    )
    roles = tables.read_table(given.roles, "roles")
    return people, set(roles.loc[roles["role"] == "gwas", "participant_id"])


def main(snakemake):
    """Entry point of rule ``make_phenotypes``."""
    given, params = snakemake.input, snakemake.params
    people, roles = read_people(given, params)
    if given.covariates:
        people = phenotypes.add_columns(people, tables.read_table(given.covariates, "own_covariates"), given.covariates)
    design = phenotypes.build(
        people,
        tables.read_table(given.components, "genetic_pcs"),
        set(tools.read_ids(given.people)["participant_id"]),
        {name: params.covariates[name] for name in ("numeric", "categorical", "min_people")},
        roles,
        params.gwas["transform"],
        params.gwas["max_vif"],
    )
    for name in ("phenotypes", "covariates"):
        tables.write_table(getattr(design, name).reset_index(), snakemake.output[name], name)
    tables.write_table(design.losses, snakemake.output.losses, "losses")


if __name__ == "__main__":
    log.run(main, snakemake)
