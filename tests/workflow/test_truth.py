"""The embedded study with all people of its default size finds what was planted."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def planted(tmp_path_factory, run_snakemake):
    """Source data of the figure of planted truth, and the folder of the default study."""
    folder = tmp_path_factory.mktemp("default")
    # nothing is claimed of learned representations, barely trained at this size: their training is left out; so are
    # most second visits, heads, which are dear, and the real head, which has a test of its own
    less = "phantom: {population: {second_visits: 4}, clinical: {second_visits: 0}, heads: 2, real_scans: []}\n"
    (folder / "less.yaml").write_text(less + "brainage: {representations: [features]}\n")
    targets = ["results/figures/planted_truth.png", "results/figures/manhattan.png"]
    run_snakemake(folder, *targets, "--configfile", ROOT / "config.yaml", folder / "less.yaml")
    return pd.read_csv(folder / "results/figures/planted_truth.csv"), folder / "results"


def correlation(table, check, group):
    rows = table[(table["check"] == check) & (table["group"] == group)]
    return np.corrcoef(rows["planted"], rows["measured"])[0, 1]


def test_regional_volumes_follow_planted_atrophy(planted):
    table, _ = planted
    assert correlation(table, "volume", "Hippocampus") > 0.9
    assert correlation(table, "atrophy", "Hippocampus") > 0.8
    assert correlation(table, "atrophy", "Lateral ventricle") > 0.9


def test_registration_undoes_every_pose(planted):
    table, results = planted
    pose = table[table["check"] == "pose"]
    scans = pd.read_csv(results / "phantom/truth/scans.tsv", sep="\t")
    assert set(pose["item"]) == set(scans.loc[scans["fault"].isna(), "scan_id"])  # all but the broken ones
    assert pose["planted"].min() > 4  # no scan was in place by chance
    assert pose["measured"].max() < 2


def test_combat_takes_the_sites_away(planted):
    table, _ = planted
    site = table[table["check"] == "site"].groupby("group")[["planted", "measured"]].mean()
    chance = site.loc["before ComBat", "planted"]
    assert site.loc["before ComBat", "measured"] > chance + 0.2
    assert site.loc["after ComBat", "measured"] < chance + 0.12


def test_brain_age_gaps_follow_planted_ones(planted):
    table, _ = planted
    assert correlation(table, "gap", "features") > 0.5


def test_the_strongest_locus_is_the_top_hit(planted):
    _, results = planted
    loci = pd.read_csv(results / "phantom/truth/loci.tsv", sep="\t")
    strongest = loci.loc[loci["share"].idxmax()]
    tests = pd.read_csv(results / "genetics/merge_gwas/features.tsv.gz", sep="\t")
    top = tests.loc[tests["p"].idxmin()]
    assert str(top["chrom"]) == str(strongest["chrom"])
    assert abs(top["pos"] - strongest["pos"]) < 100_000
