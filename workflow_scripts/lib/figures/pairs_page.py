"""The page of pairs: images that may not be parted, side by side, the doubtful ones first; one file, opens offline."""

import base64
import html
import io
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from workflow_scripts.lib.figures import page_text
from workflow_scripts.lib.study.files import atomic

SIDE = 192  # pixels of a picture on the page
MOST = 200  # pairs shown in each section: about 10 MB of page
LOOKS = """<style>
.pairs { display: flex; flex-wrap: wrap; gap: 18px; }
.pair { width: 392px; margin: 0; } .pair img { width: 192px; height: 192px; margin-right: 4px; }
.pair.odd { background: var(--odd); outline: 6px solid var(--odd); }
</style>"""
QUANTITIES = {
    "images": "images",
    "groups": "groups",
    "groups_of_several": "groups of more than one image",
    "images_in_groups_of_several": "images in them",
    "largest_group": "images in the largest",
    "candidates": "candidate pairs laid on each other",
    "pairs_hash": "pairs found by hash",
    "pairs_mirror": "pairs found by the hash of a mirror image",
    "pairs_crop": "pairs found by the hash of a crop",
    "pairs_neighbour": "pairs found by nearest features alone",
    "pairs_exam": "ties within exams",
    "pairs_patient": "ties within patients",
    "pairs_copy": "pairs that are one picture twice",
    "pairs_copy_other_label": "of them under different labels",
    "pairs_across_patients": "pairs on pixels whose ids say two patients",
    "images_dropped": "images dropped, since their copies carry other classes",
}


def png_uri(image: np.ndarray, side: int = SIDE) -> str:
    """Write an image, uint8 (C, S, S) with C = 1 or 3, into the page itself as a PNG of at most ``side`` pixels."""
    picture = Image.fromarray(np.asarray(image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)))
    picture.thumbnail((side, side))
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _image(image_id: str, pixels: np.ndarray, row: int) -> str:
    return f'<img alt="{html.escape(image_id)}" src="{png_uri(pixels[row])}">'


def _pair(pair: pd.Series, rows: Mapping[str, int], labels: Mapping[str, str], pixels: np.ndarray) -> str:
    """Write one pair: two pictures and what is known of them."""
    names = [f"{html.escape(one)} ({html.escape(str(labels[one]))})" for one in (pair["image_a"], pair["image_b"])]
    pictures = "".join(_image(one, pixels, rows[one]) for one in (pair["image_a"], pair["image_b"]))
    said = f"correlation {pair['correlation']:.2f}, found by {pair['found_by']} at distance {pair['distance']:.3f}"
    said += "" if pair["flip"] == "none" else f", mirrored {pair['flip']}"
    said += "" if pair["copy"] else "; same tissue, other frame"
    said += "" if pair["same_label"] else "; <b>labels differ</b>"
    odd = "" if pair["same_class"] else " odd"
    return f'<figure class="pair{odd}">{pictures}<figcaption>{" · ".join(names)}<br>{said}</figcaption></figure>'


def _section(heading: str, words: str, pairs: pd.DataFrame, *parts: object) -> str:
    if pairs.empty:
        return f"<h2>{heading}</h2><p>None.</p>"
    shown = pairs.head(MOST)
    more = "" if len(shown) == len(pairs) else f" The first {MOST} of {len(pairs)} are shown; pairs.tsv has all."
    figures = "".join(_pair(pair, *parts) for _, pair in shown.iterrows())
    return f'<h2>{heading} ({len(pairs)})</h2><p>{words}{more}</p><div class="pairs">{figures}</div>'


def write_page(
    title: str,
    images: pd.DataFrame,
    pixels: np.ndarray,
    pairs: pd.DataFrame,
    summary: pd.DataFrame,
    path: str | os.PathLike,
) -> None:
    """Write the page of one dataset as one HTML file that needs nothing else.

    Parameters
    ----------
    title : str
        Of the dataset.
    images : pandas.DataFrame
        Schema ``image_index``.
    pixels : numpy.ndarray
        uint8 (n, C, S, S).
    pairs, summary : pandas.DataFrame
        Schemas ``image_pairs`` and ``image_group_summary``. Ties of exams and patients are counted and not shown.
    path : path
        Written atomically.
    """
    looked = pairs[pairs["correlation"].notna()].sort_values(["correlation", "image_a", "image_b"])
    rows, labels = (images.set_index("image_id")[column].to_dict() for column in ("row", "label"))
    counts = summary.set_index("quantity")["value"]
    lines = "".join(
        f'<tr><th scope="row">{words}</th><td>{counts[name]}</td></tr>' for name, words in QUANTITIES.items()
    )
    doubt = (
        "Least correlation first. Look until you are sure that what follows is right, and raise "
        "<code>radiology.grouping.correlation</code> above the first pair that shows two different things."
    )
    odd = "One picture, or one tissue, under two labels. Copies whose classes differ are dropped from every split."
    parts = (rows, labels, pixels)
    body = [
        LOOKS,
        "<p>Images that show the same pixels, the same exam or the same patient stay in one set of every split. Two "
        "pictures are a pair if they correlate once one is laid on the other, smooth brightness and contrast taken "
        "out.</p>",
        f'<div class="wide"><table><tbody>{lines}</tbody></table></div>',
        _section("Pairs under different labels", odd, looked[~looked["same_label"]], *parts),
        _section("All pairs found on pixels", doubt, looked, *parts),
    ]
    with atomic(Path(path)) as temporary:
        Path(temporary).write_text(page_text.frame(f"Pairs of images: {title}", "\n".join(body)), encoding="utf-8")
