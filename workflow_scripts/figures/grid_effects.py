"""Draw the published effects and the planned contrasts of all grids."""

from workflow_scripts.lib.figures import grid_effects, style
from workflow_scripts.lib.figures.factor_boxes import join
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``grid_effects``."""
    given, grids = snakemake.input, snakemake.params.grids
    contrasts, effects = (
        join({grid: tables.read_table(path, f"grid_{name}") for grid, path in zip(grids, paths, strict=True)})
        for name, paths in (("contrasts", given.contrasts), ("effects", given.effects))
    )
    fits = {
        grid: tables.read_table(path, "grid_fits")
        for grid, path in zip(grids, getattr(given, "fits", None) or [], strict=False)
    }
    first = grid_effects.first_levels(join(fits)) if fits else None
    style.apply()
    figure = grid_effects.draw(contrasts, effects, snakemake.params.titles, first)
    style.save(figure, grid_effects.source_table(contrasts, effects, first), snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
