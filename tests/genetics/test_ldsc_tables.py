import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workflow_scripts.lib.genetics.ldsc import tables
from workflow_scripts.lib.study.tables import check_table

H2 = """
Reading summary statistics from t0.sumstats.gz ...
After merging with reference panel LD, 251002 SNPs remain.
After merging with regression SNP LD, 250001 SNPs remain.
Using two-step estimator with cutoff at 30.
Total Observed scale h2: {h2} (0.0953)
Lambda GC: 1.3713
Mean Chi^2: {mean}
Intercept: {intercept} (0.0231)
{ratio}
Analysis finished
"""
RG = """
Genetic Correlation
-------------------
Genetic Correlation: {shown}

Summary of Genetic Correlation Results
              p1               p2     rg     se       z       p  h2_obs  h2_obs_se  h2_int  h2_int_se  gcov_int  gcov_int_se
t0.sumstats.gz t1.sumstats.gz {row}

Analysis finished
"""  # noqa: E501


def h2_text(h2="0.548", mean="1.41", intercept="0.9413", ratio="Ratio < 0 (usually indicates GC correction)."):
    return H2.format(h2=h2, mean=mean, intercept=intercept, ratio=ratio)


def test_heritability_is_read_with_its_interval_and_ratio():
    row = tables.heritability_row("rnce", 2351, 9, h2_text(intercept="1.0413", ratio="Ratio: 0.1007 (0.0563)"))
    assert (row["trait"], row["people"], row["variants"]) == ("rnce", 2351, 250_001)
    assert (row["h2"], row["se"], row["lambda_gc"], row["mean_chi2"]) == (0.548, 0.0953, 1.3713, 1.41)
    assert [row["lower"], row["upper"]] == pytest.approx([0.548 - 1.959964 * 0.0953, 0.548 + 1.959964 * 0.0953])
    assert row["p"] == pytest.approx(2 * stats.norm.sf(0.548 / 0.0953))
    assert [row["ratio"], row["ratio_se"]] == pytest.approx([0.1007, 0.0563], abs=5e-5)  # as LDSC prints it
    assert row["note"] == ""
    check_table(pd.DataFrame([row]), "ldsc_heritability", "table")


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"h2": "-0.0123"}, "h2 below 0"),
        ({"h2": "1.21"}, "h2 above 1"),
        ({"mean": "1.011"}, "mean chi2 below 1.02"),
        ({"mean": "0.9824", "ratio": "Ratio: NA (mean chi^2 < 1)"}, "mean chi2 below 1.02"),
    ],
)
def test_what_speaks_against_an_estimate_is_noted(changes, note):
    row = tables.heritability_row("a", 80, 9, h2_text(**changes))
    assert row["note"] == note
    assert np.isnan(row["ratio"]) == (changes.get("mean") == "0.9824")


def test_numbers_in_scientific_notation_and_nan():
    row = tables.heritability_row("a", 80, 9, h2_text(h2="-1.2345e-05").replace("0.0953", "nan"))
    assert row["h2"] == -1.2345e-05
    assert np.isnan([row["se"], row["lower"], row["p"]]).all()


def test_no_answer_is_a_row_of_missing_values_with_its_reason():
    row = tables.heritability_row("a", 80, 123, "", "ldsc.py: singular matrix")
    assert row["note"] == "ldsc.py: singular matrix; fewer than 200000 variants"
    assert row["variants"] == 123
    assert all(np.isnan(row[key]) for key in tables.HERITABILITY[3:-1])
    check_table(pd.DataFrame([row]), "ldsc_heritability", "table")


