"""One study of six kinds of input: what is missing is run, what is there is read, and what is broken is named."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.imaging.stats.dialects import write_subject
from tests.workflow import mixed

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
KINDS = {"population": 9, "ours": 5, "years": 5, "fast": 3, "old": 5, "stripped": 3}


@pytest.fixture(scope="module")
def done(tmp_path_factory, run_snakemake, small):
    folder = tmp_path_factory.mktemp("mixed")
    config = mixed.write_study(folder, small)
    run_snakemake(folder, "--configfile", config)
    return folder, config


def read(folder, name, **more):
    return pd.read_csv(folder / "results" / name, sep="\t", **more)


def test_every_scan_wanted_is_listed_found_or_not(done):
    scans = read(done[0], "cohort/scans.tsv").set_index("scan_id")
    assert scans["cohort"].value_counts().to_dict() == KINDS
    assert sorted(scans.index[~scans["found"]]) == ["fs05_1", "old5_1"]
    assert scans.loc["sub-01_a", "age"] == 55
    ignored = read(done[0], "cohort/ignored.tsv").set_index("input")["reason"].to_dict()
    assert ignored["years"] == "a template that comes with the tool"
    assert "another run" in ignored["ours"]


def test_the_broken_are_named_with_their_stage(done):
    excluded = read(done[0], "qc/excluded.tsv").set_index("scan_id")
    assert excluded["stage"].to_dict() == {"sub-04_1": "preprocess", "fs05_1": "cohort", "old5_1": "cohort"}
    assert "truncated" in excluded.loc["sub-04_1", "reason"]
    assert "recon-all.error" in excluded.loc["fs05_1", "reason"]


def test_the_features_are_those_of_the_files(done, tmp_path):
    features = read(done[0], "features/features.tsv").set_index("scan_id")
    assert features.shape == (27, 38)  # participant, ICV and 36 volumes
    _, planted = write_subject(tmp_path / "fs02", "freesurfer-7.4", 1)
    for name, value in planted.features.items():
        if name in features:
            assert features.loc["fs02_1", name] == pytest.approx(value, rel=1e-9)
    made = read(done[0], "features/provenance.tsv").set_index("scan_id")
    assert made.loc["fs04_1"].tolist() == ["FreeSurfer", "6.0"]
    assert made.loc["fast02_1"].tolist() == ["FastSurfer", "2.4.2"]
    units = read(done[0], "features/assignment.tsv")
    assert set(units["unit"]) == {"mm3"} and units["feature"].nunique() == 36


def test_a_cohort_of_mixed_versions_is_reported(done):
    tools = read(done[0], "qc/tools.tsv")
    assert tools[tools["cohort"] == "years"]["version"].tolist() == ["7.4.1", "6.0"]
    qc = read(done[0], "qc/scans.tsv").set_index("scan_id")
    assert "mixed_tools" in qc.loc["fs04_1", "flags"]


def test_scans_without_a_volume_give_features_alone(done):
    qc = read(done[0], "qc/scans.tsv").set_index("scan_id")
    assert qc.loc["fs03_1", ["included", "volume"]].tolist() == [True, False]
    stored = pd.concat([read(done[0], f"patches/extract_patches/{batch}/scans.tsv") for batch in ("000", "001", "002")])
    assert set(stored["scan_id"]) == set(qc.index[qc["included"] & qc["volume"]])
    assert len(stored) == 22


def test_patches_of_every_source_state_one_contract_and_one_intensity(done):
    folder = done[0] / "results/patches/extract_patches"
    contracts = [json.loads((shard / "contract.json").read_text()) for shard in sorted(folder.iterdir())]
    assert all(contract == contracts[0] for contract in contracts)
    assert contracts[0]["orientation"] == "RAS" and contracts[0]["spacing_mm"] == 4
    for shard in folder.iterdir():
        scale = read(done[0], f"patches/extract_patches/{shard.name}/scans.tsv")["scale"].to_numpy()
        stack = np.load(shard / "parietal_L.npy") * scale[:, None, None, None]
        bright = np.quantile(stack.reshape(len(stack), -1), 0.95, axis=1)
        assert ((bright > 85) & (bright < 140)).all(), bright


def test_the_page_holds_every_scan(done):
    page = done[0] / "results/qc/page"
    text = (page / "data.js").read_text()
    assert all(f'"{scan}"' in text for scan in read(done[0], "cohort/scans.tsv")["scan_id"])
    assert len(list((page / "pictures").iterdir())) == 22


def times(folder, pattern):
    return {path: path.stat().st_mtime_ns for path in folder.glob(pattern)}


def test_added_scans_run_alone(done, run_snakemake):
    """A new subject folder and a new row: one more batch, and no finished scan is made again."""
    folder, config = done
    stage = folder / "results/preprocess"
    before, kept = times(stage, "preprocess_scans/*.tsv"), times(stage, "kept/*/record.json")
    write_subject(folder / "data/fastsurfer/fast04", "fastsurfer-full-2.4", 90)
    with open(folder / "data/fastsurfer.tsv", "a") as table:
        table.write("fast04\t70\tF\tCN\n")
    run_snakemake(folder, "--configfile", config)
    after = times(stage, "preprocess_scans/*.tsv")
    assert {path: after[path] for path in before} == before
    assert {path.name for path in after} - {path.name for path in before} == {"003.tsv"}
    made = times(stage, "kept/*/record.json")
    assert [path.parent.name for path in made if made[path] != kept.get(path)] == ["fast04_1"]
    assert "fast04_1" in set(read(folder, "features/features.tsv")["scan_id"])


def test_decisions_by_hand_are_followed(done, run_snakemake, tmp_path):
    folder, config = done
    decisions = tmp_path / "decisions.tsv"
    decisions.write_text("scan_id\tdecision\treason\nstrip2_1\texclude\tring in the frontal lobe\n")
    more = tmp_path / "more.yaml"
    more.write_text(f"qc: {{overrides: {decisions}}}\n")
    run_snakemake(folder, "--configfile", config, more, "--until", "collect_qc")
    excluded = read(folder, "qc/excluded.tsv").set_index("scan_id")
    assert excluded.loc["strip2_1"].tolist() == ["override", "excluded by hand: ring in the frontal lobe"]
