"""envs/open.yaml: a published spreadsheet, from people and features to harmonisation, probes, brain age and figures.

The real table is taken if it is beside the project, else one of the same format with planted effects.
"""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.imaging.stats.sheets import some_people, write_sheet

pytestmark = pytest.mark.workflow
ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT / "../shared/reference/tables/openneuro6_fs_destrieux.csv.gz"
SITES = ["ds000115", "ds003469", "ds003653", "ds003826"]
# fewer resamples and people than the config has: a minute is enough
QUICK = {
    "stages": ["features", "probe", "brainage", "figures"],
    "probe": {"n_resamples": 20, "n_test": 20},
    "brainage": {"folds": 5},
}


def write_table(path):
    """Write the table that the config names; say whether it is the real one."""
    path.parent.mkdir(parents=True)
    if REAL.exists():
        path.write_bytes(gzip.decompress(REAL.read_bytes()))
        return True
    people = some_people(240)
    people["site"] = np.resize(SITES, len(people))
    write_sheet(path, pd.concat([people, people.iloc[[0]].assign(age=21)]))
    return False


@pytest.fixture(scope="module")
def done(tmp_path_factory, run_snakemake):
    folder = tmp_path_factory.mktemp("open")
    real = write_table(folder / "data/open/openneuro.csv")
    (folder / "quick.yaml").write_text(yaml.safe_dump(QUICK))
    run_snakemake(folder, "--configfile", ROOT / "envs/open.yaml", folder / "quick.yaml", timeout=1200)
    return folder, real


def read(folder, name):
    return pd.read_csv(folder / "results" / name, sep="\t")


def test_who_cannot_be_told_apart_is_left_out_with_the_reason(done):
    folder, real = done
    ignored, scans = read(folder, "cohort/ignored.tsv"), read(folder, "cohort/scans.tsv")
    assert len(ignored) == (28 if real else 1) and ignored["reason"].str.contains("disagree about age").all()
    assert len(scans) == (490 if real else 239)
    train, test = (set(scans.loc[scans["split"] == side, "participant_id"]) for side in ("train", "test"))
    assert not train & test and len(train) > len(test) > 50


def test_harmonisation_takes_out_what_sites_leave(done):
    sites = read(done[0], "features/sites.tsv").set_index("features")
    assert sites.loc["measured", "accuracy"] > 0.85
    assert sites.loc["harmonised", "accuracy"] < sites.loc["measured", "accuracy"] - 0.3
    combat = json.loads((done[0] / "results/features/combat.json").read_text())
    assert set(SITES) <= set(combat["batches"])


def test_age_and_sex_are_found_in_people_outside_training(done):
    folder, real = done
    gaps = read(folder, "brainage/metrics.tsv").set_index(["representation", "sample"])
    assert set(gaps.index.get_level_values(0)) == {"features", "thickness", "volumes", "as_measured"}
    summary = read(folder, "probe/compare_probes/summary.tsv").set_index(["task", "representation", "metric"])["mean"]
    assert gaps.loc[("features", "test"), "r"] > 0.6
    assert summary["age_all", "features", "r2_pool"] > 0.3 and summary["sex", "features", "auc"] > 0.7
    assert summary["site", "as_measured", "auc"] > summary["site", "features", "auc"]
    if real:
        # ridge, ten-fold on the 490 people and these 184 features by scikit-learn alone: 4.98 years, r 0.862
        assert gaps.loc[("features", "test"), "mae"] == pytest.approx(5.6, abs=0.7)
        assert gaps.loc[("features", "test"), "r"] == pytest.approx(0.86, abs=0.04)


def test_figures_are_there(done):
    for name in ("biomarker_bars", "permutation_sensitivity", "brainage_scatter", "gap_correlation"):
        assert (done[0] / f"results/figures/{name}.png").stat().st_size > 10_000


@pytest.mark.parametrize("name", ["open", "open_ixi"])
def test_without_the_table_the_message_says_where_it_comes_from(name, run_snakemake, tmp_path):
    told = run_snakemake(tmp_path, "--configfile", ROOT / f"envs/{name}.yaml", check=False)
    message = told.stdout + told.stderr
    assert told.returncode != 0 and "does not exist" in message and ".docs/open_data.md has the command" in message
