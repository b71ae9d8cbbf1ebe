"""The statement of what a volume is: it survives JSON, and every departure from it is refused by name."""

import dataclasses

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.lib.imaging import packaged
from workflow_scripts.lib.imaging.atlas import template
from workflow_scripts.lib.imaging.contract import (
    FIELDS,
    check_array,
    check_same,
    check_volume_file,
    from_json,
    registered_contract,
)
from workflow_scripts.lib.imaging.grid import Grid, resample
from workflow_scripts.lib.imaging.volumes import save_volume
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.files import read_json, write_json

CONTRACT = registered_contract({"spacing_mm": 4, "parameters": 7})


@pytest.fixture(scope="module")
def brain():
    """Give the template brain on the 4 mm grid, white matter at 110."""
    t1, _, _ = template(4.0)
    white = resample(packaged.mni_map("wm"), Grid(4.0)) > 230
    return t1 * 110 / np.median(t1[white])


@given(st.sampled_from([1, 2, 4, 8]), st.sampled_from([7, 9]))
def test_json_gives_the_same_contract_back(spacing, parameters):
    contract = registered_contract({"spacing_mm": spacing, "parameters": parameters, "estimate_spacing_mm": 2})
    assert from_json(contract.to_json(), "a") == contract
    assert contract.shape == Grid(float(spacing)).shape
    check_same(contract, contract, "a")


def test_the_file_can_be_read_by_a_person(tmp_path):
    write_json(tmp_path / "contract.json", CONTRACT.to_json())
    content = read_json(tmp_path / "contract.json")
    assert content["spacing_mm"] == 4
    assert content["registration"] == "similarity, 7 parameters"
    assert from_json(content, "contract.json") == CONTRACT


@pytest.mark.parametrize("field", FIELDS)
def test_every_key_is_needed(field):
    content = CONTRACT.to_json()
    del content[field]
    with pytest.raises(StudyError, match=f"card.json: missing {field}; expected the keys template, spacing_mm"):
        from_json(content, "card.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"voxel": 1}, "card.json: unknown voxel"),
        ({"shape": [1, 2]}, "spacing_mm, shape or affine are not numbers of the right count"),
        ({"affine": [["a"] * 4] * 4}, "spacing_mm, shape or affine are not numbers"),
        ({"spacing_mm": None}, "spacing_mm, shape or affine are not numbers"),
        ({"orientation": 3}, "orientation: found 3, expected text"),
    ],
)
def test_a_contract_that_was_edited_is_refused(change, message):
    with pytest.raises(StudyError, match=message):
        from_json(CONTRACT.to_json() | change, "card.json")
    with pytest.raises(StudyError, match=r"card.json: found list, expected an object"):
        from_json([], "card.json")


OTHERS = {
    "template": ("MNI305", "template: found MNI305, expected MNI152NLin2009aSym brain"),
    "spacing_mm": (2.0, "spacing_mm: found 2, expected 4. Set grid: spacing_mm to 4 and run register again"),
    "shape": ((1, 2, 3), "shape: found 1, 2, 3, expected 49, 58, 49"),
    "affine": (tuple(map(tuple, np.eye(4))), r"affine: found \(1, 0, 0, 0\), .* expected \(4, 0, 0, -96\)"),
    "orientation": ("LAS", "orientation: found LAS, expected RAS"),
    "intensity": ("z-scores", "intensity: found z-scores, expected white matter 110"),
    "registration": ("affine", "registration: found affine, expected similarity, 7 parameters"),
}


@pytest.mark.parametrize("field", FIELDS)
def test_two_contracts_that_differ_are_refused_by_field(field):
    value, message = OTHERS[field]
    other = dataclasses.replace(CONTRACT, **{field: value})
    with pytest.raises(StudyError, match=f"patches p: {message}"):
        check_same(other, CONTRACT, "patches p")


def test_a_registered_volume_fulfils_its_contract(brain, tmp_path):
    check_array(CONTRACT, brain, Grid(4.0).affine, "scan")
    save_volume(brain, Grid(4.0).affine, tmp_path / "a.nii.gz")
    check_volume_file(CONTRACT, tmp_path / "a.nii.gz")


def moved(image, axis):
    """Store an image with one axis the other way."""
    return image.as_reoriented([[i, -1 if i == axis else 1] for i in range(3)])


@pytest.mark.parametrize("axis", range(3))
def test_a_flipped_volume_is_refused(brain, axis):
    image = moved(nib.Nifti1Image(brain, Grid(4.0).affine), axis)
    found = "".join(nib.aff2axcodes(image.affine))
    with pytest.raises(StudyError, match=f"scan: orientation: found {found}, expected RAS. Store the volumes in RAS"):
        check_array(CONTRACT, image.get_fdata(), image.affine, "scan")


def test_a_volume_of_another_grid_is_refused(brain):
    contract = registered_contract({"spacing_mm": 2, "parameters": 7})
    with pytest.raises(StudyError, match=r"spacing_mm: found 4, 4, 4, expected 2. Set grid: spacing_mm to 2 and run"):
        check_array(contract, brain, Grid(4.0).affine, "scan")
    with pytest.raises(StudyError, match="shape: found 48, 58, 49, expected 49, 58, 49"):
        check_array(CONTRACT, brain[1:], Grid(4.0).affine, "scan")
    affine = Grid(4.0).affine
    affine[0, 3] += 4
    with pytest.raises(StudyError, match=r"affine: found \(4, 0, 0, -92\)"):
        check_array(CONTRACT, brain, affine, "scan")


FAULTS = {
    "unit": (lambda brain: brain / 255, "white matter at 0.4"),
    "eight": (lambda brain: brain * 255 / 110, "white matter at 25"),
    "scores": (lambda brain: (brain - brain.mean()) / brain.std(), "negative values down to -0."),
    "head": (lambda brain: brain + 5, r"a background that is not zero \(100 %"),
    "empty": (np.zeros_like, "no brain, all is zero"),
    "nan": (lambda brain: np.where(brain > 100, np.nan, brain), "NaN or infinity"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_intensities_that_break_the_rule_are_refused(brain, name):
    change, message = FAULTS[name]
    expected = f"scan: intensity: {message}.*, expected white matter 110, zero outside the brain. Run preprocess again"
    with pytest.raises(StudyError, match=expected):
        check_array(CONTRACT, change(brain), Grid(4.0).affine, "scan")


@settings(max_examples=20, deadline=None)
@given(st.floats(0.8, 1.2))
def test_white_matter_within_a_fifth_passes(factor):
    t1, _, _ = template(4.0)
    white = resample(packaged.mni_map("wm"), Grid(4.0)) > 230
    check_array(CONTRACT, t1 * factor * 110 / np.median(t1[white]), Grid(4.0).affine, "scan")


def test_a_brain_that_the_edge_cuts_off_is_refused(brain):
    ball = np.linalg.norm(Grid(4.0).world() - [0, -20, 60], axis=-1) < 80
    with pytest.raises(StudyError, match=r"a brain cut off by the edge of the grid \(\d+ cm2 of it\)"):
        check_array(CONTRACT, np.where(ball | (brain > 0), 110.0, 0), Grid(4.0).affine, "scan")


def test_a_file_that_is_no_volume_is_refused(tmp_path):
    (tmp_path / "a.nii.gz").write_text("no")
    with pytest.raises(StudyError, match=r"a.nii.gz: cannot be read as an image .* Run register again"):
        check_volume_file(CONTRACT, tmp_path / "a.nii.gz")
