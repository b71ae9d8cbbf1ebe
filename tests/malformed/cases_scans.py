"""Scans that cannot be read, or that are no T1w image of a head whose sides and sizes are known."""

import gzip

import nibabel as nib
import numpy as np

from tests.malformed.case import Case
from workflow_scripts.lib.imaging.backends import embedded
from workflow_scripts.lib.imaging.volumes import read_scan
from workflow_scripts.lib.study.errors import StudyError

AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
SETTINGS = {"spacing_mm": 4, "n4_iterations": [1], "atlas_spacing_mm": 8, "syn_iterations": [1]}


def noise(shape=(40, 44, 36), dtype=np.int16):
    return np.random.default_rng(3).integers(1, 1000, shape).astype(dtype)


def image(data=None, affine=AFFINE):
    return nib.Nifti1Image(noise() if data is None else data, affine)


def read(path):
    """Give what the user reads of a scan."""
    try:
        read_scan(path)
    except StudyError as error:
        return str(error)
    return "no message"


def written(name, content):
    """Provoke with a file of these bytes."""

    def provoke(folder):
        (folder / name).write_bytes(content)
        return read(folder / name)

    return provoke


def saved(make, name="scan.nii"):
    """Provoke with an image of nibabel."""

    def provoke(folder):
        nib.save(make(), folder / name)
        return read(folder / name)

    return provoke


def changed(place, content):
    """Provoke with a NIfTI file in which some bytes of the header are others."""

    def provoke(folder):
        stored = image()
        stored.set_sform(AFFINE, code=1)
        data = bytearray(stored.to_bytes())
        data[place : place + len(content)] = content
        (folder / "scan.nii").write_bytes(bytes(data))
        return read(folder / "scan.nii")

    return provoke


def dangling(folder):
    (folder / "scan.nii.gz").symlink_to(folder / ".git" / "annex" / "scan")
    return read(folder / "scan.nii.gz")


def directory(folder):
    (folder / "scan.nii").mkdir()
    return read(folder / "scan.nii")


def forms(qform, sform, codes):
    """Give an image with two statements about where it lies."""

    def make():
        stored = nib.Nifti1Image(noise(), None)
        stored.set_sform(sform, code=codes[1], update_affine=False)
        stored.set_qform(qform, code=codes[0], update_affine=False)
        stored.header.set_zooms(nib.affines.voxel_sizes(qform))
        return nib.Nifti1Image.from_bytes(stored.to_bytes())

    return make


def no_side(folder):
    path = folder / "scan.mgh"
    nib.save(nib.MGHImage(noise((90, 90, 90)), np.eye(4)), path)
    content = bytearray(path.read_bytes())
    content[28:30] = bytes(2)  # goodRASFlag
    path.write_bytes(bytes(content))
    return read(path)


def preprocessed(data):
    """Provoke with a stripped brain that the embedded backend is given."""

    def provoke(folder):
        nib.save(image(data), folder / "scan.nii")
        try:
            embedded.run(read_scan(folder / "scan.nii"), "brain", SETTINGS)
        except StudyError as error:
            return str(error)
        return "no message"

    return provoke


def ball(radius):
    """Give a ball of the radius in mm with values that vary, zero around it."""
    world = np.moveaxis(np.indices((40, 44, 36)), 0, -1) * 4.0 - [80, 88, 72]
    return np.where(np.linalg.norm(world, axis=-1) < radius, noise() + 500, 0).astype(np.int16)


