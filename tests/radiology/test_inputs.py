"""Tables and folders of 2D images as users have them: what is read, what is refused, and in which words."""

import re

import numpy as np
import pandas as pd
import pytest

from tests.radiology.image_files import (
    OPTIONS,
    edit,
    make_busi,
    make_mrnet,
    make_table,
    save,
    table_entry,
    write,
)
from workflow_scripts.lib.radiology.index import index_images
from workflow_scripts.lib.radiology.inputs import hash_state, list_images
from workflow_scripts.lib.radiology.labels import BENIGN_NORMAL, read_label_map
from workflow_scripts.lib.study.errors import LeakageError, StudyError


def listed(entry):
    return list_images("mine", entry).images


def refused(entry, message, error=StudyError):
    with pytest.raises(error, match=re.escape(message)):
        list_images("mine", entry)


# --- tables ---------------------------------------------------------------------------------------------------------


def test_a_table_is_read_with_whatever_is_known_of_its_images(tmp_path):
    more = {"patient_id": list("aabbcc"), "exam_id": list("uuvvww"), "slice": [1, 2] * 3, "set": "train"}
    images = listed(table_entry(make_table(tmp_path, **more)))
    assert images["image_id"].tolist() == [f"im{key}" for key in range(6)]
    assert images["y"].tolist() == [0, 1] * 3
    assert images["patient_id"].tolist() == list("aabbcc")
    assert images["slice"].tolist() == [1, 2] * 3
    assert images["split_given"].tolist() == ["train"] * 6
    assert [len(masks) for masks in images["masks"]] == [0, 1] * 3
    assert images["path"].map(lambda path: path.is_file()).all()


