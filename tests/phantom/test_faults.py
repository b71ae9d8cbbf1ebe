"""Every fault is one that reading a scan finds."""

import nibabel as nib
import numpy as np
import pytest

from workflow_scripts.lib.imaging.volumes import read_scan
from workflow_scripts.lib.phantom.faults import save_with_fault
from workflow_scripts.lib.phantom.people import FAULTS
from workflow_scripts.lib.study.errors import StudyError

IMAGE = nib.Nifti1Image(np.random.default_rng(1).integers(0, 900, (40, 44, 36)).astype(np.int16), np.diag([4, 4, 4, 1]))
REASONS = {
    "truncated": "truncated or damaged",
    "zero": "every voxel has the value 0",
    "four_dimensional": "expected one 3D volume, found shape 40x44x36x2",
}


def test_without_a_fault_the_scan_is_whole(tmp_path):
    save_with_fault(IMAGE, None, tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read_scan(tmp_path / "a.nii.gz").dataobj, IMAGE.dataobj)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_refused_with_its_reason(tmp_path, fault):
    save_with_fault(IMAGE, fault, tmp_path / "a.nii.gz")
    with pytest.raises(StudyError, match=REASONS[fault]):
        read_scan(tmp_path / "a.nii.gz")


def test_an_unknown_fault_is_refused_and_nothing_written(tmp_path):
    with pytest.raises(StudyError, match="fault 'blurred' is unknown"):
        save_with_fault(IMAGE, "blurred", tmp_path / "a.nii.gz")
    assert list(tmp_path.iterdir()) == []
