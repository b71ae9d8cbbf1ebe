"""Estimate ComBat on training participants and apply it to everybody."""

import logging

from workflow_scripts.lib.features import combat
from workflow_scripts.lib.study import log, tables
from workflow_scripts.lib.study.files import write_json


def main(snakemake):
    """Entry point of rule ``harmonise``."""
    settings = snakemake.params.harmonise
    scans = tables.read_table(snakemake.input.scans, "scans").set_index("scan_id")
    table = tables.read_table(snakemake.input.features, "features")
    people = scans.loc[table["scan_id"]].reset_index(drop=True)
    names = [name for name in table if name not in ("scan_id", "participant_id")]
    covariates = combat.design(people, settings["covariates"])
    if people["site"].nunique() == 1:
        logging.warning("all scans are of site %s: nothing to harmonise, features stay as they are", people["site"][0])
        model = {"features": [], "batches": []}
    else:
        train = combat.choose_training(people, covariates)
        model = combat.estimate(table.loc[train, names], people.loc[train, "site"], covariates[train])
        adjusted, untouched = combat.apply(model, table[names], people["site"], covariates, settings["unseen_sites"])
        logging.info(
            "estimated on %d scans of %d sites; left as they are: %s", train.sum(), len(model["batches"]), untouched
        )
        table[names] = adjusted
    tables.write_table(table, snakemake.output.features, "features")
    write_json(snakemake.output.model, model)


if __name__ == "__main__":
    log.run(main, snakemake)
