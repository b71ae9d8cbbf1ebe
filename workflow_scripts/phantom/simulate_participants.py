"""Turn people and their genetic offsets into visits: the participants table, and the factors planted in each scan."""

import pandas as pd

from workflow_scripts.lib.phantom.people import draw_labels, make_visits
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``simulate_participants``."""
    phantom, per_job = snakemake.params.phantom, snakemake.params.scans_per_job
    people = tables.read_table(snakemake.input.people)
    genes = tables.read_table(snakemake.input.genetics).set_index("participant_id")["genetic_offset_years"]
    visits = make_visits(people, genes, phantom, snakemake.params.seed)
    visits["scan_id"] = visits["participant_id"] + "_" + visits["session_id"]
    visits["batch"] = [f"{row // per_job:03d}" for row in range(len(visits))]
    visits["t1w"] = [
        f"simulate_scans/{batch}/{scan}.nii.gz" for batch, scan in zip(visits.batch, visits.scan_id, strict=True)
    ]
    known = tables.load_schema("participants")["properties"]
    real = pd.DataFrame(phantom["real_scans"])
    labels = draw_labels(visits, snakemake.params.seed)
    # only what the study declares: an undeclared column would be refused when the table is read
    labels = labels[[column for column in labels if column in snakemake.params.label_columns]]
    people = visits.join(labels)
    columns = [column for column in [*known, *labels] if column in people or column in real]
    participants = pd.concat([people, real], ignore_index=True).reindex(columns=columns)
    tables.write_table(participants, snakemake.output.participants, "participants", tuple(labels))
    factors = [
        "scan_id",
        "participant_id",
        "batch",
        "site",
        "image",
        "brain_age",
        "severity",
        "hidden",
        "head_size",
        "fault",
    ]
    tables.write_table(visits[factors], snakemake.output.truth, "planted_scans")


if __name__ == "__main__":
    log.run(main, snakemake)
