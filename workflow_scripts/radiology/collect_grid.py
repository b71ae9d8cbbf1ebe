"""Fits, scores and curves of all jobs of a grid in; one table of each and the cells that validation chooses out."""

from workflow_scripts.lib.evaluate import grid_select
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``collect_grid``."""
    given, params, made = snakemake.input, snakemake.params, snakemake.output
    keys = {"fits": grid_select.FIT, "scores": [*grid_select.FIT, "set", "image_id"]}
    keys["curves"] = [*grid_select.FIT, "epoch"]
    joined = {}
    for name, key in keys.items():
        parts = [tables.read_table(path, f"grid_{name}") for path in getattr(given, name)]
        joined[name] = grid_select.join_parts(parts, key)
    grid_select.refuse_absent(joined["fits"], params.cells, params.splits, params.seeds)
    grid_select.name_missing(joined["fits"])
    selection = grid_select.select_cells(joined["fits"])
    for name, table in {**joined, "selection": selection}.items():
        tables.write_table(table, getattr(made, name), f"grid_{name}")


if __name__ == "__main__":
    log.run(main, snakemake)
