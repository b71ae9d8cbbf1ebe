"""Real people's scans through the embedded backend and registration."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import optimize

from workflow_scripts.lib.imaging import registration
from workflow_scripts.lib.imaging.backends import embedded
from workflow_scripts.lib.imaging.contract import check_array, registered_contract
from workflow_scripts.lib.imaging.grid import Grid
from workflow_scripts.lib.imaging.volumes import conform, crop_to, foreground, inspect_scan, read_scan

T1 = Path(__file__).resolve().parents[2] / "../shared/reference/t1"
SCANS = {
    "head": (T1 / "xa30_T1w.nii.gz", "the reference head (2 mm, strong coil bias) is not on this machine"),
    "brain": (T1 / "niimath_T1w_brain.nii.gz", "the reference brain (0.8 mm, stripped) is not on this machine"),
    "colin27": (Path("/usr/share/mricron/templates/ch2.nii.gz"), "Colin27 comes with: apt-get install mricron-data"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCANS)
def test_a_real_scan_gives_a_brain_that_fits_the_template(name, settings):
    path, reason = SCANS[name]
    if not path.exists():
        pytest.skip(reason)
    result = embedded.run(read_scan(path), "auto", {**settings, "n4_iterations": [50, 50, 50]})
    assert result.numbers["was_head"] == (name != "brain")
    assert 1000 < result.numbers["brain_ml"] < 2100
    assert 0.08 < result.numbers["grey_white_contrast"] < 0.6
    hippocampi = result.features["Left-Hippocampus"] + result.features["Right-Hippocampus"]
    assert 4000 < hippocampi < 14000  # mm^3; adults have 6 to 9 cm^3
    transform = registration.estimate(result.brain, result.affine, 4.0)
    assert 0.7 < registration.scale_of(transform) < 1.4
    volume = registration.apply(result.brain, result.affine, transform, Grid(4.0))
    assert registration.overlap(volume, 4.0) >= 0.9
    turned = transform[:3, :3] / registration.scale_of(transform)
    assert np.rad2deg(np.arccos((np.trace(turned) - 1) / 2)) < 45
    check_array(registered_contract({"spacing_mm": 4, "parameters": 7}), volume, Grid(4.0).affine, name)


BRAINS = {
    "niimath": SCANS["brain"],
    "colin27": (Path("/usr/share/mricron/templates/ch2bet.nii.gz"), SCANS["colin27"][1]),
}


def stripped(name):
    """Read a brain without preprocessing it further."""
    path, reason = BRAINS[name]
    if not path.exists():
        pytest.skip(reason)
    data, affine = conform(read_scan(path), 1.0)
    mask = foreground(data)
    return crop_to(data * mask, affine, mask, pad=2)


def transforms_of_both_kinds(brain, affine, spacing, monkeypatch):
    """Estimate with 9 parameters, and take the transform with 7 on the way: its optimum is where 9 start from."""
    minimize, starts = optimize.minimize, {}

    def spy(loss, zeros, args, **more):
        starts[len(zeros)] = args[0]
        return minimize(loss, zeros, args=args, **more)

    with monkeypatch.context() as patched:
        patched.setattr(optimize, "minimize", spy)
        found = registration.estimate(brain, affine, spacing, 9)
    return {7: starts[9], 9: found}


@pytest.mark.slow
def test_both_transforms_at_two_millimetres_are_those_at_one(monkeypatch):
    brain, affine = stripped("niimath")
    coarse, fine = (transforms_of_both_kinds(brain, affine, spacing, monkeypatch) for spacing in (2.0, 1.0))
    np.testing.assert_array_equal(coarse[7], registration.estimate(brain, affine, 2.0, 7))
    for parameters in (7, 9):
        assert not np.array_equal(coarse[parameters], fine[parameters])
        assert registration.distance(coarse[parameters], fine[parameters]).max() < 0.3  # mm, anywhere in the brain


@pytest.mark.slow
def test_the_transform_of_another_brain_at_two_millimetres_is_that_at_one():
    brain, affine = stripped("colin27")
    coarse, fine = (registration.estimate(brain, affine, spacing, 7) for spacing in (2.0, 1.0))
    assert not np.array_equal(coarse, fine)
    assert registration.distance(coarse, fine).max() < 0.3  # mm, anywhere in the brain


@pytest.mark.parametrize("name", SCANS)
def test_a_real_scan_says_where_it_lies(name):
    path, reason = SCANS[name]
    if not path.exists():
        pytest.skip(reason)
    image = read_scan(path)
    numbers = inspect_scan(image)
    assert 0.5 < numbers["voxel_min_mm"] <= numbers["voxel_max_mm"] < 3
    assert numbers["form_difference_mm"] < 0.1
    np.testing.assert_allclose(image.affine, nib.load(path).affine)
