"""A reader sees a whole file or none."""

import pytest

from workflow_scripts.lib.study.files import atomic, read_json, write_json


def test_a_block_that_raises_leaves_nothing_behind(tmp_path):
    with pytest.raises(RuntimeError, match="disk"), atomic(tmp_path / "out" / "table.tsv") as path:
        path.write_text("half a tab")
        raise RuntimeError("disk full")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_block_that_raises_keeps_the_old_file(tmp_path):
    target = tmp_path / "table.tsv"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic(target) as path:
        path.write_text("new")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["table.tsv"]


def test_the_file_appears_only_when_the_block_is_done(tmp_path):
    target = tmp_path / "deep" / "volume.nii.gz"
    with atomic(target) as path:
        path.write_text("whole")
        assert not target.exists()
        assert path.parent == target.parent  # a rename across file systems is not atomic
        assert path.name.endswith(".nii.gz")
    assert target.read_text() == "whole"
    assert [file.name for file in target.parent.iterdir()] == ["volume.nii.gz"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic(tmp_path / "table.tsv"):
        pass


def test_json_round_trip_and_equal_bytes_for_equal_content(tmp_path):
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    write_json(first, {"b": [1, 2.5], "a": {"y": None, "x": "é"}})
    write_json(second, {"a": {"x": "é", "y": None}, "b": [1, 2.5]})
    assert first.read_bytes() == second.read_bytes()
    assert read_json(first) == {"a": {"x": "é", "y": None}, "b": [1, 2.5]}
