"""The 2D arm finds its truth: copies, what they add to a score, and where a network looks; also on real ultrasound."""

from pathlib import Path

import pandas as pd
import pytest

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
BUSI = ROOT.parent / "shared" / "reference" / "busi"


# pairs that the published list of duplicates has not, each looked at: copies, or frames of one sweep over one lesion
SAME = [
    ("benign_094", "benign_114", "benign_116", "benign_119", "benign_122"),
    ("benign_213", "benign_253"),
    ("benign_221", "benign_246"),
    ("benign_224", "benign_304"),
    ("malignant_065", "malignant_066"),
    ("malignant_120", "malignant_122"),
    ("malignant_128", "malignant_129"),
]


def read(folder, name):
    path = folder / "results" / name
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, sep="\t", na_values=["n/a"])


def pairs_of(groups):
    """List the pairs of images that share a group."""
    joined = groups.merge(groups, on="group")
    joined = joined[joined["image_id_x"] < joined["image_id_y"]]
    return set(zip(joined["image_id_x"], joined["image_id_y"], strict=True))


# --- the small study -----------------------------------------------------------------------------------------------
def test_every_planted_copy_is_found_and_nothing_else_is_joined(study):
    truth = read(study, "phantom/truth/images_lesions.tsv")
    groups = read(study, "radiology/group_images/lesions/groups.tsv")
    used = truth[truth["image_id"].isin(groups["image_id"])]
    copies = used.dropna(subset=["original"])
    place = groups.set_index("image_id")["group"]
    found = place[copies["image_id"]].to_numpy() == place[copies["original"]].to_numpy()
    assert found.mean() > 0.98, copies[~found]
    assert set(copies["change"]) == {"exact", "resized", "gain", "calipers", "mirrored", "cropped"}
    # copies of one image, and images of one patient, belong together; anything else is a false pair
    source = used["original"].fillna(used["image_id"])
    patient = used.set_index("image_id")["patient_id"]
    root = pd.Series(patient[source].to_numpy(), used["image_id"])
    wrong = [pair for pair in pairs_of(groups) if root[pair[0]] != root[pair[1]]]
    assert not wrong


def test_copies_under_both_labels_are_listed_and_dropped(study):
    truth = read(study, "phantom/truth/images_lesions.tsv").set_index("image_id")
    conflicts = read(study, "radiology/group_images/lesions/conflicts.tsv")
    planted = truth.index[truth["conflict"]]
    assert set(planted) <= set(conflicts["image_id"])
    splits = read(study, "radiology/draw_splits/lesions.tsv")
    assert not set(planted) & set(splits["image_id"])


@pytest.mark.parametrize("dataset", ["lesions", "slices", "textures"])
def test_no_group_stands_in_two_sets(study, dataset):
    splits = read(study, f"radiology/draw_splits/{dataset}.tsv")
    by_groups = splits[splits["grouping"] == "groups"]
    assert (by_groups.groupby(["split", "group"])["set"].nunique() == 1).all()
    assert set(splits["grouping"]) == {"groups", "images"}


def test_slices_are_grouped_by_their_exam(study):
    groups = read(study, "radiology/group_images/slices/groups.tsv")
    exam = groups["image_id"].str.split("_").str[0]
    assert (groups.groupby("group")["image_id"].count() > 1).any()
    assert (exam.groupby(groups["group"]).nunique() == 1).all()


def test_copies_raise_the_auc_when_groups_are_ignored_and_not_otherwise(study):
    found = read(study, "radiology/compare_grid/leakage/grouping.tsv")
    row = found[found["split"].isna() & (found["cell"] == "all")].set_index("dataset").loc["lesions"]
    assert row["leaks"] > 0.5
    assert row["lower"] > 0
    # the planted ceiling of honest scores: half of the drawn labels are wrong
    assert row["auc_groups"] < 0.75
    scores = read(study, "radiology/collect_grid/leakage/fits.tsv")
    assert (scores.loc[scores["grouping"] == "groups", "leaks"] == 0).all()


def test_the_network_looks_at_the_planted_cue(study):
    summary = read(study, "radiology/explain_grid/best/summary.tsv")
    rows = summary[(summary["subset"] == "all") & (summary["explained"] == "predicted")]
    lower = rows.pivot_table(index="cell", columns="quantity", values="lower")
    trained = lower[lower.index.str.contains("unfreezeall")]
    assert len(trained) and (trained[["energy_over_random", "energy_over_others"]] > 0).all(axis=None)


def test_tables_of_statistics_and_the_page_are_there(study):
    contrasts = read(study, "radiology/compare_grid/main/contrasts.tsv")
    assert contrasts["p_both"].between(0, 1).all()
    assert len(read(study, "radiology/compare_grid/main/tests.tsv"))
    page = (study / "results/radiology/radiology_page/report.html").read_text()
    assert "Duplicates and groups" in page and "http://" not in page and "https://" not in page


def test_the_plan_speaks_before_anything_is_trained(study, run_snakemake, small):
    done = run_snakemake(study, "plan_radiology", "--configfile", small)
    text = done.stdout + done.stderr
    assert "main" in text and "cells" in text


# --- real breast ultrasound ----------------------------------------------------------------------------------------
CONFIG = """\
stages: [radiology]
cohort: {{inputs: []}}
radiology:
  use: [busi]
  size: 128
  datasets:
    busi:
      kind: busi
      path: {path}
      classes: {{benign: 0, malignant: 1}}
      drop: [normal]
      grouping: {{correlation: 0.4}}
  grids:
    busi:
      factors: {{grouping: [groups, images]}}
      settings: {{dataset: busi, weights: random, backbone: small, head: NonLinear, batch_norm: adapted, epochs: 4}}
      splits: 2
      keep_weights: true
  statistics: {{n_bootstrap: 200}}
  explain: {{steps: 3, draws: 2, images: 12, examples: 1}}
"""


@pytest.fixture(scope="module")
def busi(tmp_path_factory, run_snakemake):
    if not BUSI.is_dir():
        pytest.skip("the real ultrasound images are not on this machine")
    folder = tmp_path_factory.mktemp("busi")
    (folder / "busi.yaml").write_text(CONFIG.format(path=BUSI))
    run_snakemake(folder, "--configfile", folder / "busi.yaml")
    return folder


def test_groups_of_real_images_agree_with_those_known(busi):
    known = pd.read_csv(BUSI / "manifest.csv")
    known = known.assign(image_id=known["file"].map(lambda path: Path(path).stem), group=known["dup_group"])
    groups = read(busi, "radiology/group_images/busi/groups.tsv")
    known = known[known["image_id"].isin(groups["image_id"])]
    assert len(known) == len(groups) == 270
    found, expected = pairs_of(groups[["image_id", "group"]]), pairs_of(known[["image_id", "group"]])
    assert len(found & expected) / len(expected) >= 0.97
    assert len(found & expected) / len(found) >= 0.8
    same = {(a, b) for group in SAME for a in group for b in group}
    assert not found - expected - same


def test_a_small_run_on_real_images_ends_with_maps_and_a_page(busi):
    fits = read(busi, "radiology/collect_grid/busi/fits.tsv")
    assert len(fits) == 4 and fits["test_auc"].between(0, 1).all()
    measures = read(busi, "radiology/explain_grid/busi/measures.tsv")
    assert measures["energy"].between(0, 1).any()
    for name in ("duplicate_pairs", "gradcam_panels", "grouping_inflation"):
        assert (busi / "results" / "figures" / f"{name}.png").stat().st_size > 5000
    assert (busi / "results/radiology/radiology_page/report.html").exists()
