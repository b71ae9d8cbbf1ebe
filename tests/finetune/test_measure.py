from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from tests.finetune import small_fits
from workflow_scripts.finetune import fit_networks, measure_fit
from workflow_scripts.lib.finetune import measure, starts
from workflow_scripts.lib.study import tables

SMALL = {"objective": "multitask", "volume": "whole", "representation": 4, "width": 1, "spacing": 4}


def test_what_is_measured_fits_its_schema():
    options = small_fits.options(batch=2)
    row = measure.measure_fit(options, starts.untrained(**SMALL), 4, small_fits.CPU, steps=1)
    tables.check_table(pd.DataFrame([row]), "fit_costs", "costs")
    assert (row["device"], row["batch"], row["fits_at_once"]) == ("cpu", 2, 1)
    assert row["seconds_step"] > row["seconds_scan"] > 0 and row["megabytes"] > 0
    assert row["megabytes_scan"] == 40 * 48 * 40 / 1e6
    weights = sum(tensor.nbytes for tensor in starts.untrained(**SMALL).make(0.0).state_dict().values())
    assert row["megabytes_checkpoint"] == pytest.approx(4 * weights / 1e6)


@pytest.mark.slow
def test_measured_together(tmp_path):
    row = measure.measure_fit(small_fits.options(batch=2), starts.untrained(**SMALL), 4, small_fits.CPU, 2, steps=2)
    assert row["fits_at_once"] == 2 and row["seconds_step"] > 0


def test_the_script_measures_each_model(tmp_path):
    fit = {**small_fits.SECTION, "batch": 2}
    params = SimpleNamespace(networks={"sfcn_random": SMALL}, fit=fit, seed=1)
    output = SimpleNamespace(costs=tmp_path / "fit_costs.tsv")
    measure_fit.main(SimpleNamespace(params=params, output=output))
    assert tables.read_table(output.costs, "fit_costs")["model"].tolist() == ["sfcn_random"]


class Files(SimpleNamespace):
    """Stands for the inputs of a rule."""

    def get(self, name):
        return getattr(self, name, None)


@pytest.mark.parametrize("kind", ["random", "volume", "patches"])
def test_the_script_finds_where_fits_start(tmp_path, kind):
    files = small_fits.write_weights(tmp_path, patches=kind == "patches")
    if kind == "patches":  # as the chunks of pretrain_patches leave them
        for number, patch in enumerate(small_fits.PATCHES):
            folder = tmp_path / f"{number // 9:02d}"
            folder.mkdir(exist_ok=True)
            for suffix in (".safetensors", ".json"):
                files[patch].with_suffix(suffix).rename(folder / f"{patch}{suffix}")
    weights = {"random": [], "volume": [files["whole"]], "patches": [tmp_path / "00", tmp_path / "01", files["image"]]}
    params = SimpleNamespace(network={**SMALL, "volume": None if kind == "patches" else "whole"})
    start = fit_networks.begin(Files(weights=[str(file) for file in weights[kind]]), params)
    assert start.pretrained == (kind != "random")
    assert len(start.arrays) == (18 if kind == "patches" else 1)


def test_the_script_fits_its_chunk_and_clears_up(tmp_path, monkeypatch):
    table = small_fits.samples([0, 1, 2])
    tables.write_table(table, tmp_path / "samples.parquet", "curve_samples")
    monkeypatch.setattr(fit_networks, "begin", lambda *_: small_fits.random_start())
    output = SimpleNamespace(fits=tmp_path / "a.fits.tsv", scores=tmp_path / "a.parquet")
    fit = {**small_fits.SECTION, "epochs": 1, "dropout": [0.0]}
    same = {"seed": 1, "code": "abc", "repeats_per_job": 2, "fit": fit, "checkpoints": str(tmp_path / "checkpoints")}
    snakemake = SimpleNamespace(
        input=Files(samples=tmp_path / "samples.parquet", shards=small_fits.write_store(tmp_path / "store")),
        output=output,
        params=SimpleNamespace(**same, network=SMALL),
        wildcards=SimpleNamespace(model="sfcn_random", task="ad_cn", n="8", chunk="01"),
    )
    fit_networks.main(snakemake)
    assert tables.read_table(output.fits, "curve_fits")["repeat"].tolist() == [2]
    assert set(tables.read_table(output.scores, "curve_scores")["repeat"]) == {2}
    assert not (tmp_path / "checkpoints").exists()
    assert torch.get_num_threads() == 1
