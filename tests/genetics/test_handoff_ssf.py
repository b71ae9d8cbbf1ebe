"""Files in the format of the GWAS Catalog: the standard's rules, and the Catalog's own validator."""

import gzip
import hashlib

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from tests.genetics.handoff_tables import ABOUT, make_results
from workflow_scripts.lib.genetics import tools
from workflow_scripts.lib.genetics.handoff import ssf, validate

ORDER = ["chromosome", "base_pair_location", "effect_allele", "other_allele", "beta", "standard_error"]
ORDER += ["effect_allele_frequency", "p_value", "rsid", "variant_id", "ref_allele", "n"]


def read(path):
    """Read strictly: what stands there, as text."""
    with gzip.open(path, "rt", newline="") as stream:
        lines = stream.read().split("\n")
    assert lines.pop() == "" and "\r" not in "".join(lines)
    header, *rows = [line.split("\t") for line in lines]
    assert {len(row) for row in rows} == {len(header)}
    return pd.DataFrame(rows, columns=header)


def write(table, tmp_path, **about):
    path = tmp_path / "rnce.tsv.gz"
    ssf.write(table, path, "rnce", ABOUT | about)
    return path


def test_columns_stand_in_the_standards_order_and_rows_by_place(tmp_path):
    found = read(write(make_results(), tmp_path))
    assert list(found) == ORDER
    places = list(zip(found["chromosome"].astype(int), found["base_pair_location"].astype(int), strict=True))
    assert places == sorted(places) and found["chromosome"].iloc[0] == "1" and len(found) == 220


def test_every_variant_keeps_its_values(tmp_path):
    table = make_results()
    found = read(write(table, tmp_path)).set_index("rsid").loc[table["id"]].reset_index()
    assert (found["effect_allele"] == table["a1"]).all() and (found["other_allele"] == table["ref"]).all()
    for name, column in {"beta": "beta", "standard_error": "se", "p_value": "p"}.items():
        assert found[name].astype(float).to_numpy() == pytest.approx(table[column].to_numpy(), rel=1e-9)
    assert (found["ref_allele"] == "OA").all() and (found["n"] == "300").all()
    expected = table["chrom"] + "_" + table["pos"].astype(str) + "_" + table["ref"] + "_" + table["alt"]
    assert found["variant_id"].tolist() == expected.tolist()


def test_an_effect_counted_for_ref_names_the_other_allele_truly(tmp_path):
    table = make_results(22)
    found = read(write(table.assign(a1=table["ref"]), tmp_path)).set_index("rsid").loc[table["id"]]
    assert found["effect_allele"].tolist() == table["ref"].tolist()
    assert found["other_allele"].tolist() == table["alt"].tolist()
    assert (found["ref_allele"] == "EA").all()


def test_x_is_23_and_what_the_standard_cannot_say_is_counted(tmp_path):
    table = make_results(44)
    table.loc[0, "chrom"], table.loc[1, "alt"], table.loc[2, "p"] = "X", "<DEL>", np.nan
    table.loc[1, "a1"], table.loc[3, "id"], table.loc[4, "chrom"] = "<DEL>", "17:5:A:C", "HLA_1"
    frame, dropped = ssf.to_ssf(table)
    assert dropped == {"other chromosomes": 1, "statistics missing": 1, "alleles not written in A, C, G, T": 1}
    assert len(frame) == 41 and (frame["chromosome"] == 23).sum() == 1
    found = read(write(table, tmp_path))
    assert (found["rsid"] == "#NA").sum() == 1 and found["rsid"].str.fullmatch(r"rs\d+|#NA").all()


def test_without_a_single_rsid_there_is_no_such_column():
    frame, _ = ssf.to_ssf(make_results().assign(id="a name"))
    assert "rsid" not in frame and list(frame) == [name for name in ORDER if name != "rsid"]


def test_a_p_too_small_for_a_number_turns_the_column_into_logarithms():
    table = make_results(44)
    logs = -np.log10(table["p"])
    table.loc[5, ["beta", "se", "p"]], logs[5] = [6.0, 0.1, 1e-307], 779.5
    frame, _ = ssf.to_ssf(table.assign(neg_log10_p=logs))
    assert "p_value" not in frame and list(frame)[7] == "neg_log_10_p_value"
    assert frame.set_index("rsid")["neg_log_10_p_value"].loc[table["id"]].tolist() == logs.tolist()


