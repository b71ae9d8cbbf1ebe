"""However a scan is stored, each point of the brain comes out at its place; unclear headers are refused."""

import gzip
import itertools

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from workflow_scripts.lib.imaging import registration
from workflow_scripts.lib.imaging.grid import Grid
from workflow_scripts.lib.imaging.orientation import check_orientation, form_difference, tilt_degrees
from workflow_scripts.lib.imaging.volumes import conform, inspect_scan, read_scan
from workflow_scripts.lib.study.errors import StudyError

ORIENTATIONS = [
    tuple(axes[place] for place in order)
    for order in itertools.permutations(range(3))
    for axes in itertools.product("LR", "PA", "IS")
]
# MNI mm and brightness: no reflection or rotation of the set is the set itself, and the left one is the brightest
LANDMARKS = {(-44.0, -12.0, 10.0): 1.0, (36.0, 24.0, 18.0): 0.7, (12.0, -52.0, -16.0): 0.45, (4.0, 20.0, 60.0): 0.25}
WIDTH_MM = 6.0
SPACING = 4.0


def similarity(angles, scale, shift):
    """Give a pose: template world to scan world."""
    pose = np.eye(4)
    pose[:3, :3] = scale * Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    pose[:3, 3] = shift
    return pose


POSE = similarity((8.0, -5.0, 12.0), 0.95, (7.0, -9.0, 4.0))


