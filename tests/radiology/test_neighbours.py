"""Candidates against brute force, and images laid on each other against the change that was made."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from tests.radiology.speckle import KINDS, change, draw_speckle
from workflow_scripts.lib.models import preprocessing
from workflow_scripts.lib.radiology import alignment, embed, neighbours
from workflow_scripts.lib.radiology.alignment import Aligner
from workflow_scripts.lib.study.errors import StudyError


@pytest.fixture(scope="module")
def speckle():
    return draw_speckle(20, 128, seed=2)


def test_neighbours_are_those_of_brute_force():
    random = np.random.default_rng(0)
    whole, other = random.normal(size=(2, 30, 12))
    found = neighbours.find_candidates([("none", whole), ("left-right", other)], 3)
    distances = np.stack([cdist(view, whole, "correlation") for view in (whole, other)])  # 1 - cosine, centred
    expected = set()
    for a in range(30):
        best = distances[:, a].min(axis=0)
        best[a] = np.inf
        expected |= {(min(a, b), max(a, b)) for b in np.argsort(best)[:3]}
    assert set(zip(found["a"], found["b"], strict=True)) == expected
    for _, row in found.iterrows():
        view = distances[int(row["flip"] != "none")]
        assert row["distance"] == pytest.approx(min(view[row["a"], row["b"]], view[row["b"], row["a"]]), abs=1e-5)


def test_constant_features_and_single_images_give_no_error():
    assert neighbours.find_candidates([("none", np.ones((1, 4)))], 5).empty
    assert len(neighbours.find_candidates([("none", np.ones((3, 4)))], 5)) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_changed_copies_correlate_and_strangers_do_not(speckle, kind):
    random = np.random.default_rng(5)
    copies = np.stack([change(image, kind, random, 0.15) for image in speckle])
    aligner = Aligner(np.concatenate([speckle, copies]))
    how = "left-right" if kind == "mirrored" else "none"
    own = [aligner.match(place, 20 + place, how).correlation for place in range(20)]
    other = [aligner.match(place, 20 + (place + 1) % 20, how).correlation for place in range(20)]
    assert min(own) > 0.86 and max(other) < 0.35


def test_scale_and_shift_are_those_of_the_crop():
    image = draw_speckle(1, 192, seed=7)[0]
    cut = alignment.Image.fromarray(image).resize(
        (192, 192), alignment.Image.Resampling.BILINEAR, box=(20, 8, 180, 160)
    )
    found = Aligner(np.stack([image, np.asarray(cut)])).match(0, 1)
    # rows 8 to 160 of 192, columns 20 to 180
    assert found.scale == pytest.approx((152 / 192, 160 / 192), abs=0.005)
    assert found.shift == pytest.approx((84 / 192 - 0.5, 100 / 192 - 0.5), abs=0.005)
    assert found.overlap > 0.97 and found.correlation > 0.9


def test_the_order_of_the_two_does_not_matter():
    image = draw_speckle(1, 128, seed=8)[0]
    cut = change(image, "cropped", np.random.default_rng(1), 0.2)
    aligner = Aligner(np.stack([image, cut]))
    assert aligner.match(0, 1).correlation == pytest.approx(aligner.match(1, 0).correlation, abs=0.04)


def test_pictures_without_detail_match_nothing():
    flat = np.full((2, 64, 64), 90, np.uint8)
    assert Aligner(flat).match(0, 1).correlation == 0


def test_light_and_gain_are_taken_out(speckle):
    rows = np.linspace(0.4, 1.2, 128)[:, None]
    darker = np.uint8(np.clip(speckle[0] * rows, 0, 255))
    aligner = Aligner(np.stack([speckle[0], darker]))
    assert aligner.match(0, 1).correlation > 0.97


def test_a_backbone_s_features_are_those_of_images_and_of_their_mirrors(monkeypatch):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 5, stride=3), torch.nn.Flatten())
    card = {"preprocessing": "imagenet_rgb"}
    monkeypatch.setattr(embed.weights, "load_any", lambda path: (network, card))
    cpu = torch.device("cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 1, 32, 32), dtype=np.uint8)
    views = list(embed.backbone_views(pixels, "file", cpu))
    assert [how for how, _ in views] == ["none", "left-right"]
    with torch.inference_mode():
        for (_, found), images in zip(views, (pixels, pixels[..., ::-1].copy()), strict=True):
            expected = network(preprocessing.prepare(torch.from_numpy(images), "imagenet_rgb"))
            assert np.allclose(found, expected, atol=1e-5)
    mirrored = np.concatenate([pixels, pixels[:1, ..., ::-1]])
    pairs = neighbours.find_candidates(embed.backbone_views(mirrored, "file", cpu), 1)
    own = pairs[(pairs["a"] == 0) & (pairs["b"] == 5)].iloc[0]
    assert own["flip"] == "left-right" and own["distance"] == pytest.approx(0, abs=1e-5)
    card.clear()
    with pytest.raises(StudyError, match="names no preprocessing"):
        next(embed.backbone_views(pixels, "file", cpu))
