"""Spreadsheets: planted values come back, what joins of tables leave is undone, and real ones are read."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.imaging.stats.sheets import some_people, write_sheet
from workflow_scripts.lib.imaging.stats.lists import feature_list
from workflow_scripts.lib.imaging.stats.structures import DESTRIEUX, DK, DKT
from workflow_scripts.lib.imaging.stats.tables import list_subjects, read_tables

REAL = Path(__file__).resolve().parents[3] / "../shared/reference/tables"


def write(path, header, *rows):
    path.write_text("\n".join(",".join(map(str, row)) for row in (header, *rows)) + "\n")
    return [str(path)]


def test_planted_values_come_back_whatever_the_columns_are_called(tmp_path):
    planted = write_sheet(tmp_path / "sheet.csv", some_people(12))
    table = read_tables([str(tmp_path / "sheet.csv")])
    pd.testing.assert_frame_equal(table[planted.columns], planted, check_names=False)
    assert table[feature_list("destrieux")].notna().all(axis=None)


def test_versions_of_a_name_are_one_feature_where_each_row_has_one(tmp_path):
    header = ["id", "Left-Thalamus", "Left-Thalamus-Proper", "lh_S_oc_sup&transversal_thickness"]
    header += ["lh_S_oc_sup_and_transversal_thickness", "lh_Destrieux_G_rectus_thickness"]
    rows = [("a", 7000.5, 0, 2.25, 0, 2.5), ("b", 0, 6900.1, "", 2.125, 2.4), ("c", 0, 0, 0, 0, 0)]
    table = read_tables(write(tmp_path / "t.csv", header, *rows))
    assert table["Left-Thalamus"].tolist()[:2] == [7000.5, 6900.1]
    assert table["lh_Destrieux_S_oc_sup_and_transversal_thickness"].tolist()[:2] == [2.25, 2.125]
    assert table["lh_Destrieux_G_rectus_thickness"].tolist()[:2] == [2.5, 2.4]
    assert table.loc["c"].isna().all()


def test_a_zero_is_missing_only_where_it_cannot_be_a_measurement(tmp_path):
    header = ["id", "lh_bankssts_thickness", "WM-hypointensities", "Left-WM-hypointensities", "eTIV"]
    table = read_tables(write(tmp_path / "t.csv", header, ("a", 0, 0, 0, 0), ("b", 2.5, 100, 0, 1.5e6)))
    assert np.isnan(table.loc["a", ["lh_bankssts_thickness", "icv"]].astype(float)).all()
    assert table["WM-hypointensities"].tolist() == [0, 100]  # no lesion is a finding
    assert table["Left-WM-hypointensities"].isna().all()  # nobody was measured


@pytest.mark.parametrize(("regions", "prefix"), [(DK, ""), (DKT, "DKT_")])
def test_the_regions_tell_the_atlas(regions, prefix, tmp_path):
    header = ["id", *(f"lh_{region}_thickness" for region in regions)]
    table = read_tables(write(tmp_path / "t.csv", header, ("a", *[2.5] * len(regions))))
    assert list(table.columns) == [f"lh_{prefix}{region}_thickness" for region in regions]


def test_a_scan_that_stands_twice_counts_once(tmp_path, caplog):
    people = some_people(5)
    people = pd.concat([people, people.iloc[[1]].assign(age=33)])
    planted = write_sheet(tmp_path / "sheet.csv", people)
    assert list_subjects([str(tmp_path / "sheet.csv")]) == list(planted.index)
    assert "1 of 6 rows repeat a scan" in caplog.text


def test_a_spreadsheet_stands_beside_a_table_of_the_tools(tmp_path):
    paths = write(tmp_path / "a.csv", ["id", "lh_bankssts_thickness"], ("a", 2.5), ("b", 2.75))
    paths += write(tmp_path / "b.csv", ["Measure:volume", "Left-Caudate"], ("b", 3000), ("c", 3100))
    table = read_tables(paths)
    assert table.loc["b"].tolist() == [2.75, 3000]
    assert table.isna().sum().tolist() == [1, 1]


@pytest.mark.skipif(not REAL.exists(), reason="no real tables beside the project")
def test_the_real_table_of_destrieux_thickness(tmp_path):
    (tmp_path / "t.csv").write_bytes(gzip.decompress((REAL / "openneuro6_fs_destrieux.csv.gz").read_bytes()))
    table = read_tables([str(tmp_path / "t.csv")])
    raw = pd.read_csv(tmp_path / "t.csv").drop_duplicates("sub_id").set_index("sub_id")
    assert len(table) == len(raw) == 518
    names = feature_list("destrieux")
    assert len(names) == 2 * len(DESTRIEUX) + 36 == 184
    # the file's columns that are no whole-brain measure and no other name of one, in the file's order
    thick = raw.loc[:, [c for c in raw if c.endswith("_thickness") and "Mean" not in c and raw[c].any()]]
    ours = table[feature_list("destrieux_thickness")]
    assert thick.shape == ours.shape
    np.testing.assert_array_equal(np.sort(ours.fillna(0).sum()), np.sort(thick.sum()))
    assert ours.isna().to_numpy().sum() == 1 and (thick == 0).to_numpy().sum() == 1
    np.testing.assert_array_equal(table["Left-Hippocampus"], raw["Left-Hippocampus"])
    np.testing.assert_array_equal(table["icv"], raw["EstimatedTotalIntraCranialVol"])


@pytest.mark.skipif(not REAL.exists(), reason="no real tables beside the project")
def test_the_real_table_of_desikan_killiany_thickness(tmp_path):
    (tmp_path / "t.csv").write_bytes(gzip.decompress((REAL / "ixi_fs_dk_thickness.csv.gz").read_bytes()))
    table = read_tables([str(tmp_path / "t.csv")])
    raw = pd.read_csv(tmp_path / "t.csv").set_index("participant_id")
    names = feature_list("thickness")
    assert set(table.columns) == {*names, "icv"} and len(table) == 576
    np.testing.assert_array_equal(table[names], raw[names])
