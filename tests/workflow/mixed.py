"""The files of a study whose scans come in six ways, small: simulated brains, and statistics in the tools' formats."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import yaml

from tests.imaging.stats.dialects import write_subject
from tests.imaging.stats.exported import write_tables
from workflow_scripts.lib.phantom.anatomy import load_anatomy
from workflow_scripts.lib.phantom.people import SCANNERS
from workflow_scripts.lib.phantom.render import Factors, render

SITES = list(SCANNERS)


def brain(number: int, age: float = 65.0, visit: int = 0) -> nib.Nifti1Image:
    """Render one person's stripped brain at 3 mm."""
    person, occasion = np.random.default_rng([7, number]), np.random.default_rng([8, number, visit])
    scanner = SCANNERS[SITES[number % 3]]
    image, _ = render(load_anatomy(4.0), Factors(age, 0.0, 0.2), scanner, 3.0, person, occasion)
    return image


def people(names: list[str], **columns: object) -> pd.DataFrame:
    """Make a table of people: ages from 55 up, sexes and diagnoses in turn."""
    count = len(names)
    table = {
        "participant_id": names,
        "age": [55.0 + 2 * n for n in range(count)],
        "sex": ["F" if n % 2 else "M" for n in range(count)],
        "diagnosis": ["CN" if n % 2 else "AD" for n in range(count)],
    }
    return pd.DataFrame(table | columns)


def write(table: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")


def write_population(folder: Path, count: int = 9) -> None:
    """A participants table with paths, one of a FreeSurfer subject: the people to learn from."""
    names = [f"pop{n:02d}" for n in range(count)]
    table = people(names, session_id="1", cohort="population", site=[SITES[n % 3] for n in range(count)], image="brain")
    table["t1w"] = [f"scans/{name}.nii.gz" for name in names]
    (folder / "scans").mkdir(parents=True)
    for number, (name, age) in enumerate(zip(names, table["age"], strict=True)):
        nib.save(brain(number, age), folder / "scans" / f"{name}.nii.gz")
    write(table, folder / "participants.tsv")


def write_bids(folder: Path) -> None:
    """Sessions or none, two runs, and a file cut off in the middle."""
    scans = {"sub-01/ses-a": 30, "sub-01/ses-b": 30, "sub-02": 31, "sub-03": 32, "sub-04": 33}
    for visit, (place, number) in enumerate(scans.items()):
        stem = place.replace("/", "_")
        (folder / place / "anat").mkdir(parents=True)
        for run in ("_run-1", "_run-2") if place == "sub-02" else ("",):
            nib.save(brain(number, visit=visit), folder / place / "anat" / f"{stem}{run}_T1w.nii.gz")
    broken = folder / "sub-04" / "anat" / "sub-04_T1w.nii.gz"
    broken.write_bytes(broken.read_bytes()[:20000])
    (folder / "dataset_description.json").write_text('{"Name": "small", "BIDSVersion": "1.9.0"}')
    write(people([f"sub-0{n}" for n in range(1, 5)]), folder / "participants.tsv")


def _save_mri(folder: Path, image: nib.Nifti1Image, white: float, brain_name: str, labels_name: str) -> None:
    """Write a brain with its white matter at a level, a mask, and the white matter as a segmentation labels it."""
    folder.mkdir(parents=True, exist_ok=True)
    data = image.get_fdata()
    scaled = data * (white / np.quantile(data[data > 0], 0.9))
    parts = {brain_name: scaled, "mask.mgz": scaled > 5, labels_name: 2 * (scaled > 0.9 * white)}
    for name, part in parts.items():
        nib.save(nib.MGHImage(np.clip(part, 0, 255).astype(np.uint8), image.affine), folder / name)


def write_freesurfer(folder: Path) -> None:
    """Two versions, one subject without volumes, one whose run broke off, and what lies in such folders beside."""
    for number, name in enumerate(("fs01", "fs02", "fs03", "fs04")):
        subject, _ = write_subject(folder / name, "freesurfer-6.0" if number == 3 else "freesurfer-7.4", number)
        if number != 2:
            _save_mri(subject / "mri", brain(40 + number), 110, "norm.mgz", "aseg.mgz")
    (folder / "fs05" / "scripts").mkdir(parents=True)
    (folder / "fs05" / "mri").mkdir()
    (folder / "fs05" / "scripts" / "recon-all.error").write_text("exited with errors\n")
    (folder / "fsaverage" / "mri").mkdir(parents=True)
    write(people([f"fs0{n}" for n in range(1, 6)]), folder.with_name("freesurfer.tsv"))


def write_fastsurfer(folder: Path) -> None:
    """Segmentations alone and with surfaces."""
    for number, name in enumerate(("fast01", "fast02", "fast03")):
        subject, _ = write_subject(
            folder / name, "fastsurfer-full-2.4" if number else "fastsurfer-seg-2.4", 50 + number
        )
        _save_mri(subject / "mri", brain(50 + number), 180, "orig_nu.mgz", "aparc.DKTatlas+aseg.deep.mgz")
    write(people([f"fast0{n}" for n in range(1, 4)]), folder.with_name("fastsurfer.tsv"))


def write_exported(folder: Path) -> list[str]:
    """Tables of four people; a fifth stands in the list of people alone."""
    names = [f"old{n}" for n in range(1, 6)]
    paths, _ = write_tables(folder, names[:4], 3, separator=",")
    write(people(names), folder / "people.tsv")
    return paths


def write_stripped(folder: Path) -> None:
    """A folder of stripped brains."""
    folder.mkdir(parents=True)
    names = ["strip1", "strip2", "strip3"]
    for number, name in enumerate(names):
        nib.save(brain(60 + number), folder / f"{name}.nii.gz")
    write(people(names), folder.with_name("stripped.tsv"))


def write_study(folder: Path, small: Path) -> Path:
    """Write everything and the config; return the config's path."""
    data = folder / "data"
    write_population(data / "population")
    write_bids(data / "bids")
    write_freesurfer(data / "freesurfer")
    write_fastsurfer(data / "fastsurfer")
    write_stripped(data / "stripped")
    tables = write_exported(data / "exported")
    inputs = [
        {"name": "table", "kind": "participants", "path": str(data / "population/participants.tsv")},
        {"name": "ours", "kind": "bids", "path": str(data / "bids")},
        {"name": "years", "kind": "freesurfer", "path": str(data / "freesurfer")},
        {"name": "fast", "kind": "fastsurfer", "path": str(data / "fastsurfer")},
        {"name": "old", "kind": "tables", "tables": tables, "participants": str(data / "exported/people.tsv")},
        {"name": "stripped", "kind": "brains", "path": str(data / "stripped")},
    ]
    for entry in inputs:
        if entry["kind"] in ("freesurfer", "fastsurfer", "brains"):
            entry["participants"] = str(data / Path(entry["path"]).name) + ".tsv"
    config = yaml.safe_load(small.read_text())
    config.pop("phantom")
    config["stages"] = ["cohort", "preprocess", "register", "patches", "features"]
    evaluated = [entry["name"] for entry in inputs[1:]]
    roles = {"pretrain": ["population"], "normative": [], "evaluate": evaluated, "gwas": []}
    config["cohort"] = {"inputs": inputs, "scans_per_job": 10, "processes": 2, "roles": roles}
    config["features"] = {"list": "aseg"}
    # five of forty scans are broken or lost on purpose
    config["qc"] = {"max_excluded_fraction": 0.2}
    path = folder / "mixed.yaml"
    path.write_text(yaml.safe_dump(config))
    return path