def test_columns_that_are_not_given_are_none(tmp_path):
    images = listed(table_entry(make_table(tmp_path)))
    assert images[["patient_id", "exam_id", "slice", "split_given"]].isna().all(axis=None)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_ends_of_lines_and_a_byte_order_mark_do_not_matter(tmp_path, separator):
    path = make_table(tmp_path)
    text = path.read_text().replace("\t", separator).replace("\n", "\r\n") + "\r\n"
    (tmp_path / "other.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    pd.testing.assert_frame_equal(listed(table_entry(tmp_path / "other.csv")), listed(table_entry(path)))


def test_a_number_as_id_stays_text(tmp_path):
    path = edit(make_table(tmp_path, patient_id="007"), 0, "image_id", "0012")
    images = listed(table_entry(path))
    assert images["image_id"].iloc[0] == "0012"
    assert set(images["patient_id"]) == {"007"}


CELLS = [
    ("label", "n/a", "line 4, column 'label': found nothing, expected text, not an empty cell"),
    (
        "label",
        "unclear",
        "label 'unclear' is neither in classes nor in drop of radiology.datasets.mine. Labels found: ",
    ),
    ("image_id", "im0", "image_id 'im0' stands on lines 2, 4; it must name one row"),
    ("image_id", "im 2", "line 4, column 'image_id': found 'im 2', expected text of the form"),
    ("path", "none.png", "line 4, column 'path': 'none.png' is not a file (1 of 6 pictures are missing)"),
    ("mask", "none.png", "line 4, column 'mask': 'none.png' is not a file (1 of 4 masks are missing)"),
    ("set", "valid", "line 4, column 'set': found 'valid', expected one of train, validation, test"),
    ("slice", "top", "line 4, column 'slice': found 'top', expected a whole number"),
    ("patient_id", "a/b", "line 4, column 'patient_id': found 'a/b', expected text of the form"),
    ("age", "50", "unknown column 'age'. Known: image_id, path, label"),
]


@pytest.mark.parametrize(("column", "value", "message"), CELLS, ids=[f"{cell[0]}-{cell[1]}" for cell in CELLS])
def test_a_wrong_cell_is_named(tmp_path, column, value, message):
    refused(table_entry(edit(make_table(tmp_path), 2, column, value)), message)


def test_a_table_that_is_none_is_refused(tmp_path):
    refused(table_entry(tmp_path / "none.tsv"), "none.tsv: no such file. Correct the path.")
    refused(table_entry(tmp_path), "is a folder, expected a table (kind table)")
    (tmp_path / "empty.tsv").write_text("image_id\tpath\tlabel\n")
    refused(table_entry(tmp_path / "empty.tsv"), "empty.tsv: found no row below the header")
    (tmp_path / "latin.tsv").write_bytes("image_id\tpath\tlabel\na\tb\tgut\xe4rtig\n".encode("latin-1"))
    refused(table_entry(tmp_path / "latin.tsv"), "latin.tsv: not a table in UTF-8")
    write(tmp_path / "short.tsv", pd.DataFrame({"image_id": ["a"], "path": ["a.png"]}))
    refused(table_entry(tmp_path / "short.tsv"), "short.tsv: column 'label' is missing")


@pytest.mark.parametrize("column", ["patient_id", "exam_id"])
def test_a_group_in_two_sets_is_leakage(tmp_path, column):
    table = make_table(tmp_path, set=["train", "train", "test", "test", "train", "test"], **{column: list("aabbcc")})
    what = column.removesuffix("_id")
    refused(table_entry(table), f"column 'set': {what} c is in test and in train (1 such in all)", LeakageError)


def test_groups_within_sets_and_images_that_config_drops_are_no_leakage(tmp_path):
    path = make_table(tmp_path, set=["train"] * 3 + ["test"] * 3, patient_id=list("aaabbb"))
    assert len(listed(table_entry(path))) == 6
    path = edit(edit(path, 5, "patient_id", "a"), 5, "label", "normal")
    assert listed(table_entry(path, drop=["normal"]))["y"].isna().sum() == 1


def test_one_class_only_is_refused(tmp_path):
    path = edit(edit(edit(make_table(tmp_path), 1, "label", "benign"), 3, "label", "benign"), 5, "label", "benign")
    refused(table_entry(path), "found images of class 0 only, expected every class 0 to 1")


def test_the_order_of_rows_does_not_matter(tmp_path):
    path = make_table(tmp_path, patient_id=list("aabbcc"))
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    first = index_images("mine", table_entry(path), OPTIONS)
    for seed in range(3):
        write(path, table.sample(frac=1, random_state=seed))
        again = index_images("mine", table_entry(path), OPTIONS)
        pd.testing.assert_frame_equal(again.images, first.images)
        assert again.pixels.tobytes() == first.pixels.tobytes()
        assert again.masks.tobytes() == first.masks.tobytes()


# --- label maps -----------------------------------------------------------------------------------------------------


def test_three_classes_two_classes_and_the_published_map(tmp_path):
    entry = make_busi(tmp_path)
    assert listed(entry)["y"].value_counts(dropna=False).to_dict() == {0: 2, 1: 2, None: 2}
    three = entry | {"classes": {"normal": 0, "benign": 1, "malignant": 2}, "drop": []}
    assert listed(three)["y"].value_counts().to_dict() == {0: 2, 1: 2, 2: 2}
    seed = entry | {"classes": {"normal": 0, "benign": 0, "malignant": 1}, "drop": []}
    assert listed(seed)["y"].value_counts().to_dict() == {0: 4, 1: 2}
    assert list_images("mine", seed).notes == [BENIGN_NORMAL]
    assert list_images("mine", three).notes == list_images("mine", entry).notes == []
    counts = index_images("mine", seed, OPTIONS).counts.set_index("label")
    assert counts.loc["normal", "note"] == BENIGN_NORMAL


def test_the_highest_class_is_positive_unless_config_says_otherwise():
    classes = {"normal": 0, "benign": 1, "malignant": 2}
    assert read_label_map("mine", {"classes": classes}).positive == 2
    assert read_label_map("mine", {"classes": classes, "positive": 0}).positive == 0
    assert read_label_map("mine", {"classes": classes}).count == 3


MAPS = [
    ({"classes": {"a": 0, "b": 2}}, "classes: found class numbers 0, 2; expected 0, 1, .. without a gap"),
    ({"classes": {"a": 1, "b": 2}}, "classes: found class numbers 1, 2; expected 0, 1, .. without a gap"),
    ({"classes": {"a": 0, "b": 0}}, "classes: found class numbers 0; expected 0, 1, .. without a gap, at least two"),
    ({}, "classes: found class numbers none"),
    ({"classes": {"a": 0, "b": 1}, "positive": 2}, "positive: found 2, expected one of 0, 1 (a class number)"),
    ({"classes": {"a": 0, "b": 1}, "drop": ["a"]}, "label 'a' stands in classes and in drop"),
    ({"classes": {False: 0, True: 1}}, "found the label False; YAML reads an unquoted no as False"),
]


@pytest.mark.parametrize(("entry", "message"), MAPS, ids=[message[:40] for _, message in MAPS])
def test_a_wrong_label_map_is_refused(entry, message):
    with pytest.raises(StudyError, match=re.escape(message)):
        read_label_map("mine", entry)


def test_a_label_of_the_map_that_nobody_has_is_told(tmp_path):
    entry = table_entry(make_table(tmp_path), classes={"benign": 0, "cyst": 0, "malignant": 1})
    assert "label 'cyst' is in classes, but no image has it" in list_images("mine", entry).notes


def test_an_unknown_kind_is_refused(tmp_path):
    refused({"kind": "dicom", "path": "x", "classes": {"a": 0, "b": 1}}, "kind: found 'dicom', expected one of table")


# --- BUSI -----------------------------------------------------------------------------------------------------------


def test_busi_as_published_names_ids_and_joins_masks(tmp_path):
    index = index_images("busi", make_busi(tmp_path), OPTIONS | {"size": 24})
    assert index.images["image_id"].tolist() == ["benign_1", "benign_2", "malignant_1", "malignant_2"]
    assert index.images["has_mask"].all()
    assert index.masks[0].sum() > index.masks[1].sum()  # the second lesion
    assert index.dropped["reason"].tolist() == ["label normal: drop in config"] * 2
    assert (index.images["coloured"] == 0).all()  # equal channels
    assert index.pixels.shape == (4, 1, 24, 24)


def test_busi_normal_images_have_an_empty_mask_which_means_none(tmp_path):
    entry = make_busi(tmp_path) | {"classes": {"normal": 0, "benign": 1, "malignant": 2}, "drop": []}
    images = index_images("busi", entry, OPTIONS).images.set_index("label")
    assert not images.loc["normal", "has_mask"].any()
    assert images.loc["benign", "has_mask"].all()
    save(tmp_path / "benign" / "benign (2)_mask.png", np.zeros((24, 20), np.uint8))
    dropped = index_images("busi", entry, OPTIONS).dropped
    assert dropped.values.tolist() == [
        [
            "benign_2",
            "benign/benign (2).png",
            "mask: empty; leave it out where there is no lesion",
        ]
    ]


def test_busi_masks_beside_and_their_manifest(tmp_path):
    entry = make_busi(tmp_path)
    for mask in list(tmp_path.glob("*/*_mask*.png")):
        target = tmp_path / "masks" / mask.parent.name / mask.name.replace("_mask", "").replace(")_1", ")")
        target.parent.mkdir(parents=True, exist_ok=True)
        mask.rename(target)
    images = listed(entry)
    assert [len(masks) for masks in images["masks"]] == [1] * 6
    rows = pd.DataFrame({"file": images["file"], "label": images["label"]})
    write(tmp_path / "manifest.csv", rows)
    pd.testing.assert_frame_equal(listed(entry), images)
    write(tmp_path / "manifest.csv", rows.iloc[1:])
    refused(entry, "manifest.csv: has no row of benign/benign (1).png. Add it, or remove the manifest")
    write(tmp_path / "manifest.csv", rows.assign(label="benign"))
    refused(entry, "line 4: found label 'benign' for 'malignant/malignant (1).png', whose folder says 'malignant'")
    write(tmp_path / "manifest.csv", rows)
    (tmp_path / "malignant" / "malignant (2).png").unlink()
    refused(entry, "'malignant/malignant (2).png' is not a file")


def test_a_busi_mask_without_its_image_is_set_aside(tmp_path):
    entry = make_busi(tmp_path)
    (tmp_path / "benign" / "benign (2).png").unlink()
    dropped = index_images("busi", entry, OPTIONS).dropped.set_index("image_id")
    assert dropped.loc["benign_2_mask", "reason"] == (
        "a mask without its image, which would be benign/benign (2).png. Add the image or remove the mask."
    )


def test_busi_folders_that_are_none(tmp_path):
    (tmp_path / "cats").mkdir()
    entry = {"kind": "busi", "path": str(tmp_path), "classes": {"benign": 0, "malignant": 1}}
    refused(entry, "holds none of the folders benign, malignant, normal (folders found: cats)")
    refused(entry | {"path": str(tmp_path / "none")}, "none: no such folder. Correct the path")
    make_busi(tmp_path)
    save(tmp_path / "benign" / "benign_1.png", np.eye(30, dtype=np.uint8))
    refused(entry, "'benign/benign (1).png' and 'benign/benign_1.png' both make the id benign_1")


# --- MRNet ----------------------------------------------------------------------------------------------------------


def test_mrnet_slices_know_exam_and_slice_and_repeated_rows_count_once(tmp_path):
    images = listed(make_mrnet(tmp_path, {"0011": "no", "0012": "yes", "1200": "no"}))
    assert images["exam_id"].tolist() == ["0011", "0011", "0012", "0012", "1200", "1200"]
    assert images["slice"].tolist() == [10, 9] * 3
    assert images["image_id"].iloc[0] == "0011_sagittal_10"
    assert images["y"].tolist() == [0, 0, 1, 1, 0, 0]
    assert images[["patient_id", "split_given"]].isna().all(axis=None)


def test_mrnet_labels_by_exam_survive_a_spreadsheet_that_eats_zeros(tmp_path):
    entry = make_mrnet(tmp_path, {"0011": "no", "0012": "yes", "0013": "no"})
    by_file = listed(entry)
    for file in (tmp_path / "dataframe").iterdir():
        file.unlink()
    write(tmp_path / "labels.csv", pd.DataFrame({"exam_id": ["11", "12", "13", "99"], "acl_label": list("nyny")}))
    entry = entry | {"classes": {"n": 0, "y": 1}}
    pd.testing.assert_frame_equal(listed(entry).drop(columns="label"), by_file.drop(columns="label"))
    assert list_images("mine", entry).notes == ["exams in the tables without a picture in images/: 99"]


def test_mrnet_contradictions_are_refused(tmp_path):
    entry = make_mrnet(tmp_path, {"0011": "no", "0012": "yes"})
    other, name = tmp_path / "dataframe" / "val_fold1.csv", "images/0011_sagittal_9.000000.png"
    write(other, pd.DataFrame({"filename": [name], "acl_label": ["yes"]}))
    refused(entry, f"line 2: found 'yes' for '{name}', but 'no' in")
    for file in (tmp_path / "dataframe").glob("t*.csv"):
        write(file, pd.DataFrame({"filename": [name.replace("_9.", "_10.")], "acl_label": ["no"]}))
    refused(entry, "exam 0011 has slices with label 'no' (0011_sagittal_10) and 'yes' (0011_sagittal_9)")
    write(other, pd.DataFrame({"filename": ["images/none_1.png"], "acl_label": ["yes"]}))
    refused(entry, "images/none_1.png: no such file, but a table of labels names it")
    save(tmp_path / "images" / "knee.png", np.eye(30, dtype=np.uint8))
    write(other, pd.DataFrame({"filename": ["images/knee.png"], "acl_label": ["yes"]}))
    refused(entry, "knee.png: its name has no exam number as the first field")
    write(other, pd.DataFrame({"filename": [name], "acl_label": ["no"], "meniscus_label": ["no"]}))
    refused(entry, "expected filename or exam_id, and one column label or *_label")
    write(other, pd.DataFrame({"filename": [name], "acl_label": [None]}))
    refused(entry, "line 2, column 'acl_label': found an empty cell")


# --- changes --------------------------------------------------------------------------------------------------------


def test_the_state_changes_with_a_picture_and_not_with_the_clock(tmp_path):
    entry = make_busi(tmp_path)
    before = hash_state("mine", entry)
    assert hash_state("mine", entry) == before
    save(tmp_path / "benign" / "benign (2)_mask.png", np.eye(24, 20, dtype=np.uint8) * 255)
    assert hash_state("mine", entry) != before
    assert hash_state("mine", entry | {"path": str(tmp_path / "none")}) == hash_state("other", {"classes": {}})
