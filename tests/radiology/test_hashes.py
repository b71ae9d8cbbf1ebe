"""Perceptual hashes against the definition, and what they catch of changed copies."""

import numpy as np
import pytest

from tests.radiology.speckle import change, draw_speckle
from workflow_scripts.lib.radiology import hashes
from workflow_scripts.lib.radiology.alignment import FLIPS, flip, shrink


@pytest.fixture(scope="module")
def speckle():
    return draw_speckle(40, 64, seed=1)


def test_bits_are_the_signs_of_cosine_sums(speckle):
    small = shrink(speckle[:1], hashes.SIDE)[0].astype(float)
    places = (2 * np.arange(hashes.SIDE) + 1) * np.pi / (2 * hashes.SIDE)
    found = hashes.hash_images(small[None], 8).reshape(-1)
    for row in range(8):
        for column in range(8):
            if row or column:
                wave = np.cos(row * places)[:, None] * np.cos(column * places)
                assert found[8 * row + column - 1] == np.sign((small * wave).sum())


@pytest.mark.parametrize("how", FLIPS)
def test_the_hash_of_a_mirror_image_is_the_hash_with_odd_signs_turned(speckle, how):
    small = shrink(speckle, hashes.SIDE)
    turned = hashes.hash_images(small, 16) * hashes.flip_signs(16, how)
    assert np.array_equal(hashes.hash_images(flip(small, how), 16), turned)


def test_crop_windows_are_nine_a_share_and_reach_the_edges():
    windows = hashes.crop_windows(100, [0.9, 0.8])
    assert len(windows) == 18
    assert (0, 0, 90, 90) in windows and (10, 10, 100, 100) in windows and (10, 10, 90, 90) in windows


@pytest.mark.parametrize(("kind", "named"), [("exact", "hash"), ("resized", "hash"), ("gain", "hash")])
def test_changed_copies_are_near_and_strangers_are_not(speckle, kind, named):
    random = np.random.default_rng(0)
    copies = np.stack([change(image, kind, random) for image in speckle[:12]])
    found = hashes.find_pairs(np.concatenate([speckle, copies]), 16, 0.15)
    assert list(zip(found["a"], found["b"], strict=True)) == [(place, 40 + place) for place in range(12)]
    assert set(found["found_by"]) == {named}


def test_mirrored_copies_are_found_as_mirrors_only(speckle):
    found = hashes.find_pairs(np.concatenate([speckle, speckle[:5, :, ::-1], speckle[5:8, ::-1]]), 16, 0.05)
    assert found["found_by"].eq("mirror").all()
    assert found["flip"].tolist() == ["left-right"] * 5 + ["up-down"] * 3
    assert np.allclose(found["distance"], 0)


def test_crops_are_found_by_the_hashes_of_crops_alone(speckle):
    random = np.random.default_rng(3)
    cut = np.stack([change(image, "cropped", random, 0.06) for image in speckle[:12]])
    images = np.concatenate([speckle, cut])
    whole = hashes.find_pairs(images, 16, 0.15)
    windows = hashes.find_pairs(images, 16, 0.15, [0.95])
    assert len(whole) < 6
    true = {(place, 40 + place) for place in range(12)}
    assert len(true & set(zip(windows["a"], windows["b"], strict=True))) >= max(5, 2 * len(whole))
    assert set(zip(windows["a"], windows["b"], strict=True)) <= true


def test_blocks_change_nothing(speckle, monkeypatch):
    images = np.concatenate([speckle, speckle[:, ::-1, ::-1]])
    whole = hashes.find_pairs(images, 8, 0.2, [0.9])
    monkeypatch.setattr(hashes, "BLOCK", 7)
    assert whole.equals(hashes.find_pairs(images, 8, 0.2, [0.9]))
    assert (whole["a"] < whole["b"]).all() and not whole.duplicated(["a", "b"]).any()
