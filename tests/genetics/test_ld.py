"""Matching of results with a panel of linkage, and r2 from it."""

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.genetics import bed, ld, tools
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study.errors import StudyError


def variants(rows):
    return pd.DataFrame(rows, columns=["id", "pos", "ref", "alt"])


def test_variants_are_matched_by_place_and_alleles_in_either_order_then_by_id():
    results = variants([("rs1", 10, "A", "G"), ("rs2", 20, "C", "T"), ("rs3", 30, "A", "AT"), ("rs4", 40, "A", "C")])
    panel = variants(
        [
            ("1:10:G:A", 10, "G", "A"),  # another id, alleles the other way round
            ("rs2", 20, "G", "A"),  # the other strand: known by its id
            ("rs3", 30, "A", "G"),  # another variant of this place that has the id
            ("x", 30, "AT", "A"),
            ("y", 40, "A", "G"),  # another allele
        ]
    )
    assert ld.match(panel, results, "panel")["match"].tolist()[:2] == ["rs1", "rs2"]
    assert ld.match(panel, results, "panel")["match"].isna().tolist() == [False, False, True, False, True]


def test_panel_of_another_build_is_refused():
    results = variants([(f"rs{i}", 1000 + i, "A", "G") for i in range(10)])
    with pytest.raises(StudyError, match=r"rs0 at 51000 instead of 1000.*genetics: build"):
        ld.match(results.assign(pos=results["pos"] + 50_000), results, "panel")


@pytest.fixture(scope="module")
def panel_study(tmp_path_factory):
    """200 people, chromosome 5, 30 variants 20 kb apart in blocks of 10; variant 12 is the same in everybody."""
    random = np.random.default_rng(1)
    calls = np.repeat(random.integers(0, 3, (3, 200)), 10, axis=0)
    calls = np.where(random.random(calls.shape) < 0.2, random.integers(0, 3, calls.shape), calls).astype(np.int8)
    calls[12] = 0
    calls[3, :5] = -1
    table = pd.DataFrame({"chrom": "5", "id": [f"rs{i}" for i in range(30)], "cm": 0.0, "alt": "A", "ref": "G"})
    table["pos"] = 100_000 + 20_000 * np.arange(30)
    samples = pd.DataFrame({"participant_id": [f"{i:03d}" for i in range(200)], "sex": "F"})
    prefix = tmp_path_factory.mktemp("panel") / "panel"
    bed.write_bed(bed.Genotypes(samples, table, calls), prefix)
    return prefix, table, calls


def make(panel_study, folder, keep=None, window=300, near=5, variants=None):
    prefix, table, _ = panel_study
    return ld.make_panel(
        table if variants is None else variants, table.iloc[[near]], {"all": prefix}, keep, window, folder, Limits()
    )


def test_r2_is_the_correlation_of_calls_of_the_people_kept(plink, panel_study, tmp_path):
    prefix, _, calls = panel_study
    tools.write_ids(tools.read_samples(prefix).iloc[:120], tmp_path / "keep.txt")
    panel = make(panel_study, tmp_path, tmp_path / "keep.txt")
    assert panel.people == 120
    pairs = panel.r2(["rs5", "rs9"])
    rows = pairs.assign(a=pairs["first"].str[2:].astype(int), b=pairs["id"].str[2:].astype(int))
    for row in rows[(rows["a"] != 3) & (rows["b"] != 3)].itertuples():
        assert row.r2 == pytest.approx(np.corrcoef(calls[row.a, :120], calls[row.b, :120])[0, 1] ** 2, abs=1e-5)
    # 300 kb of 20 kb steps: the window holds 15 to each side, of rs5 0 to 20, without the constant one
    assert set(pairs["id"][pairs["first"] == "rs5"]) == {f"rs{i}" for i in range(21)} - {"rs12"}
    assert "rs12" not in panel.known
    strong = panel.r2(["rs5"], 0.3)
    assert set(strong["id"]) == set(pairs["id"][(pairs["first"] == "rs5") & (pairs["r2"] >= 0.3)])


def test_few_people_are_said(plink, panel_study, tmp_path, caplog):
    prefix, _, _ = panel_study
    tools.write_ids(tools.read_samples(prefix).iloc[:60], tmp_path / "keep.txt")
    make(panel_study, tmp_path, tmp_path / "keep.txt")
    assert "r2 comes from 60 people only" in caplog.text


def test_panel_with_other_ids_answers_by_the_ids_of_the_results(plink, panel_study, tmp_path):
    _, table, calls = panel_study
    renamed = table.assign(id="5_" + table["pos"].astype(str), ref=table["alt"], alt=table["ref"])
    panel = make(panel_study, tmp_path, variants=renamed.drop(index=7))
    name = renamed["id"][5]
    pairs = panel.r2([name]).set_index("id")["r2"]
    assert pairs[renamed["id"][6]] == pytest.approx(np.corrcoef(calls[5], calls[6])[0, 1] ** 2, abs=1e-5)
    assert renamed["id"][7] not in pairs.index and "rs7" not in pairs.index


def test_panel_without_the_place_or_the_chromosome_is_refused(plink, panel_study, tmp_path):
    prefix, table, _ = panel_study
    elsewhere = table.assign(pos=table["pos"] + 90_000_000)
    with pytest.raises(StudyError, match=r"no variant within 300 kb .* genetics: build"):
        ld.make_panel(elsewhere, elsewhere.iloc[[5]], {"all": prefix}, None, 300, tmp_path, Limits())
    with pytest.raises(StudyError, match="chromosome 5 has significant variants but no fileset; there are 17"):
        ld.make_panel(table, table.iloc[[5]], {"17": prefix}, None, 300, tmp_path, Limits())


def test_reference_is_found_whole_or_by_chromosome(tmp_path):
    for name in ("panel.bed", "chr1.pgen", "chr17.bed"):
        (tmp_path / name).touch()
    assert ld.reference_parts(f"{tmp_path}/panel", ["1", "17"]) == {"all": tmp_path / "panel"}
    found = ld.reference_parts(f"{tmp_path}/chr{{chrom}}", ["1", "2", "17"])
    assert found == {"1": tmp_path / "chr1", "17": tmp_path / "chr17"}
    with pytest.raises(StudyError, match=r"found no .*nothing\.bed"):
        ld.reference_parts(f"{tmp_path}/nothing", ["1"])
