"""Rendering: the planted truth is in the image, and nothing but the generators makes two scans differ."""

import nibabel as nib
import numpy as np
import pytest

from workflow_scripts.lib.imaging import registration
from workflow_scripts.lib.imaging.grid import Grid
from workflow_scripts.lib.phantom.anatomy import AGEING, DISEASE, TRUTH_REGIONS, pattern
from workflow_scripts.lib.phantom.people import SCANNERS
from workflow_scripts.lib.phantom.render import Factors, draw_pose, render

HEALTHY = Factors(60, 0.0, 0.0)


def scan(anatomy, factors=HEALTHY, site="beta", person=1, visit=2, head=False, spacing=4.0):
    generators = np.random.default_rng(person), np.random.default_rng(visit)
    return render(anatomy, factors, SCANNERS[site], spacing, *generators, head)


def changes(anatomy, factors, person=1):
    truth = scan(anatomy, factors, person=person)[1]
    return {region: truth[f"change_{region}"] for region in TRUTH_REGIONS}


@pytest.fixture(scope="module")
def healthy(anatomy):
    return scan(anatomy)


def test_equal_generators_give_equal_scans(anatomy, healthy):
    image, truth = scan(anatomy)
    np.testing.assert_array_equal(image.dataobj, healthy[0].dataobj)
    np.testing.assert_array_equal(truth["pose"], healthy[1]["pose"])
    assert truth["volume_Left-Hippocampus"] == healthy[1]["volume_Left-Hippocampus"]


def test_another_person_has_another_anatomy(anatomy, healthy):
    image, truth = scan(anatomy, person=7)
    assert not np.array_equal(image.dataobj, healthy[0].dataobj)
    assert truth["volume_Left-Hippocampus"] != pytest.approx(healthy[1]["volume_Left-Hippocampus"], rel=1e-3)


def test_another_visit_has_another_pose_and_the_same_anatomy(anatomy, healthy):
    _, truth = scan(anatomy, visit=8)
    assert registration.distance(truth["pose"], healthy[1]["pose"]).mean() > 2
    scale = registration.scale_of(truth["pose"])
    assert scale == pytest.approx(registration.scale_of(healthy[1]["pose"]))
    for region in TRUTH_REGIONS:
        assert truth[f"volume_{region}"] == pytest.approx(healthy[1][f"volume_{region}"], rel=0.03)


def test_a_brain_is_exactly_zero_outside_and_int16(healthy):
    image = healthy[0]
    assert image.get_data_dtype() == np.int16
    data = np.asarray(image.dataobj)
    assert (data[:2] == 0).all()
    assert 0.9e6 < (data > 0).sum() * 64 < 2.4e6


@pytest.mark.parametrize("site", SCANNERS)
def test_the_storage_order_is_the_scanners(anatomy, site):
    image, truth = scan(anatomy, site=site)
    assert "".join(nib.aff2axcodes(image.affine)) == SCANNERS[site].axes
    # whatever the order, the planted pose brings the brain onto the template
    ras = nib.as_closest_canonical(image)
    volume = registration.apply(ras.get_fdata(dtype=np.float32), ras.affine, truth["pose"], Grid(4.0))
    assert registration.overlap(volume, 4.0) > 0.94


def test_sites_differ_in_contrast_and_gain(anatomy):
    levels = {site: np.asarray(scan(anatomy, site=site)[0].dataobj) for site in SCANNERS}
    bright = {site: np.quantile(data[data > 0], 0.9) for site, data in levels.items()}
    assert bright["beta"] < 0.85 * bright["alpha"] < 0.85 * bright["gamma"]


