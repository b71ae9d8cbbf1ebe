"""Associations of the gaps: with post-mortem findings at the last scan before death, and with diagnosis."""

import pandas as pd

from workflow_scripts.lib.brainage import cards, groups, neuropathology
from workflow_scripts.lib.brainage.gaps import shared_scans
from workflow_scripts.lib.study import log, tables


def find_people(snakemake, scans):
    """Put the gaps at the last scan before death beside what was found; no rows without such a table."""
    if not snakemake.input.neuropathology:
        return pd.DataFrame(columns=[*neuropathology.PEOPLE, "sex"])
    paths = zip(snakemake.params.representations, snakemake.input.representations, strict=True)
    representations = {name: tables.read_table(path, "representation") for name, path in paths}
    path = str(snakemake.input.neuropathology)
    findings = tables.read_table(path, "neuropathology")
    last = neuropathology.last_scans(shared_scans(scans, representations), findings, path)
    found = [cards.read_card(card) for card in snakemake.input.models]
    applied = [cards.apply_card(card, representations[card["representation"]], last) for card in found]
    return neuropathology.join_grades(last, pd.concat(applied, ignore_index=True))


def main(snakemake):
    """Entry point of rule ``associate_gaps``."""
    options, output = snakemake.params.brainage, snakemake.output
    scans = tables.read_table(snakemake.input.scans, "scans")
    included = tables.read_table(snakemake.input.included, "included")
    scans = scans[scans["scan_id"].isin(included["scan_id"])]
    icv = None
    if options["icv"]:
        icv = tables.read_table(snakemake.input.icv, "features").set_index("scan_id")["icv"]
    level, rate = options["level"], options["fdr"]
    examined = find_people(snakemake, scans)
    tests = neuropathology.associate(examined, icv, level, rate)
    tables.write_table(examined, output.neuropathology_people, "neuropathology_people")
    tables.write_table(tests, output.neuropathology, "neuropathology_tests")
    gaps = tables.read_table(snakemake.input.gaps, "gaps")
    people = groups.choose_people(gaps, scans)
    tables.write_table(people, output.group_people, "group_people")
    tables.write_table(groups.associate(people, icv, level, rate), output.groups, "group_gaps")


if __name__ == "__main__":
    log.run(main, snakemake)
