"""Results of single scans: used again when nothing changed, and only then."""

import os

from workflow_scripts.lib.study.keep import Keep, file_state


def store(keep, key="k"):
    (keep.start("p1_1") / "brain.nii.gz").write_bytes(b"brain")
    keep.write("p1_1", key, {"icv": 0.1 + 0.2}, ("brain.nii.gz",))


def test_a_result_comes_back_exactly_under_its_own_key(tmp_path):
    keep = Keep(tmp_path / "kept", "code", {"spacing_mm": 1})
    assert keep.read("p1_1", "k") is None
    store(keep)
    assert keep.read("p1_1", "k") == {"icv": 0.1 + 0.2}
    assert keep.read("p1_1", "other") is None
    assert keep.read("p2_1", "k") is None


def test_a_lost_file_or_a_broken_record_is_made_again(tmp_path):
    keep = Keep(tmp_path)
    store(keep)
    (tmp_path / "p1_1" / "brain.nii.gz").unlink()
    assert keep.read("p1_1", "k") is None
    store(keep)
    (tmp_path / "p1_1" / "record.json").write_text('{"key": "k", "rec')
    assert keep.read("p1_1", "k") is None


def test_the_key_follows_code_settings_and_parts(tmp_path):
    keys = {
        Keep(tmp_path, "code", {"a": 1, "b": 2}).key("scan", (3, 4)),
        Keep(tmp_path, "code2", {"a": 1, "b": 2}).key("scan", (3, 4)),
        Keep(tmp_path, "code", {"a": 1, "b": 3}).key("scan", (3, 4)),
        Keep(tmp_path, "code", {"a": 1, "b": 2}).key("scan", (3, 5)),
    }
    assert len(keys) == 4
    assert Keep(tmp_path, "code", {"b": 2, "a": 1}).key("scan", (3, 4)) in keys  # order of settings does not matter


def test_a_link_outlives_the_output_that_it_was_made_for(tmp_path):
    keep = Keep(tmp_path / "kept")
    store(keep)
    keep.link("p1_1", "brain.nii.gz", tmp_path / "out.nii.gz")
    assert os.path.samefile(tmp_path / "out.nii.gz", tmp_path / "kept/p1_1/brain.nii.gz")
    (tmp_path / "out.nii.gz").unlink()
    assert keep.read("p1_1", "k") is not None


def test_the_state_of_a_file_follows_its_content(tmp_path):
    path = tmp_path / "scan.nii"
    assert file_state(path) is None
    path.write_bytes(b"1")
    before = file_state(path)
    path.write_bytes(b"22")
    assert file_state(path) != before


def test_a_new_start_forgets_the_old_result_and_leaves_its_links_alone(tmp_path):
    keep = Keep(tmp_path / "kept")
    store(keep)
    keep.link("p1_1", "brain.nii.gz", tmp_path / "out.nii.gz")
    (keep.start("p1_1") / "brain.nii.gz").write_bytes(b"half of a new")
    assert keep.read("p1_1", "k") is None
    assert (tmp_path / "out.nii.gz").read_bytes() == b"brain"
