"""Tell cells, fits, jobs, parameters and memory of all grids before any compute: on the terminal, in a file."""

from workflow_scripts.lib.radiology import plan
from workflow_scripts.lib.radiology.labels import read_label_map
from workflow_scripts.lib.study import log, tables
from workflow_scripts.lib.study.files import atomic


def main(snakemake):
    """Entry point of rule ``plan_radiology``."""
    given, params = snakemake.input, snakemake.params
    section, images = params.radiology, {}
    for name, path in zip(params.datasets, given.counts, strict=True):
        count = int(tables.read_table(path, "image_counts")["images"].sum())
        images[name] = count, read_label_map(name, section["datasets"][name]).count
    plans = {grid: plan.plan_grid(section, grid, images) for grid in section["use"]}
    text = plan.tell(section, plans)
    with atomic(params.text) as temporary:
        temporary.write_text(text)
    print(text, flush=True)


if __name__ == "__main__":
    log.run(main, snakemake)
