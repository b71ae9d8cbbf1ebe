"""Say how much of the regional features each representation explains, and how much of it they explain."""

from workflow_scripts.lib.evaluate.explain import ExplainOptions, explain_tables
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``explain_features``."""
    given, params = snakemake.input, snakemake.params
    roles = tables.read_table(given.roles, "roles")
    # the others trained the networks, which may know them better than anybody new
    people = set(roles.loc[roles["role"] == "evaluate", "participant_id"])
    features = tables.read_table(given.features, "representation")
    paths = zip(params.names, given.representations, strict=True)
    representations = {name: tables.read_table(path, "representation") for name, path in paths}
    explained = explain_tables(representations, features, people, ExplainOptions(**params.interpret), params.seed)
    explained["rank"] = explained["rank"].astype("Int64")
    tables.write_table(explained, snakemake.output.explained, "explained")


if __name__ == "__main__":
    log.run(main, snakemake)