COLOUR = np.zeros((40, 44, 36), [("R", "u1"), ("G", "u1"), ("B", "u1")])
OUTCOMES = [
    ("the file is not there", "file not found", lambda folder: read(folder / "scan.nii.gz")),
    (
        "a link of DataLad whose content was never fetched",
        ("the file is a link to what is not here. If it is of DataLad or git-annex, get it with: datalad get"),
        dangling,
    ),
    (
        "a pointer of Git LFS",
        "the file is a pointer of Git LFS, not the scan. Get the scan with: git lfs pull",
        written("scan.nii.gz", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
    ),
    (
        "a pointer of git-annex",
        "the file is a pointer of git-annex, not the scan. Get the scan with: datalad get",
        written("scan.nii.gz", b"/annex/objects/MD5E-s9--0.nii.gz\n"),
    ),
    (
        "DICOM under another name",
        ("the file is DICOM, one slice or several. Convert the series to NIfTI, for instance with dcm2niix"),
        written("scan.nii", bytes(128) + b"DICM" + bytes(400)),
    ),
    (
        "an empty file",
        ("file cannot be read as an image, truncated or damaged (Empty file: '{folder}/scan.nii')"),
        written("scan.nii", b""),
    ),
    (
        "a text file",
        ('file cannot be read as an image, truncated or damaged (Cannot work out file type of "{folder}/scan.nii")'),
        written("scan.nii", b"to be scanned next week"),
    ),
    (
        "a folder",
        ('file cannot be read as an image, truncated or damaged (Cannot work out file type of "{folder}/scan.nii")'),
        directory,
    ),
    (
        "a download that broke off",
        (
            "file cannot be read as an image, truncated or damaged (Compressed file ended before the "
            "end-of-stream marker was reached)"
        ),
        written("scan.nii.gz", gzip.compress(image().to_bytes(), mtime=0)[:9000]),
    ),
    (
        "a copy that broke off",
        (
            "file cannot be read as an image, truncated or damaged (Expected 126720 bytes, got 8648 bytes "
            "from {folder}/scan.nii - could the file be damaged?)"
        ),
        written("scan.nii", image().to_bytes()[:9000]),
    ),
    (
        "gzip only by name",
        ("file cannot be read as an image, truncated or damaged (File {folder}/scan.nii.gz is not a gzip file)"),
        written("scan.nii.gz", image().to_bytes()),
    ),
    (
        "an unknown voxel type",
        ("file cannot be read as an image, truncated or damaged (data code 9999 not recognized)"),
        changed(70, b"\x0f\x27"),
    ),
    (
        "complex voxels",
        "voxels of type complex64 are not intensities. Give the T1w magnitude image",
        saved(lambda: image(noise(dtype=np.complex64))),
    ),
    (
        "colours",
        "voxels of type void24 are not intensities. Give the T1w magnitude image",
        saved(lambda: image(COLOUR)),
    ),
    (
        "several volumes",
        "image: expected one 3D volume, found shape 40x44x36x2. Give the T1w alone",
        saved(lambda: image(noise((40, 44, 36, 2)))),
    ),
    (
        "one slice",
        "image: expected one 3D volume, found shape 40x44x1. Give the T1w alone",
        saved(lambda: image(noise((40, 44, 1)))),
    ),
    ("no signal", "image: every voxel has the value 0", saved(lambda: image(np.zeros((40, 44, 36), np.int16)))),
    (
        "NaN",
        "image: intensities contain NaN or infinity. Convert the scan again",
        saved(lambda: image(np.where(noise() > 500, np.nan, 1).astype(np.float32))),
    ),
    (
        "a brain mask",
        "only 2 different intensities: this is a mask or a map of labels. Give the T1w image itself",
        saved(lambda: image((noise() > 500).astype(np.int16))),
    ),
    (
        "too coarse",
        "image: voxels of 9.0 mm are too coarse (at most 8 mm); sizes must be in mm",
        saved(lambda: image(affine=np.diag([4.0, 4.0, 9.0, 1.0]))),
    ),
    (
        "a slab",
        "image: field of view of 48 mm is smaller than a brain; sizes must be in mm",
        saved(lambda: image(noise((40, 44, 12)))),
    ),
    (
        "sizes in micrometres",
        "image: voxels of 4000.0 mm are too coarse (at most 8 mm); sizes must be in mm",
        saved(lambda: image(affine=np.diag([4000.0, 4000.0, 4000.0, 1.0]))),
    ),
    (
        "sizes in metres",
        "image: field of view of 0.144 mm is smaller than a brain; sizes must be in mm",
        saved(lambda: image(affine=np.diag([0.004, 0.004, 0.004, 1.0]))),
    ),
    (
        "axes that fall together",
        "image: the affine is not usable (voxel sizes [4.0, 0.0, 4.0] mm). Convert the scan again",
        changed(296, bytes(16)),
    ),
    (
        "no orientation in the header",
        (
            "the header does not say how the voxels lie in the body (the codes of qform and sform are both "
            "0): left and right would be a guess. Convert the scan from DICOM again, or, if you know the "
            "orientation, write it to the sform, code 1"
        ),
        saved(forms(AFFINE, AFFINE, (0, 0))),
    ),
    (
        "an MGH file without orientation",
        (
            "the header says that its orientation is not known (goodRASFlag 0): left and right would be a guess. "
            "Convert the scan from DICOM again"
        ),
        no_side,
    ),
    (
        "ANALYZE 7.5",
        (
            "the format ANALYZE 7.5 does not say which side is left: it would be a guess. Convert the scan "
            "from DICOM again, to NIfTI, or convert the file with a tool to which you state the orientation"
        ),
        saved(lambda: nib.AnalyzeImage(noise(), np.diag([-4.0, 4, 4, 1])), "scan.img"),
    ),
    (
        "qform and sform of opposite sides",
        (
            "qform and sform contradict each other about left and right (axes RAS and LAS). Find out which "
            "one is true, for instance by another scan of the person, and copy it over the other"
        ),
        saved(forms(AFFINE, np.diag([-4.0, 4.0, 4.0, 1.0]), (1, 1))),
    ),
    (
        "a sform scaled to a template",
        (
            "voxels are 4.4 x 4 x 4 mm by the sform but 4 x 4 x 4 mm by pixdim: volumes would be wrong by "
            "one of them. Give the scan in its own space, before any scaling to a template, or correct the "
            "header"
        ),
        saved(forms(AFFINE, np.diag([4.4, 4.0, 4.0, 1.0]), (1, 4))),
    ),
    (
        "a sheared sform",
        (
            "axes i and j are 84.3 degrees apart, expected 90: the volume was sheared. Give the scan in its "
            "own space, before any affine registration"
        ),
        saved(forms(AFFINE, AFFINE + np.array([[0, 0.4, 0, 0]] + [[0] * 4] * 3), (0, 2))),
    ),
    ("nothing above zero", "no voxel is above zero", preprocessed(-ball(60))),
    ("a stripped brain of 115 ml", "brain mask of 115 ml is not a brain's (500 to 2500 ml)", preprocessed(ball(30))),
    (
        "a stripped brain of 2.6 litres",
        "brain mask of 2615 ml is not a brain's (500 to 2500 ml)",
        preprocessed(ball(87)),
    ),
]

CASES = [Case("scan", fault, "set aside", message, provoke) for fault, message, provoke in OUTCOMES]
