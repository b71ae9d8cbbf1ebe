"""What is refused before any job, and what the user is told."""

import copy
import re
from pathlib import Path

import pytest
import yaml
from PIL import Image

from tests.radiology.image_files import make_busi, make_mrnet, make_table, table_entry
from workflow_scripts.lib.radiology.check import check_datasets, check_grids
from workflow_scripts.lib.radiology.labels import BENIGN_NORMAL
from workflow_scripts.lib.study.config import check_config
from workflow_scripts.lib.study.errors import LeakageError, StudyError

ROOT = Path(__file__).resolve().parents[2]


def test_every_dataset_is_counted_and_told(tmp_path):
    busi = make_busi(tmp_path / "busi") | {"classes": {"benign": 0, "normal": 0, "malignant": 1}, "drop": []}
    (tmp_path / "busi" / "benign" / "benign (2).png").unlink()
    mine, knees = make_table(tmp_path), make_mrnet(tmp_path / "knees", {"0001": "no", "0002": "yes"})
    assert check_datasets({"datasets": {"mine": table_entry(mine), "busi": busi, "knees": knees}}) == [
        "mine: 6 images: benign 3, malignant 3",
        "busi: 5 images: benign 1, malignant 2, normal 2",
        f"busi: {BENIGN_NORMAL}",
        "busi: benign_2_mask will be set aside: a mask without its image, which would be benign/benign (2).png. "
        "Add the image or remove the mask.",
        "knees: 4 images: no 2, yes 2",
    ]


def test_what_the_study_makes_is_not_looked_for_but_its_labels_are_checked():
    entry = {"kind": "table", "path": "made/here/images.tsv", "classes": {"a": 0, "b": 1}}
    assert check_datasets({"datasets": {"mine": entry}}, made=("made/",)) == []
    with pytest.raises(StudyError, match=r"made/here/images.tsv: no such file"):
        check_datasets({"datasets": {"mine": entry}})
    with pytest.raises(StudyError, match=r"radiology.datasets.mine.classes: found class numbers 0, 2"):
        check_datasets({"datasets": {"mine": entry | {"classes": {"a": 0, "b": 2}}}}, made=("made/",))


def test_only_the_datasets_that_are_named_are_checked(tmp_path):
    datasets = {"mine": table_entry(make_table(tmp_path)), "other": table_entry(tmp_path / "none.tsv")}
    assert check_datasets({"datasets": datasets}, names=["mine"]) == ["mine: 6 images: benign 3, malignant 3"]
    with pytest.raises(StudyError, match=re.escape(f"{tmp_path / 'none.tsv'}: no such file. Correct the path.")):
        check_datasets({"datasets": datasets})


def test_leakage_is_refused_before_any_job(tmp_path):
    path = make_table(tmp_path, set=["train", "test"] * 3, patient_id=list("aabbcc"))
    with pytest.raises(LeakageError, match=r"patient a is in test and in train \(3 such in all\)"):
        check_datasets({"datasets": {"mine": table_entry(path)}})


def test_no_picture_is_opened(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a picture was opened")

    monkeypatch.setattr(Image, "open", refuse)
    path = make_table(tmp_path)
    (tmp_path / "pictures" / "2.png").write_bytes(b"damaged")
    assert check_datasets({"datasets": {"mine": table_entry(path), "busi": make_busi(tmp_path / "busi")}})


def test_the_ready_config_reads_the_published_folder(tmp_path, monkeypatch):
    text = (ROOT / "envs" / "busi.yaml").read_text()
    # its comments hold further entries, which must be as good
    text = re.sub(r"^    # ((busi_normal|busi_three|mrnet|mine): \{)", r"    \1", text, flags=re.M)
    section = yaml.safe_load(text)["radiology"]
    assert set(section["datasets"]) == {"busi", "busi_normal", "busi_three", "mrnet", "mine"}
    make_busi(tmp_path / "data" / "busi")
    make_mrnet(tmp_path / "data" / "mrnet", {"0001": "no", "0002": "yes"})
    mine = make_table(tmp_path / "data" / "mine")
    mine.write_text(mine.read_text().replace("benign", "healthy").replace("malignant", "ill"))
    monkeypatch.chdir(tmp_path)
    notes = check_datasets(section)
    assert notes == [
        "busi: 4 images: benign 2, malignant 2",
        "busi_normal: 6 images: benign 2, malignant 2, normal 2",
        f"busi_normal: {BENIGN_NORMAL}",
        "busi_three: 6 images: benign 2, malignant 2, normal 2",
        "mrnet: 4 images: no 2, yes 2",
        "mine: 6 images: healthy 3, ill 3",
    ]


@pytest.fixture(scope="module")
def default():
    """Section ``radiology`` of the default config, with defaults filled in."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    check_config(config)
    return config["radiology"]


def changed(section, change):
    """Merge a change into a section as Snakemake merges configs."""
    section = copy.deepcopy(section)
    for key, value in change.items():
        section[key] = changed(section[key], value) if isinstance(value, dict) and key in section else value
    return section


def test_grids_of_the_default_study_need_its_datasets_and_those_that_weights_are_trained_on(default):
    assert check_grids(default) == ["lesions", "slices", "textures", "shapes"]
    assert check_grids(changed(default, {"use": ["leakage"]})) == ["lesions", "slices"]
    assert check_grids(changed(default, {"use": ["best"]})) == ["lesions", "slices", "textures"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"use": ["gone"]}, "radiology.grids has no grid 'gone'; it has main, leakage, best"),
        (
            {"grids": {"main": {"splits": 9}}},
            "radiology.grids.main.splits: found 9, but radiology.splits.count draws 5",
        ),
        (
            {"grids": {"best": {"settings": {"backbone": "ResNet18"}}}},
            "radiology.grids.best: backbone 'ResNet18' is not known. "
            "Known: small, dense_small, shallow, ResNet50, DenseNet121.",
        ),
        (
            {"weights": {"random": {"kind": "files", "files": {"small": "gone.pt", "dense_small": "gone.pt"}}}},
            "radiology.weights.random.files.small: 'gone.pt' does not exist",
        ),
        ({"weights": {"textures": {"dataset": "gone"}}}, "radiology.weights.textures.dataset: 'gone' is not a dataset"),
        ({"grouping": {"copy": 0.5}}, "radiology.grouping.copy: found 0.5, below correlation (0.86)"),
        ({"datasets": {"slices": {"grouping": {"copy": 0.3}}}}, "radiology.datasets.slices.grouping.copy: found 0.3"),
        ({"grouping": {"embedding": "textures/gone"}}, "radiology.grouping.embedding: 'textures/gone' is not"),
        (
            {"grids": {"main": {"factors": {"heads": ["Linear"]}}}},
            "radiology.grids.main: 'heads' is no setting of a cell",
        ),
    ],
)
def test_faults_of_grids_are_named(default, change, said):
    with pytest.raises(StudyError) as refused:
        check_grids(changed(default, change))
    assert said in str(refused.value)
