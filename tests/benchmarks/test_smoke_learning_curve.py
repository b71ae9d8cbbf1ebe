"""The benchmark of the learning curve runs; how fast is no test's business."""

import pytest

from tests.benchmarks import learning_curve


def test_fits_by_the_library_and_by_the_straightforward_loop(capsys):
    row = learning_curve.main(["--quick", "--device", "cpu"])
    assert row["fits"] == 1 and row["grid"] == (40, 48, 40)
    assert row["ratio"] == pytest.approx(row["straightforward"] / row["library"]) and row["cpu_ratio"] > 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_samples_are_disjoint_and_have_both_classes():
    table = learning_curve.draw([f"s{number}" for number in range(60)], 20, 2)
    for _, sample in table.groupby("repeat"):
        assert not sample["scan_id"].duplicated().any()
        assert sample["set"].value_counts().to_dict() == {"train": 20, "validation": 4, "test": 4}
        assert (sample.groupby("set")["y"].nunique() == 2).all()