def scan_of(pose, axes, voxel=(4.0, 4.0, 4.0), tilt=(0.0, 0.0, 0.0)):
    """Render the landmarks as a scanner would store them: orientation, voxel sizes in mm, tilt of the slices."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", tilt, degrees=True).as_matrix() * voxel
    shape = tuple(int(np.ceil(210 / size)) for size in voxel)
    affine[:3, 3] = pose[:3, 3] - affine[:3, :3] @ (np.array(shape) - 1) / 2
    world = nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape, np.float32), 0, -1))
    data = np.zeros(shape, np.float32)
    for place, level in LANDMARKS.items():
        centre = nib.affines.apply_affine(pose, place)
        data += level * np.exp(-((world - centre) ** 2).sum(-1) / (2 * WIDTH_MM**2))
    image = nib.Nifti1Image(data * 1000, affine)
    ornt = nib.orientations.axcodes2ornt(axes)
    return image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(affine), ornt))


def check_landmarks(image, pose):
    """Bring a scan to the template by its known pose and look for every landmark at its place."""
    data, affine = conform(image, SPACING)
    volume = registration.apply(data, affine, pose, Grid(SPACING))
    world = Grid(SPACING).world()
    peaks = []
    for place in LANDMARKS:
        near = volume * (np.linalg.norm(world - place, axis=-1) < 20)
        centre = (world * near[..., None]).sum((0, 1, 2)) / near.sum()
        assert np.linalg.norm(centre - place) < SPACING / 2
        peaks.append(near.max())
    # left is told from right by its brightness
    assert sorted(peaks, reverse=True) == peaks
    return peaks


@pytest.mark.parametrize("axes", ORIENTATIONS, ids="".join)
@pytest.mark.parametrize("kind", ["nii", "mgz"])
def test_a_landmark_lies_at_its_place_however_the_scan_is_stored(tmp_path, axes, kind):
    image = scan_of(POSE, axes)
    assert nib.aff2axcodes(image.affine) == axes
    if kind == "mgz":
        image = nib.MGHImage(image.get_fdata(dtype=np.float32), image.affine)
    nib.save(image, tmp_path / f"a.{kind}")
    stored = read_scan(tmp_path / f"a.{kind}")
    assert nib.aff2axcodes(stored.affine) == axes
    check_landmarks(stored, POSE)


def test_a_scan_whose_header_lies_about_the_side_is_caught_by_this_object():
    image = scan_of(POSE, ("R", "A", "S"))
    wrong = nib.Nifti1Image(image.get_fdata(dtype=np.float32)[::-1], image.affine)
    with pytest.raises(AssertionError):
        check_landmarks(wrong, POSE)


voxels = st.tuples(*[st.floats(0.7, 1.2)] * 3).map(lambda sizes: tuple(4 * size for size in sizes))
tilts = st.tuples(*[st.floats(-25, 25)] * 3)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(ORIENTATIONS), voxels, tilts, tilts, st.floats(0.85, 1.2))
def test_oblique_scans_with_unequal_voxels_too(axes, voxel, tilt, angles, scale):
    pose = similarity(angles, scale, (5.0, -10.0, 3.0))
    check_landmarks(scan_of(pose, axes, voxel, tilt), pose)


@pytest.mark.parametrize("voxel", [(0.7, 0.7, 0.7), (0.8, 1.0, 1.2), (1.2, 0.9, 0.7)])
def test_scans_of_a_millimetre_come_to_one_millimetre(voxel):
    spot = np.zeros((120, 110, 100), np.float32)
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", (5, -8, 3), degrees=True).as_matrix() * voxel
    world = nib.affines.apply_affine(affine, np.moveaxis(np.indices(spot.shape), 0, -1))
    middle = nib.affines.apply_affine(affine, (60, 50, 45))
    spot = np.exp(-((world - middle) ** 2).sum(-1) / 32).astype(np.float32)
    data, moved = conform(nib.Nifti1Image(spot, affine), 1.0)
    np.testing.assert_allclose(nib.affines.voxel_sizes(moved), 1.0, rtol=1e-6)
    world = nib.affines.apply_affine(moved, np.moveaxis(np.indices(data.shape), 0, -1))
    centre = (world * data[..., None]).sum((0, 1, 2)) / data.sum()
    np.testing.assert_allclose(centre, middle, atol=0.05)


def with_forms(qform, sform, codes=(1, 1)):
    """Give a volume with two statements about its place."""
    image = nib.Nifti1Image(np.random.default_rng(1).integers(0, 999, (40, 44, 36)).astype(np.int16), None)
    image.set_sform(sform, code=codes[1], update_affine=False)
    image.set_qform(qform, code=codes[0], update_affine=False)
    image.header.set_zooms(nib.affines.voxel_sizes(qform))
    return nib.Nifti1Image.from_bytes(image.to_bytes())


PLACE = np.diag([4.0, 4.0, 4.0, 1.0])
TURNED = similarity((4.0, 0.0, 0.0), 1.0, (3.0, 0.0, 0.0)) @ PLACE
MIRRORED = PLACE @ np.diag([-1.0, 1.0, 1.0, 1.0])
SHEARED = PLACE + np.array([[0, 0.4, 0, 0]] + [[0] * 4] * 3)

REFUSED = {
    "neither": (with_forms(PLACE, PLACE, (0, 0)), "both 0.: left and right would be a guess"),
    "sides": (with_forms(PLACE, MIRRORED), r"contradict each other about left and right \(axes RAS and LAS\)"),
    "sizes": (
        with_forms(PLACE, np.diag([4.4, 4.0, 4.0, 1.0])),
        "voxels are 4.4 x 4 x 4 mm by the sform but 4 x 4 x 4 mm by pixdim",
    ),
    "shear": (with_forms(PLACE, SHEARED, (0, 2)), "axes i and j are 84.3 degrees apart, expected 90"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_header_that_leaves_side_or_size_open_is_refused(name, tmp_path):
    image, message = REFUSED[name]
    with pytest.raises(StudyError, match=message):
        check_orientation(image)
    nib.save(image, tmp_path / "a.nii")
    with pytest.raises(StudyError, match=message):
        read_scan(tmp_path / "a.nii")


@pytest.mark.parametrize("codes", [(1, 0), (0, 1), (0, 4), (1, 1), (1, 2)])
def test_one_statement_is_enough_and_the_sform_comes_first(codes, tmp_path):
    nib.save(with_forms(PLACE, TURNED, codes), tmp_path / "a.nii")
    scan = read_scan(tmp_path / "a.nii")
    np.testing.assert_allclose(scan.affine, TURNED if codes[1] else PLACE, atol=1e-5)
    numbers = inspect_scan(scan)
    both = all(codes)
    assert (numbers["form_difference_mm"] > 0) == both
    if both:
        corners = np.array(list(itertools.product((0, 39), (0, 43), (0, 35))))
        apart = nib.affines.apply_affine(PLACE, corners) - nib.affines.apply_affine(TURNED, corners)
        assert numbers["form_difference_mm"] == pytest.approx(np.linalg.norm(apart, axis=1).max(), rel=1e-5)


def test_the_difference_of_a_shift_is_its_length():
    shifted = PLACE.copy()
    shifted[:3, 3] = 3, 0, 4
    assert form_difference(with_forms(PLACE, shifted)) == pytest.approx(5)
    assert form_difference(nib.MGHImage(np.zeros((4, 4, 4), np.float32), PLACE)) == 0


@pytest.mark.parametrize("axes", [("R", "A", "S"), ("P", "I", "R"), ("L", "S", "A")])
def test_tilt_is_the_angle_to_the_nearest_axes(axes):
    assert tilt_degrees(scan_of(np.eye(4), axes).affine) == pytest.approx(0, abs=1e-4)
    assert tilt_degrees(scan_of(np.eye(4), axes, tilt=(9.0, 0, 0)).affine) == pytest.approx(9, abs=1e-4)


def test_formats_that_do_not_state_the_side_are_refused(tmp_path):
    data = np.random.default_rng(1).integers(0, 999, (40, 44, 36)).astype(np.int16)
    nib.save(nib.AnalyzeImage(data, np.diag([-4.0, 4, 4, 1])), tmp_path / "a.img")
    with pytest.raises(StudyError, match=r"ANALYZE 7.5 does not say which side is left"):
        read_scan(tmp_path / "a.img")


@pytest.mark.parametrize("name", ["a.mgh", "a.mgz"])
def test_an_mgh_file_whose_orientation_is_not_valid_is_refused(tmp_path, name):
    data = np.random.default_rng(1).integers(0, 999, (90, 90, 90)).astype(np.int16)
    content = bytearray(nib.MGHImage(data, np.eye(4)).to_bytes())
    for flag, valid in ((b"\0\1", True), (b"\0\0", False)):
        content[28:30] = flag
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("z") else content)
        if valid:
            np.testing.assert_array_equal(read_scan(tmp_path / name).get_fdata(), data)
        else:
            with pytest.raises(StudyError, match="goodRASFlag 0"):
                read_scan(tmp_path / name)


def test_a_qform_that_is_no_rotation_is_refused():
    image = with_forms(PLACE, PLACE)
    image.header["quatern_b"], image.header["quatern_c"] = 0.9, 0.9
    with pytest.raises(StudyError, match="the qform is no rotation"):
        check_orientation(image)