def test_a_head_has_scalp_and_noise_around_the_same_brain(anatomy, healthy):
    image, truth = scan(anatomy, head=True)
    head, brain = (np.asarray(one.dataobj).astype(float) for one in (image, healthy[0]))
    np.testing.assert_array_equal(truth["pose"], healthy[1]["pose"])
    inside = brain > 0
    subject = head > 0.2 * np.quantile(head, 0.99)
    assert subject.sum() > 1.3 * inside.sum()
    assert (head > 0).mean() > 0.98  # the air is noisy
    assert np.corrcoef(head[inside], brain[inside])[0, 1] > 0.9
    # from outside inwards: air, bright scalp, dark skull, brain
    grid = anatomy.grid
    world = nib.affines.apply_affine(np.linalg.inv(truth["pose"]) @ image.affine, np.argwhere(np.ones(head.shape)))
    index = np.rint(nib.affines.apply_affine(np.linalg.inv(grid.affine), world)).astype(int)
    within = ((index >= 0) & (index < grid.shape)).all(axis=1)
    shells = anatomy.tissue.numpy()[:, *index[within].T]
    mean = {name: head.ravel()[within][shells[place] > 0.9].mean() for place, name in ((3, "skull"), (4, "scalp"))}
    assert mean["scalp"] > 2 * mean["skull"]


def test_at_sixty_and_healthy_nothing_is_planted(anatomy):
    assert changes(anatomy, HEALTHY) == pytest.approx(dict.fromkeys(TRUTH_REGIONS, 0.0), abs=1e-6)


@pytest.mark.parametrize(
    ("factors", "rates"), [(Factors(70, 0.0, 0.0), AGEING), (Factors(60, 1.0, 0.0), DISEASE)], ids=["ageing", "disease"]
)
def test_planted_change_comes_near_the_rate(anatomy, factors, rates):
    for region, change in changes(anatomy, factors).items():
        rate = rates[region.split("-", 1)[1]]
        # a coarse grid blurs the border of a structure, so it never gets all of it
        assert 0.35 < change / rate < 1.1, region


def test_change_grows_with_severity_and_age(anatomy):
    one, two = (changes(anatomy, Factors(60, severity, 0.0)) for severity in (0.5, 1.0))
    young = changes(anatomy, Factors(50, 0.0, 0.0))
    old = changes(anatomy, Factors(70, 0.0, 0.0))
    for region in TRUTH_REGIONS:
        assert two[region] / one[region] == pytest.approx(2, rel=0.15)
        assert old[region] / young[region] == pytest.approx(-1, rel=0.15)


def test_what_is_hidden_changes_the_image_and_no_regional_volume(anatomy, healthy):
    image, truth = scan(anatomy, Factors(60, 0.0, 1.0))
    seen = Factors(60, 1.0, 0.0)
    for region, change in changes(anatomy, seen).items():
        assert abs(truth[f"change_{region}"]) < 0.15 * abs(change)
    assert not np.array_equal(image.dataobj, healthy[0].dataobj)


def test_hidden_texture_has_no_mean_in_any_region(anatomy):
    hidden = anatomy.hidden.numpy()
    assert np.abs(hidden).max() > 1
    for code in np.unique(anatomy.labels):
        assert abs(hidden[anatomy.labels == code].mean()) < 1e-5


def test_tissue_fractions_fill_the_brain(anatomy):
    total = anatomy.tissue.numpy()[:3].sum(axis=0)
    assert anatomy.tissue.min() >= 0
    assert total.max() < 1.01
    assert total[anatomy.brain].mean() > 0.95


def test_both_hemispheres_are_painted_alike():
    labels = np.array([[[17, 53, 1006, 2006, 8, 0]]])
    names = {17: "Left-Hippocampus", 53: "Right-Hippocampus", 1006: "ctx-lh-entorhinal", 2006: "ctx-rh-entorhinal"}
    names[8] = "Left-Cerebellum-Cortex"
    painted = pattern(labels, names, {"Hippocampus": -0.1, "entorhinal": -0.2})
    np.testing.assert_allclose(painted.ravel(), [-0.1, -0.1, -0.2, -0.2, 0, 0])


def test_poses_are_similarities_within_their_bounds():
    for seed in range(20):
        pose = draw_pose(np.random.default_rng(seed), 1.05)
        linear = pose[:3, :3] / 1.05
        np.testing.assert_allclose(linear @ linear.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(linear) == pytest.approx(1)
        assert np.abs(pose[:3, 3]).max() <= 10
        assert np.rad2deg(np.arccos((np.trace(linear) - 1) / 2)) < 12 * np.sqrt(3) + 1
