import math

import pandas as pd
import pytest

from tests.imaging.stats.exported import PARCELLATIONS, write_tables
from workflow_scripts.lib.imaging.stats.lists import feature_list
from workflow_scripts.lib.imaging.stats.tables import list_subjects, read_tables
from workflow_scripts.lib.study.errors import StudyError

PEOPLE = ["sub-01", "sub-02_1.long.sub-02", "/data/subjects/003"]


def check(found, planted):
    assert set(found.columns) == set(planted.columns)
    pd.testing.assert_frame_equal(found[planted.columns], planted, check_exact=True)


@pytest.mark.parametrize("separator", ["\t", ",", ";", " ", "   "])
@pytest.mark.parametrize("transpose", [False, True])
def test_every_layout_gives_what_was_planted(tmp_path, separator, transpose):
    paths, planted = write_tables(tmp_path, PEOPLE, 1, separator, transpose, measures=("thickness", "volume"))
    assert list_subjects(paths) == PEOPLE
    check(read_tables(paths), planted)
    assert set(feature_list("published")) | set(feature_list("volumes")) | {"icv"} <= set(planted.columns)


@pytest.mark.parametrize("parcellation", PARCELLATIONS)
def test_the_first_cell_tells_the_atlas(tmp_path, parcellation):
    paths, planted = write_tables(tmp_path, PEOPLE, 2, parcellation=parcellation, measures=("thickness", "volume"))
    check(read_tables(paths), planted)
    assert ("lh_insula_volume" in planted) == (parcellation == "aparc")
    assert ("lh_DKT_insula_volume" in planted) == (parcellation != "aparc")


def test_the_thalamus_has_its_newer_name(tmp_path):
    paths, planted = write_tables(tmp_path, PEOPLE, 3, proper=True)
    assert "Left-Thalamus-Proper" in (tmp_path / "aseg.tsv").read_text()
    check(read_tables(paths), planted)


def test_people_of_one_table_only_have_gaps(tmp_path):
    first, one = write_tables(tmp_path / "a", ["p1", "p2"], 4, aseg=False)
    second, two = write_tables(tmp_path / "b", ["p2x", "p1"], 5, measures=())
    two.loc["p1", "icv"] = one.loc["p1", "icv"]
    path = tmp_path / "b" / "aseg.tsv"
    frame = pd.read_csv(path, sep="\t", dtype=str)
    frame["EstimatedTotalIntraCranialVol"] = [f"{value:.6f}" for value in two["icv"]]
    frame.to_csv(path, sep="\t", index=False)
    found = read_tables([*first, *second])
    assert list(found.index) == list_subjects([*first, *second]) == ["p1", "p2", "p2x"]
    assert found.loc["p2x", one.columns.drop("icv")].isna().all()
    assert found.loc["p2", two.columns.drop("icv")].isna().all()
    assert found["icv"].tolist() == [one.loc["p1", "icv"], one.loc["p2", "icv"], two.loc["p2x", "icv"]]


def test_an_empty_cell_is_missing_and_zero_is_zero(tmp_path):
    path = tmp_path / "aseg.csv"
    path.write_text("Measure:volume,CSF,Left-vessel,Left-Caudate\na,,0.0,3500.5\nb,NA,12.5,nan\n")
    found = read_tables([path])
    assert found["CSF"].isna().all()
    assert found["Left-vessel"].tolist() == [0.0, 12.5]
    assert found.loc["a", "Left-Caudate"] == 3500.5 and math.isnan(found.loc["b", "Left-Caudate"])


def test_what_another_table_repeats_alike_is_no_fault(tmp_path):
    paths, planted = write_tables(tmp_path, PEOPLE, 6)
    check(read_tables([*paths, paths[0]]), planted)


def test_spreadsheets_may_add_a_mark_quotes_and_final_separators(tmp_path):
    path = tmp_path / "aseg.csv"
    path.write_bytes(b'\xef\xbb\xbf"Measure:volume","CSF",\r\n"a, the first",1000.5,\r\n"b",2000,\r\n\r\n')
    assert read_tables([path])["CSF"].to_dict() == {"a, the first": 1000.5, "b": 2000.0}


def test_cortical_labels_of_a_segmentation(tmp_path):
    names = [name.replace("DKT_", "ctx-").replace("_volume", "") for name in feature_list("dkt_volumes")[:62]]
    labels = [f"ctx-{name[:2]}-{name[7:]}" for name in names]
    path = tmp_path / "segmentation.tsv"
    path.write_text("\t".join(["Measure:volume", "CSF", *labels]) + "\n" + "\t".join(["a"] + ["77.125"] * 63) + "\n")
    assert set(read_tables([path]).columns) == {"CSF", *feature_list("dkt_volumes")[:62]}
    more = [f"ctx-{side}-{region}" for side in ("lh", "rh") for region in ("bankssts", "frontalpole", "temporalpole")]
    path.write_text("\t".join(["Measure:volume", *labels, *more]) + "\n" + "\t".join(["a"] + ["77.125"] * 68) + "\n")
    assert set(read_tables([path]).columns) == set(feature_list("volumes")[:68])


def test_no_table_is_a_fault():
    with pytest.raises(StudyError, match="no table is named"):
        read_tables([])
