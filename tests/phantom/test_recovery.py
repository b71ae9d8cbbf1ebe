import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.phantom import recovery


def planted_and_features(site_shift):
    random = np.random.default_rng(3)
    count = 120
    sites = np.resize(["a", "b"], count)
    people = [f"sub-{'pop' if place < 80 else 'cli'}{place:04d}" for place in range(count)]
    scans = pd.DataFrame({"scan_id": [f"{one}_1" for one in people], "participant_id": people})
    values = random.standard_normal((count, 5)) + site_shift * (sites == "b")[:, None]
    features = scans.assign(icv=1.5e6, **{f"f{place}": values[:, place] for place in range(5)})
    return scans[["scan_id"]].assign(site=sites), features


def test_a_site_effect_is_seen_where_it_is_and_not_where_it_is_not():
    planted, raw = planted_and_features(3.0)
    _, clean = planted_and_features(0.0)
    accuracy = recovery.sites(planted, raw, clean).groupby("group")["measured"].mean()
    assert accuracy["before ComBat"] > 0.95
    assert 0.25 < accuracy["after ComBat"] < 0.75
    assert len(recovery.sites(planted, raw, clean)) == 2 * 40  # the clinical cohort alone


def test_the_pose_error_of_a_perfect_registration_is_nothing():
    pose = {
        f"pose_{axis}": value
        for axis, value in zip(recovery.BRAIN_AXES, [1, 0, 0, 5, 0, 1, 0, 0, 0, 0, 1, 0], strict=True)
    }
    planted = pd.DataFrame([{"scan_id": "x_1", **pose}])
    found = {name.replace("pose", "transform"): value for name, value in pose.items()}
    found["transform_13"] = 1.5  # 1.5 mm too far to the front
    table = recovery.poses(planted, pd.DataFrame([{"scan_id": "x_1", "overlap": 0.9, **found}]))
    assert table["planted"].item() == pytest.approx(5)
    assert table["measured"].item() == pytest.approx(1.5)


def test_a_locus_counts_by_its_best_neighbour():
    loci = pd.DataFrame({"locus": ["MAPT", "background"], "chrom": [17, 3], "pos": [1_000_000, 5], "share": [0.5, 0.1]})
    tests = pd.DataFrame(
        {"chrom": [17, 17, 17, 3], "pos": [1_000_000, 1_090_000, 1_200_000, 5], "p": [1e-3, 1e-6, 1e-9, 1e-12]}
    )
    table = recovery.loci(loci, {"features": tests})
    assert table["item"].tolist() == ["MAPT"]
    assert table["measured"].tolist() == pytest.approx([6])


def test_the_summary_is_what_numpy_gives():
    random = np.random.default_rng(1)
    table = pd.DataFrame({"check": "gap", "group": "features", "item": range(30)})
    table["planted"], table["measured"] = random.standard_normal((2, 30))
    row = recovery.summarise(pd.concat([table, table.assign(group="flat", planted=1.0)])).set_index("group")
    assert row.loc["features", "r"] == pytest.approx(np.corrcoef(table["planted"], table["measured"])[0, 1])
    assert np.isnan(row.loc["flat", "r"])
    assert row.loc["features", "measured_max"] == table["measured"].max()