@pytest.mark.parametrize(
    ("shown", "row", "rg", "note"),
    [
        ("0.9152 (0.0241)", "0.915212 0.0241 37.9 1.0e-300 0.5 0.08 1.01 0.02 0.61 0.011", 0.915212, ""),
        ("-1.0813 (0.2)", "-1.0813 0.2 -5.4 6.6e-8 0.5 0.08 1.01 0.02 0.61 0.011", -1.0813, "rg outside -1 to 1"),
        (
            "nan (nan) (rg out of bounds)",
            "1.4813 0.9 1.6 0.1 0.5 0.08 1.01 0.02 0.61 0.011",
            1.4813,
            "rg out of bounds",
        ),
        (
            "nan (nan) (h2  out of bounds)",
            "NA NA NA NA -0.1 0.08 1.01 0.02 0.61 0.011",
            np.nan,
            "h2 out of bounds",
        ),
    ],
)
def test_correlation_is_read(shown, row, rg, note):
    found = tables.correlation_row("a", "b", RG.format(shown=shown, row=row))
    assert found["rg"] == pytest.approx(rg, nan_ok=True)
    assert found["gcov_intercept"] == 0.61
    assert found["note"] == note
    assert np.isnan(found["p"]) == np.isnan(rg)
    check_table(pd.DataFrame([found]), "ldsc_correlation", "table")


def test_correlation_without_answer():
    found = tables.correlation_row("a", "b", "Traceback ...", "ldsc.py: x")
    assert found["note"] == "ldsc.py: x"
    assert np.isnan(found["rg"])
    assert tables.correlation_row("a", "b", "nothing said")["note"] == "no answer"


def write_results(folder):
    columns = "Category\tProp._SNPs\tProp._h2\tProp._h2_std_error\tEnrichment\tEnrichment_std_error\tEnrichment_p"
    rows = ["L2_0\t1.0\t1.0\t0.0\t1.0\t0.0\tNA", "L2_1\t0.08\t0.44\t0.1\t5.5\t1.24\t0.0056"]
    (folder / "p0.results").write_text("\n".join([columns, *rows]) + "\n")


def test_partitioned_results_get_the_names_of_the_categories(tmp_path):
    write_results(tmp_path)
    table = tables.partitioned_rows("a", tmp_path / "p0", h2_text(), ("base", "Oligo"))
    assert table["category"].tolist() == ["base", "Oligo"]
    assert table["enrichment"].tolist() == [1.0, 5.5]
    adjusted = tables.adjust(table, "enrichment_p")
    assert adjusted["q"].isna().tolist() == [True, False]
    assert adjusted["q"][1] == 0.0056  # the one test there is
    check_table(adjusted[tables.PARTITIONED], "ldsc_partitioned", "table")
    own = tables.partitioned_rows("a", tmp_path / "p0", h2_text(h2="-0.1"), ())
    assert own["category"].tolist() == ["", ""]
    assert own["note"].unique().tolist() == ["h2 not above 0: shares of it say nothing"]


def test_partitioned_without_answer_keeps_its_rows(tmp_path):
    table = tables.partitioned_rows("a", tmp_path / "p0", "", ("base", "Oligo"), "ldsc.py: x")
    assert table[["category", "note"]].values.tolist() == [["base", "ldsc.py: x"], ["Oligo", "ldsc.py: x"]]
    assert table["enrichment"].isna().all()


def test_cell_types_come_back_under_their_names(tmp_path):
    header = "Name\tCoefficient\tCoefficient_std_error\tCoefficient_P_value\n"
    (tmp_path / "s0.cell_type_results.txt").write_text(header + "c1\t2e-8\t1e-8\t0.02275\nc0\t-1e-8\t1e-8\t0.8413\n")
    table = tables.cell_type_rows("a", tmp_path / "s0", ["Astro cytes", "Oligo", "Nobody"])
    assert table["cell_type"].tolist() == ["Astro cytes", "Oligo", "Nobody"]
    np.testing.assert_allclose(table["z"], [-1, 2, np.nan])
    np.testing.assert_allclose(table["p"], stats.norm.sf(table["z"]), rtol=1e-3)
    failed = tables.cell_type_rows("a", tmp_path / "s1", ["Oligo"], "ldsc.py: x")
    assert np.isnan(failed["p"][0]) and failed["note"][0] == "ldsc.py: x"
