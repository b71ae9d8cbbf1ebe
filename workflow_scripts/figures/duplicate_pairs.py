"""Draw pairs of images that may not be parted, of all datasets."""

import numpy as np
import pandas as pd

from workflow_scripts.lib.figures import duplicate_pairs, style
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``duplicate_pairs``."""
    given, parts, labels, rows, pixels = snakemake.input, [], {}, {}, {}
    files = zip(snakemake.params.datasets, given.images, given.pixels, given.pairs, strict=True)
    for name, index, arrays, pairs in files:
        images = tables.read_table(index, "image_index").set_index("image_id")
        pixels[name] = np.load(arrays, mmap_mode="r", allow_pickle=False)
        labels |= {(name, one): label for one, label in images["label"].items()}
        rows |= {(name, one): row for one, row in images["row"].items()}
        parts.append(tables.read_table(pairs, "image_pairs").assign(dataset=name))
    chosen = duplicate_pairs.choose_pairs(pd.concat(parts, ignore_index=True))
    keys = {side: list(zip(chosen["dataset"], chosen[f"image_{side}"], strict=True)) for side in "ab"}
    chosen = chosen.assign(**{f"label_{side}": [labels[key] for key in keys[side]] for side in "ab"})
    pictures = {key: pixels[key[0]][rows[key]] for side in "ab" for key in keys[side]}
    titles = {name: entry.get("title") or name for name, entry in snakemake.params.datasets.items()}
    style.apply()
    figure = duplicate_pairs.draw(chosen, pictures, titles)
    source = chosen[[*duplicate_pairs.SHOWN, "label_a", "label_b"]]
    style.save(figure, source, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
