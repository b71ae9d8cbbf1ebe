"""Contrast and noise of brains with known tissues, and the numbers that follow from tables."""

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from workflow_scripts.lib.imaging.qc.metrics import contrast_and_noise, derived_numbers, tissue_levels

GENERATOR = np.random.default_rng(7)


def ball(grey=75.0, noise=3.0, size=64, white=110.0):
    """Give a ball with a core of CSF, white matter around it, grey matter outside: three tissues and noise."""
    axes = np.indices((size,) * 3) - size / 2
    radius = np.sqrt((axes**2).sum(axis=0)) / (size / 2)
    brain = np.select([radius < 0.25, radius < 0.7, radius < 0.92], [35.0, white, grey], 0.0)
    noisy = np.abs(brain + GENERATOR.normal(0, noise, brain.shape))
    return np.where(brain > 0, noisy, 0).astype(np.float32)


AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


@pytest.mark.parametrize("grey", [60.0, 75.0, 90.0])
def test_the_contrast_is_the_planted_one(grey):
    found = contrast_and_noise(ball(grey), AFFINE)
    assert found["grey_white_contrast"] == pytest.approx((110 - grey) / 110, abs=0.01)
    assert found["contrast_to_noise"] == pytest.approx((110 - grey) / np.hypot(3, 3), rel=0.15)


@pytest.mark.parametrize("noise", [1.5, 3.0, 6.0])
def test_the_noise_is_the_planted_one(noise):
    found = contrast_and_noise(ball(noise=noise), AFFINE)
    assert found["noise_percent"] == pytest.approx(100 * noise / 110, rel=0.1)
    assert found["white_snr"] == pytest.approx(110 / noise, rel=0.15)


def test_smooth_structure_inside_white_matter_is_not_taken_for_noise():
    rough = ndimage.gaussian_filter(GENERATOR.normal(size=(64,) * 3), 4)
    structure = (rough / rough.std() * 4).astype(np.float32)
    brain = ball(noise=1.0)
    found = contrast_and_noise(np.where(brain > 0, brain + structure, 0).astype(np.float32), AFFINE)
    assert found["noise_percent"] < 1.3
    assert found["white_snr"] < 45  # which sees it


def test_a_brain_without_contrast_falls_below_the_shipped_limits():
    brain = ball()
    flat = np.where(brain > 0, GENERATOR.normal(110, 3, brain.shape), 0).astype(np.float32)
    found = contrast_and_noise(flat, AFFINE)
    assert found["grey_white_contrast"] < 0.05
    assert found["contrast_to_noise"] < 0.9


def test_more_noise_is_never_less_by_the_numbers():
    rows = pd.DataFrame([contrast_and_noise(ball(noise=noise), AFFINE) for noise in (1, 3, 6, 12)])
    assert rows["noise_percent"].is_monotonic_increasing
    assert rows["contrast_to_noise"].is_monotonic_decreasing
    assert rows["white_snr"].is_monotonic_decreasing


def test_the_numbers_do_not_depend_on_the_direction_of_the_axes():
    brain = ball()
    turned = contrast_and_noise(np.ascontiguousarray(brain.transpose(2, 0, 1)[::-1, :, ::-1]), AFFINE)
    for name, value in contrast_and_noise(brain, AFFINE).items():
        assert turned[name] == pytest.approx(value, rel=0.02)


@pytest.mark.parametrize("brain", [np.zeros((8, 8, 8), np.float32), np.full((3, 3, 3), 110, np.float32)])
def test_a_brain_too_small_to_measure_gives_no_numbers(brain):
    assert all(np.isnan(value) for value in contrast_and_noise(brain, AFFINE).values())


def test_one_constant_value_raises_nothing():
    found = contrast_and_noise(np.full((30, 30, 30), 110, np.float32), AFFINE)
    assert found["noise_percent"] == 0
    assert found["grey_white_contrast"] < 0.05


def test_tissue_levels_are_repeatable_and_rise():
    values = ball()[ball() > 0]
    means, spreads = tissue_levels(values)
    assert (np.diff(means) > 0).all() and (spreads > 0).all()
    np.testing.assert_array_equal(means, tissue_levels(values)[0])


def test_a_phantom_brain_of_the_embedded_backend_passes(preprocessed):
    found = contrast_and_noise(preprocessed.brain, preprocessed.affine)
    assert 0.1 < found["grey_white_contrast"] < 0.5
    assert found["contrast_to_noise"] > 0.9
    assert found["noise_percent"] < 10


def parcels(value, atlas="", count=34, measure="volume"):
    names = [f"{a}{b}" for a in "abcdefg" for b in "abcde"][:count]
    return {f"{side}_{atlas}{name}_{measure}": value for side in ("lh", "rh") for name in names}


def test_numbers_from_tables():
    numbers = pd.DataFrame(
        {
            "lh_euler": [-40.0, np.nan, np.nan],
            "rh_euler": [-60.0, -10.0, np.nan],
            "brain_segmented_ml": [1120.0, 1300.0, np.nan],
            "icv_is_mask": [np.nan, 1.0, np.nan],
            "cortex_ml": [np.nan, 430.0, np.nan],
        },
        index=["a", "b", "c"],
    )
    features = pd.DataFrame(
        [{"icv": 1.4e6} | parcels(7000.0) | parcels(2.5, measure="thickness"), {"icv": 1.3e6} | parcels(1.0)],
        index=["a", "b"],
    )
    found = derived_numbers(numbers, features)
    assert found.loc["a"].to_dict() == pytest.approx(
        {"icv_ml": 1400, "euler": -50, "cortex_ml": 476, "thickness_mm": 2.5, "brain_to_icv": 0.8}
    )
    assert found.loc["b", "cortex_ml"] == 430  # the tool's own number
    assert np.isnan(found.loc["b", "brain_to_icv"]) and np.isnan(found.loc["b", "euler"])
    assert found.loc["c"].isna().all()


def test_a_cortex_that_is_not_whole_is_not_summed():
    features = pd.DataFrame([parcels(7000.0, count=33), parcels(7000.0, "DKT_", 31)], index=["a", "b"])
    found = derived_numbers(pd.DataFrame(index=["a", "b"]), features)
    assert np.isnan(found.loc["a", "cortex_ml"])
    assert found.loc["b", "cortex_ml"] == pytest.approx(434)


def test_two_atlases_are_not_summed_together():
    features = pd.DataFrame([parcels(7000.0) | parcels(7000.0, "DKT_", 31)], index=["a"])
    assert derived_numbers(pd.DataFrame(index=["a"]), features).loc["a", "cortex_ml"] == pytest.approx(476)
