"""Show images with their Grad-CAM maps: the surest right and wrong predictions of each explained cell."""

import numpy as np
import pandas as pd

from workflow_scripts.lib.figures import gradcam_panels, style
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``gradcam_panels``."""
    given, params = snakemake.input, snakemake.params
    parts = [tables.read_table(file, "explain_panels") for file in given.panels]
    panels = pd.concat(
        [part.assign(grid=grid) for part, grid in zip(parts, params.grids, strict=True)], ignore_index=True
    )
    stacks = [np.load(file, allow_pickle=False) for file in given.pictures]
    pictures = {name: [one for stack in stacks for one in stack[name]] for name in ("images", "maps", "masks")}
    titles = {name: entry.get("title") or name for name, entry in params.datasets.items()}
    names = {
        name: {
            y: "/".join(label for label, own in entry["classes"].items() if own == y) for y in entry["classes"].values()
        }
        for name, entry in params.datasets.items()
    }
    style.apply()
    shown = gradcam_panels.choose(panels)
    explained = len(panels[["grid", "cell"]].drop_duplicates())
    figure = gradcam_panels.draw(shown, pictures, titles, names, explained)
    style.save(figure, shown[gradcam_panels.SOURCE], snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
