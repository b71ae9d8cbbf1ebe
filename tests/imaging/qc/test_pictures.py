"""The picture of a registered brain: right way up, left on the left, small."""

import numpy as np
import pytest
from PIL import Image

from workflow_scripts.lib.imaging.atlas import template
from workflow_scripts.lib.imaging.qc import pictures

SPACING = 4.0


@pytest.fixture(scope="module")
def brain():
    t1, _, _ = template(SPACING)
    return (t1 * 110).astype(np.float32)


def test_six_slices_with_an_orange_outline(brain):
    image = pictures.draw(brain, SPACING)
    assert image.mode == "RGB" and 600 < image.size[0] < 900 and 400 < image.size[1] < 600
    orange = (np.asarray(image) == pictures.OUTLINE).all(axis=-1)
    assert 1000 < orange.sum() < 10000
    columns = orange.reshape(2, image.size[1] // 2, -1).any(axis=1)
    assert columns.mean() > 0.6  # in both rows and all planes


def test_the_subjects_left_is_on_the_left(brain):
    grid_x = np.arange(brain.shape[0])[:, None, None] * SPACING - 96
    left = np.where(grid_x < -8, brain, 0)
    image = np.asarray(pictures.draw(left.astype(np.float32), SPACING).convert("L"), float)
    height = pictures.HEIGHT
    widths = [tile.shape[1] for tile in tiles(left)]
    for start, width in ((widths[0], widths[1]), (widths[0] + widths[1], widths[2])):
        tile = image[height:, start : start + width]
        assert tile[40:, : width // 3].mean() > 3 * tile[40:, -width // 3 :].mean()


def tiles(volume):
    window = pictures._window(SPACING)
    for axis in range(3):
        cut = tuple(part for n, part in enumerate(window) if n != axis)
        grey = np.take(volume, 20, axis)[cut]
        yield pictures._tile(np.clip(grey / 200, 0, 1), [], axis)


def test_up_is_up(brain):
    grid_z = np.arange(brain.shape[2])[None, None, :] * SPACING - 78
    top = np.where(grid_z > 10, brain, 0).astype(np.float32)
    image = np.asarray(pictures.draw(top, SPACING).convert("L"), float)[: pictures.HEIGHT, :250]
    assert image[: len(image) // 2].mean() > 3 * image[len(image) // 2 :].mean()


def test_labels_get_borders_in_another_colour(brain):
    _, _, labels = template(SPACING)
    drawn = np.asarray(pictures.draw(brain, SPACING, np.isin(labels, (4, 43))))
    assert (drawn == pictures.INNER).all(axis=-1).sum() > 50
    assert not (np.asarray(pictures.draw(brain, SPACING)) == pictures.INNER).all(axis=-1).any()


@pytest.mark.parametrize("noise", [0.0, 5.0, 60.0])
def test_a_picture_is_small_however_noisy_the_brain(brain, tmp_path, noise):
    noisy = np.abs(brain + np.random.default_rng(0).normal(0, noise, brain.shape)).astype(np.float32) * (brain > 0)
    pictures.save(pictures.draw(noisy, SPACING), tmp_path / "a.jpg")
    assert 10_000 < (tmp_path / "a.jpg").stat().st_size <= pictures.MOST_BYTES
    assert Image.open(tmp_path / "a.jpg").format == "JPEG"


def test_an_empty_volume_can_be_drawn():
    t1, _, _ = template(SPACING)
    assert pictures.draw(np.zeros_like(t1), SPACING).size == pictures.draw(t1, SPACING).size
