"""The benchmark of genetics runs at a tiny size and feeds the plan."""

import shutil

import numpy as np
import pytest

from tests.benchmarks import genetics as benchmark
from workflow_scripts.lib.genetics import plan


@pytest.fixture(scope="module")
def table():
    if not shutil.which("plink2"):
        pytest.skip("plink2 is not installed (apt-get install plink2)")
    sizes = "--people 120 --variants 30 --related 80 --markers 300 --matrix 60 --rounds 1"
    return benchmark.main(sizes.split())


def test_every_noted_cost_is_measured(table):
    assert set(table["cost"]) == {*benchmark.NOTED, *benchmark.NEW}
    assert np.isfinite(table.set_index("cost")["ratio"].drop(benchmark.NEW)).all()
    assert (table["measured"] > 0).all()


def test_measured_costs_make_a_plan(table):
    found = plan.plan(30_000, 10_000_000, 3, costs=benchmark.own_costs(table))
    assert (found["cpu_hours"] > 0).all()


def test_the_docs_are_replaced_between_their_markers(tmp_path, monkeypatch):
    for name in ("costs", "plan"):
        assert f"<!-- {name}: made by tests/benchmarks/genetics.py -->" in benchmark.DOCS.read_text()
    copy = tmp_path / "scale.md"
    copy.write_text(benchmark.DOCS.read_text())
    monkeypatch.setattr(benchmark, "DOCS", copy)
    benchmark.write_docs("COSTS\n", "PLAN\n")
    text = copy.read_text()
    assert "-->\nCOSTS\n<!--" in text
    assert "-->\nPLAN\n<!--" in text


def test_a_command_that_fails_says_why():
    with pytest.raises(RuntimeError, match="no such thing"):
        benchmark.measured(["bash", "-c", "echo no such thing; exit 3"])
