"""The scripts of the probe on files as the study has them, with a table of the user's that lacks scans."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.figures import comparison_forest
from workflow_scripts.lib.study import tables
from workflow_scripts.pretrain import embed_table
from workflow_scripts.probe import compare_ablations, compare_probes, probe_representation, report_comparisons

NAMES = ["features", "random", "mine"]
PROBE = {"n_resamples": 40, "n_test": 10, "test_fraction": 0.25, "stratify": True, "c": 0.1, "alpha": 10.0}
COMPARE = {"permutation": "paired", "p_rule": "add_one", "n_permutations": 200, "n_swaps": 200, "n_bootstrap": 100}
COMPARE |= {"level": 0.95, "continuous_metric": "r2_pool"}
TITLES = {"ill": {"title": "Ill <or> not"}, "age": {}}


class Files(dict):
    """Named files of a rule, by attribute or by name."""

    __getattr__ = dict.__getitem__


def run(module, given, made, **params):
    wildcards = SimpleNamespace(representation=params.pop("representation", None))
    rule = {"input": Files(given), "output": Files(made), "params": SimpleNamespace(**params)}
    module.main(SimpleNamespace(**rule, wildcards=wildcards, threads=1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """50 people, two with a second scan; the user's table lacks two people's scans, one of which is twice scanned."""
    folder, rng = tmp_path_factory.mktemp("study"), np.random.default_rng(0)
    people = [f"p{i:02}" for i in range(50) for _ in range(1 + (i < 2))]
    keys = pd.DataFrame({"scan_id": [f"{name}_{i}" for i, name in enumerate(people)], "participant_id": people})
    number = keys["participant_id"].str[1:].astype(int)
    labels = {"ill": ("binary", number % 2), "age": ("continuous", 60 + number / 2)}
    tasks = [keys.assign(task=name, kind=kind, y=y.astype(float)) for name, (kind, y) in labels.items()]
    tables.write_table(pd.concat(tasks), folder / "tasks.tsv", "tasks")
    tables.write_table(keys, folder / "included.tsv", "included")
    signal = np.column_stack([number % 2, number / 20])
    for name, strength in (("features", 1.0), ("random", 0.0), ("given", 1.5)):
        x = strength * signal @ rng.normal(size=(2, 6)) + rng.normal(size=(len(keys), 6))
        table = keys.join(pd.DataFrame(x, columns=list("abcdef")))
        if name == "given":
            table = table[~table["participant_id"].isin(["p01", "p07"])].sample(frac=1, random_state=0)
        tables.write_table(table, folder / f"{name}.tsv")
    included = folder / "included.tsv"
    run(embed_table, {"table": folder / "given.tsv", "included": included}, {"representation": folder / "mine.tsv"})
    for name in NAMES:
        given = {"representation": folder / f"{name}.tsv", "tasks": folder / "tasks.tsv", "included": included}
        probe = PROBE | {"min_participants": 4}
        run(
            probe_representation,
            given,
            {"scores": folder / f"{name}.parquet"},
            representation=name,
            probe=probe,
            seed=1,
        )
    given = {"scores": [folder / f"{name}.parquet" for name in NAMES], "tasks": folder / "tasks.tsv"}
    made = {name: folder / f"{name}.tsv" for name in ("resamples", "coverage", "summary", "comparisons", "sensitivity")}
    made |= {"heldout": folder / "heldout.parquet"}
    run(compare_probes, given, made, representations=NAMES, probe=COMPARE, seed=1)
    return folder


def test_a_table_that_lacks_scans_joins_every_comparison_and_its_cost_is_stated(folder):
    coverage = tables.read_table(folder / "coverage.tsv", "probe_coverage").set_index(["task", "representation"])
    for task in ("ill", "age"):
        mine = coverage.loc[task, "mine"]
        assert (mine["scans"], mine["participants"]) == (49, 48)
        assert (mine["shared_scans"], mine["shared_participants"], mine["gained_without"]) == (49, 48, 3)
        assert coverage.loc[task]["costs_most"].to_dict() == {"features": False, "random": False, "mine": True}
    comparisons = tables.read_table(folder / "comparisons.tsv", "comparisons")
    assert comparisons.groupby("task").size().to_dict() == {"age": 3, "ill": 3}
    assert set(comparisons["n_scans"]) == {49}
    assert set(comparisons["n_participants"]) == {48}
    heldout = tables.read_table(folder / "heldout.parquet", "probe_heldout")
    assert not set(heldout["participant_id"]) & {"p01", "p07"}
    assert (heldout.groupby(["task", "representation"]).size() == 49).all()
    sensitivity = tables.read_table(folder / "sensitivity.tsv", "probe_sensitivity")
    assert sorted(sensitivity["first"].unique()) == [10, 20, 40]


def test_ablations_are_compared_by_the_same_code(folder):
    given = {"scores": [folder / f"{name}.parquet" for name in NAMES], "tasks": folder / "tasks.tsv"}
    made = {name: folder / f"ablations_{name}.tsv" for name in ("summary", "comparisons", "coverage")}
    run(compare_ablations, given, made, representations=NAMES, probe=COMPARE, seed=1)
    for name in ("summary", "comparisons", "coverage"):
        assert (folder / f"ablations_{name}.tsv").read_bytes() == (folder / f"{name}.tsv").read_bytes()


def test_the_page_opens_offline_and_states_what_is_compared(folder):
    probe = COMPARE | {"reference": "features"}
    forest = {"png": str(folder / "forest.png")}
    run(comparison_forest, {"comparisons": folder / "comparisons.tsv"}, forest, tasks=TITLES, probe=probe)
    drawn = pd.read_csv(folder / "forest.csv")
    assert len(drawn) == 6  # all pairs, drawn or not
    given = {name: folder / f"{name}.tsv" for name in ("comparisons", "summary", "sensitivity", "coverage")}
    given |= {"heldout": folder / "heldout.parquet"}
    given |= dict.fromkeys(("forest", "by_resamples"), folder / "forest.png")
    run(report_comparisons, given, {"page": folder / "report.html"}, tasks=TITLES, probe=probe)
    page = (folder / "report.html").read_text()
    assert "Ill &lt;or&gt; not" in page
    assert "<or>" not in page
    assert "http" not in page
    assert page.count("data:image/png;base64,") == 2
    assert "49 scans of 48 people, those that all 3 representations have (the fullest has 52 scans)" in page
    assert "The most costly is mine: without it 3 more scans would be compared" in page
    assert "this pool of people" in page
    assert "fewer than 300 people" in page
    assert page.count("Regional features − mine") >= 2 * 4