def test_without_logarithms_a_vanished_p_is_that_of_a_normal_z():
    table = make_results(44)
    table.loc[5, ["beta", "se", "p"]] = [5.0, 0.1, 0.0]
    logged = ssf.to_ssf(table)[0].set_index("rsid")["neg_log_10_p_value"].loc[table["id"]].to_numpy()
    rest = np.delete(np.arange(44), 5)
    assert logged[rest] == pytest.approx(-np.log10(table["p"].to_numpy()[rest]))
    assert logged[5] == pytest.approx(-(np.log(2) + stats.norm.logsf(50.0)) / np.log(10))


def test_metadata_name_file_sum_build_and_people(tmp_path):
    path = write(make_results(), tmp_path)
    about = yaml.safe_load(path.with_name("rnce.tsv.gz-meta.yaml").read_text())
    assert about["data_file_name"] == "rnce.tsv.gz" and about["genome_assembly"] == "GRCh37"
    assert about["data_file_md5sum"] == hashlib.md5(path.read_bytes()).hexdigest()
    assert about["coordinate_system"] == "1-based" and str(about["date_metadata_last_modified"]) == "2024-02-29"
    assert about["samples"][0]["sample_size"] == 300 and about["samples"][0]["sample_ancestry_category"] == ["European"]
    assert about["trait_description"] == ["Brain age gap: R-NCE, years"]
    assert about["adjusted_covariates"] == ["age", "sex", "PC1"] and about["analysis_software"] == "PLINK 2"
    assert "imputation_panel" not in about


def test_equal_results_give_equal_bytes(tmp_path):
    first = write(make_results(), tmp_path).read_bytes()
    assert write(make_results().sample(frac=1, random_state=9), tmp_path).read_bytes() == first


def test_without_the_validator_the_table_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(tools, "_candidates", lambda name: [])
    found = validate.check_all({"rnce": (write(make_results(), tmp_path), 220)}).iloc[0]
    assert (found["valid"], found["validator"], found["enough_rows"]) == ("not checked", "none", False)
    assert "gwas-sumstats-tools" in found["message"]


def test_the_python_of_a_program_is_beside_it_or_in_its_first_line(tmp_path):
    program = tmp_path / "gwas-ssf"
    program.write_text("#!/opt/some/python3\nimport this\n")
    assert str(validate.interpreter(program)) == "/opt/some/python3"
    (tmp_path / "python").touch()
    assert validate.interpreter(program) == tmp_path / "python"


@pytest.fixture(scope="module")
def validator():
    if not tools.available("gwas-ssf"):
        pytest.skip("the GWAS Catalog's validator is not installed (envs/tools)")
    return tools.find("gwas-ssf")


def spoil(path, **columns):
    table = read(path)
    with gzip.open(path, "wt", newline="\n") as stream:
        table.assign(**columns)[list(table)].to_csv(stream, sep="\t", index=False)


def test_the_validator_accepts_our_files(tmp_path, validator):
    table = make_results()
    table.loc[0, "id"], table.loc[1, "chrom"] = "17:1:A:C", "X"
    path = write(table, tmp_path)
    found = validate.check_all({"rnce": (path, 220)}).iloc[0]
    assert found["valid"] == "yes", found["message"]
    assert found["message"] == "Data table is valid. Metadata are valid." and found["validator"].endswith("1.0.25")
    table.loc[5, ["beta", "se", "p"]] = [50.0, 0.1, 0.0]
    assert validate.check(write(table, tmp_path), 220, validator)[0]


def test_the_validator_finds_faults(tmp_path, validator):
    path = write(make_results(), tmp_path)
    spoil(path, effect_allele="Q")
    sidecar = path.with_name("rnce.tsv.gz-meta.yaml")
    sidecar.write_text(sidecar.read_text().replace("genome_assembly", "assembly"))
    valid, message = validate.check(path, 220, validator)
    assert not valid and "effect_allele: Must be nucleotide sequence (found Q)" in message
    assert "metadata" in message and "genome_assembly" in message
