"""Reading scans, bringing them to RAS, cropping and saving them."""

import gzip
import itertools

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.lib.imaging.volumes import conform, crop_to, foreground, read_scan, save_volume
from workflow_scripts.lib.study.errors import StudyError

AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
ORIENTATIONS = [
    tuple(axes[place] for place in order)
    for order in itertools.permutations(range(3))
    for axes in itertools.product("LR", "PA", "IS")
]


def scan(shape=(40, 44, 36), dtype=np.int16):
    data = np.random.default_rng(3).integers(0, 1000, shape).astype(dtype)
    return nib.Nifti1Image(data, AFFINE)


def turned(angles):
    """Give a rotation matrix of three angles in radians."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        one, two = [i for i in range(3) if i != axis]
        turn = np.eye(3)
        turn[[one, two], [one, two]] = np.cos(angle)
        turn[one, two], turn[two, one] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mgz"])
def test_a_scan_is_read_whole_as_float(tmp_path, name):
    kind = nib.MGHImage if name.endswith("mgz") else nib.Nifti1Image
    nib.save(kind(np.asarray(scan().dataobj), AFFINE), tmp_path / name)
    image = read_scan(tmp_path / name)
    assert image.get_data_dtype() == np.float32
    np.testing.assert_array_equal(image.get_fdata(), scan().get_fdata())
    np.testing.assert_allclose(image.affine, AFFINE)


def test_a_fourth_axis_of_one_is_dropped(tmp_path):
    nib.save(scan((40, 44, 36, 1)), tmp_path / "a.nii")
    assert read_scan(tmp_path / "a.nii").shape == (40, 44, 36)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("order", "<>")
def test_every_voxel_type_and_byte_order_is_read(tmp_path, dtype, order):
    data = np.random.default_rng(3).integers(0, 120, (40, 44, 36)).astype(np.dtype(dtype).newbyteorder(order))
    header = nib.Nifti1Header(endianness=order)
    header.set_data_dtype(dtype)
    nib.save(nib.Nifti1Image(data, AFFINE, header), tmp_path / "a.nii")
    stored = nib.load(tmp_path / "a.nii")
    assert stored.header.endianness == order
    assert stored.get_data_dtype().newbyteorder("=") == dtype
    scan = read_scan(tmp_path / "a.nii")
    assert scan.get_data_dtype() == np.float32
    np.testing.assert_array_equal(scan.get_fdata(), data)


def test_the_scale_of_the_header_is_applied(tmp_path):
    image = nib.Nifti1Image(np.random.default_rng(3).random((40, 44, 36)) * 7, AFFINE)
    image.set_data_dtype(np.int16)
    nib.save(image, tmp_path / "a.nii.gz")
    assert nib.load(tmp_path / "a.nii.gz").dataobj.slope != 1
    np.testing.assert_allclose(read_scan(tmp_path / "a.nii.gz").get_fdata(), image.get_fdata(), atol=2e-4)


@pytest.mark.parametrize(("background", "zero"), [(-1000.0, -1000.0), (-0.7, -0.7), (0.0, 0.0), (5.0, 0.0)])
def test_a_background_below_zero_comes_to_zero(tmp_path, background, zero):
    data = np.full((40, 44, 36), background, np.float32)
    data[8:30, 8:30, 8:30] += np.random.default_rng(1).random((22, 22, 22), np.float32) * 900 + 9
    data[9, 9, 9] = background - 3  # ringing
    nib.save(nib.Nifti1Image(data, AFFINE), tmp_path / "a.nii")
    np.testing.assert_allclose(read_scan(tmp_path / "a.nii").get_fdata(), data - zero, atol=1e-3)


def test_values_beyond_single_precision_keep_their_ratios(tmp_path):
    data = np.random.default_rng(1).random((40, 44, 36)) * 1e60
    nib.save(nib.Nifti1Image(data, AFFINE), tmp_path / "a.nii")
    np.testing.assert_allclose(read_scan(tmp_path / "a.nii").get_fdata(), data / data.max(), rtol=1e-6)


def cut(path, image, share=0.5):
    nib.save(image, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def damage_header(path, place, value):
    nib.save(scan(), path)
    content = bytearray(path.read_bytes())
    content[place : place + len(value)] = value
    path.write_bytes(bytes(content))


def flatten(path):
    """Write a scan whose second axis points nowhere."""
    image = nib.Nifti1Image(np.asarray(scan().dataobj), AFFINE)
    image.header.set_sform(AFFINE, code=1)
    path.write_bytes(image.to_bytes())
    content = bytearray(path.read_bytes())
    content[296:312] = bytes(16)  # srow_y
    path.write_bytes(bytes(content))


BAD = {
    "flat.nii": (flatten, "affine is not usable"),
    "missing.nii.gz": (lambda path: None, "file not found"),
    "cut.nii.gz": (lambda path: cut(path, scan()), "truncated or damaged"),
    "cut.nii": (lambda path: cut(path, scan()), "truncated or damaged"),
    "stub.nii": (lambda path: cut(path, scan(), 0.001), "truncated or damaged"),
    "text.nii": (lambda path: path.write_text("to be scanned next week"), "truncated or damaged"),
    "text.nii.gz": (lambda path: path.write_text("not even gzip"), "truncated or damaged"),
    "garbage.nii.gz": (lambda path: path.write_bytes(gzip.compress(bytes(range(256)) * 9)), "truncated or damaged"),
    "empty.nii": (lambda path: path.touch(), "truncated or damaged"),
    "folder.nii": (lambda path: path.mkdir(), "truncated or damaged"),
    "dtype.nii": (lambda path: damage_header(path, 70, b"\x0f\x27"), "truncated or damaged"),
    "zero.nii.gz": (lambda path: nib.save(nib.Nifti1Image(np.zeros((40, 40, 40)), AFFINE), path), "the value 0"),
    "four.nii.gz": (lambda path: nib.save(scan((40, 40, 40, 2)), path), "found shape 40x40x40x2"),
    "tiny.nii.gz": (lambda path: nib.save(scan((12, 12, 12)), path), "field of view of 48 mm"),
    "nan.nii.gz": (
        lambda path: nib.save(nib.Nifti1Image(np.full((40, 40, 40), np.nan, np.float32), AFFINE), path),
        "NaN or infinity",
    ),
    "mask.nii.gz": (
        lambda path: nib.save(nib.Nifti1Image((scan().get_fdata() > 500).astype(np.int16), AFFINE), path),
        "only 2 different intensities: this is a mask",
    ),
    "microns.nii.gz": (
        lambda path: nib.save(nib.Nifti1Image(np.asarray(scan((256, 256, 200)).dataobj), np.diag([3, 3, 3, 1])), path),
        "field of view of 768 mm is larger than any head's",
    ),
    "dicom.nii": (lambda path: path.write_bytes(bytes(128) + b"DICM" + bytes(99)), "the file is DICOM"),
    "complex.nii.gz": (lambda path: nib.save(scan(dtype=np.complex64), path), "complex64 are not intensities"),
    "colour.nii.gz": (
        lambda path: nib.save(
            nib.Nifti1Image(np.zeros((40, 40, 40), [("R", "u1"), ("G", "u1"), ("B", "u1")]), AFFINE), path
        ),
        "are not intensities",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_a_scan_is_refused_with_the_reason(tmp_path, name):
    make, message = BAD[name]
    make(tmp_path / name)
    with pytest.raises(StudyError, match=message):
        read_scan(tmp_path / name)


angles = st.tuples(*[st.floats(-0.5, 0.5)] * 3)
shifts = st.tuples(*[st.floats(-50, 50)] * 3)


@pytest.mark.parametrize("axes", ORIENTATIONS, ids="".join)
def test_every_storage_order_gives_the_same_data_in_ras(axes):
    image = scan((10, 12, 14))
    ornt = nib.orientations.axcodes2ornt(axes)
    stored = image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(AFFINE), ornt))
    assert nib.aff2axcodes(stored.affine) == axes
    data, affine = conform(stored, 4.0)
    np.testing.assert_array_equal(data, image.get_fdata())
    np.testing.assert_allclose(affine, AFFINE, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(ORIENTATIONS), angles, shifts, st.sampled_from([4.0, 6.0]))
def test_oblique_scans_of_any_storage_order_keep_their_world(axes, turn, shift, spacing):
    affine = np.eye(4)
    affine[:3, :3] = turned(turn) * [3.0, 4.0, 5.0]
    affine[:3, 3] = shift
    shape = (30, 24, 20)
    steps = (np.indices(shape) - np.array([14.0, 12.0, 9.0]).reshape(3, 1, 1, 1)).reshape(3, -1) * [[3], [4], [5]]
    data = np.exp(-((steps / 14) ** 2).sum(axis=0)).reshape(shape).astype(np.float32)
    image = nib.Nifti1Image(data, affine)
    ornt = nib.orientations.axcodes2ornt(axes)
    stored = image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(affine), ornt))
    moved, new = conform(stored, spacing)
    np.testing.assert_allclose(nib.affines.voxel_sizes(new), spacing, rtol=1e-6)
    assert nib.aff2axcodes(new) == ("R", "A", "S")
    # the same blob at the same place of the world, with the same mass
    centres = []
    for values, place in ((data, affine), (moved, new)):
        world = nib.affines.apply_affine(place, np.moveaxis(np.indices(values.shape), 0, -1))
        centres.append((world * values[..., None]).sum((0, 1, 2)) / values.sum())
    np.testing.assert_allclose(centres[1], centres[0], atol=0.15)
    np.testing.assert_allclose(moved.sum() * spacing**3, data.sum() * 60, rtol=0.01)


def test_a_scan_that_fits_already_is_not_interpolated():
    image = scan()
    data, affine = conform(nib.Nifti1Image(image.get_fdata(), np.diag([4.02, 4.0, 3.99, 1.0])), 4.0)
    np.testing.assert_array_equal(data, image.get_fdata())
    assert affine[0, 0] == 4.02


masks = st.tuples(*[st.tuples(st.integers(0, 9), st.integers(0, 9)) for _ in range(3)])


@given(masks, st.integers(0, 3), angles, shifts)
def test_cropping_keeps_values_world_and_the_whole_mask(corners, pad, turn, shift):
    data = np.arange(1000.0).reshape(10, 10, 10)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = 2 * turned(turn), shift
    mask = np.zeros(data.shape, bool)
    box = tuple(slice(min(pair), max(pair) + 1) for pair in corners)
    mask[box] = True
    cropped, moved = crop_to(data, affine, mask, pad)
    expected = tuple(min(10, part.stop + pad) - max(0, part.start - pad) for part in box)
    assert cropped.shape == expected
    assert set(data[mask]) <= set(cropped.ravel())
    # the value tells where a voxel was
    for place in ((0, 0, 0), tuple(n - 1 for n in cropped.shape)):
        was = np.unravel_index(int(cropped[place]), data.shape)
        np.testing.assert_allclose(moved @ [*place, 1], affine @ [*was, 1], atol=1e-9)


def test_the_subject_is_the_largest_object_with_holes_filled():
    data = np.zeros((30, 30, 30), np.float32)
    data[5:20, 5:20, 5:20] = 100
    data[10:14, 10:14, 10:14] = 0  # a ventricle
    data[25:28, 25:28, 25:28] = 300  # a marker
    expected = np.zeros(data.shape, bool)
    expected[5:20, 5:20, 5:20] = True
    np.testing.assert_array_equal(foreground(data), expected)
    with pytest.raises(StudyError, match="no voxel is above zero"):
        foreground(np.zeros((9, 9, 9), np.float32))


def test_saving_loses_a_fifty_thousandth_of_the_range(tmp_path):
    data = np.random.default_rng(1).gamma(2, 40, (20, 20, 20)).astype(np.float32)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = 3 * turned((0.1, 0.2, -0.3)), (5, 6, 7)
    save_volume(data, affine, tmp_path / "a.nii.gz")
    image = nib.load(tmp_path / "a.nii.gz")
    assert image.get_data_dtype() == np.int16
    np.testing.assert_allclose(image.get_fdata(), data, atol=2e-5 * np.ptp(data))
    np.testing.assert_allclose(image.affine, affine, atol=1e-5)
