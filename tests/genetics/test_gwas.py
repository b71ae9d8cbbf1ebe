import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from workflow_scripts.lib.genetics import gwas, phenotypes, points, tools
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError


@pytest.fixture(scope="module")
def results(study, cleaned, tmp_path_factory):
    """Association of two traits of which the planted offset explains half, and of noise."""
    random = np.random.default_rng(1)
    ids = tools.read_samples(cleaned.prefix)["participant_id"]
    offset = study.phantom.people.set_index("participant_id")["genetic_offset_years"].loc[ids]
    traits = {name: offset + random.normal(0, offset.std(), len(ids)) for name in ("rnce", "features")}
    traits = pd.DataFrame(traits | {"noise": random.normal(size=len(ids))}, index=ids)
    about = study.people.set_index("participant_id").loc[ids]
    given = phenotypes.covariates(
        about["age"].to_numpy(), about["sex"].to_numpy(), random.normal(1.5e6, 1e5, len(ids)), np.empty((len(ids), 0))
    ).set_index(ids)
    design = phenotypes.Design(traits, given, pd.DataFrame())
    return design, gwas.association(cleaned.prefix, design, tmp_path_factory.mktemp("gwas"), Limits())


def test_the_strongest_planted_locus_or_a_neighbour_is_the_top_hit(study, results):
    design, found = results
    assert 60 <= len(design.phenotypes) <= 110
    locus = study.phantom.loci.iloc[0]
    for name in ("rnce", "features"):
        top = found[name].loc[found[name]["p"].idxmin()]
        assert top["chrom"] == locus["chrom"]
        assert abs(top["pos"] - locus["pos"]) < 100_000
        assert top["p"] < 1e-4


def test_the_planted_effect_is_inside_the_estimate(study, results):
    locus = study.phantom.loci.iloc[0]
    row = results[1]["rnce"].set_index("id").loc[locus["id"]]
    assert row["a1"] == locus["effect_allele"]
    assert abs(row["beta"] - locus["effect_years"]) < 3 * row["se"]


def test_plink2_agrees_with_ordinary_least_squares(study, results):
    design, found = results
    genotypes = study.phantom.genotypes
    place = genotypes.samples.reset_index().set_index("participant_id").loc[design.phenotypes.index, "index"]
    rows = genotypes.variants.drop_duplicates("id").reset_index().set_index("id")["index"]
    for row in found["rnce"].iloc[::400].itertuples():
        dosage = genotypes.calls[rows[row.id]][place.to_numpy()].astype(float)
        here = dosage >= 0
        design_matrix = np.column_stack([np.ones(here.sum()), dosage[here], design.covariates[here]])
        fit = sm.OLS(design.phenotypes["rnce"][here].to_numpy(), design_matrix).fit()
        assert row.n == here.sum()
        assert row.beta == pytest.approx(fit.params[1], rel=1e-3)
        assert row.se == pytest.approx(fit.bse[1], rel=1e-3)
        assert row.p == pytest.approx(fit.pvalues[1], rel=1e-2)
        assert row.a1_freq == pytest.approx(dosage[here].mean() / 2, abs=1e-5)


def test_the_effect_allele_is_always_alt_and_often_the_commoner_one(results):
    table = results[1]["rnce"]
    assert (table["a1"] == table["alt"]).all()
    assert (table["a1_freq"] > 0.5).any()


def test_results_fit_their_schema_and_come_back_the_same(results, tmp_path):
    table = results[1]["rnce"]
    for name in ("a", "b"):
        gwas.write_results(table, tmp_path / f"{name}.tsv.gz")
    assert (tmp_path / "a.tsv.gz").read_bytes() == (tmp_path / "b.tsv.gz").read_bytes()
    pd.testing.assert_frame_equal(tables.read_table(tmp_path / "a.tsv.gz", "gwas"), table, check_dtype=False)


def test_summary_and_points_fit_their_schemas(results):
    _, found = results
    summary = gwas.summarise(found, 5e-8)
    tables.check_table(summary, "gwas_summary", "summary")
    shown = points.plot_points(found, 5e-8, 1e-4)
    tables.check_table(shown, "gwas_points", "points")
    assert summary.set_index("representation")["lambda_gc"]["noise"] == pytest.approx(1, abs=0.25)
    lead = shown[shown["lead"] & (shown["representation"] == "rnce")]
    assert lead["chrom"].tolist()[:1] == ["17"] or "17" in set(lead["chrom"])


@pytest.mark.parametrize("factor", [1.0, 1.4])
def test_lambda_recovers_an_inflation(factor):
    chi2 = stats.chi2.rvs(1, size=200_000, random_state=0) * factor
    assert gwas.lambda_gc(stats.chi2.sf(chi2, 1)) == pytest.approx(factor, rel=0.02)


def test_a_file_without_a_tested_variant_gives_plink2s_reason(tmp_path):
    header = "#CHROM\tPOS\tID\tREF\tALT\tA1\tA1_FREQ\tTEST\tOBS_CT\tBETA\tSE\tT_STAT\tP\tERRCODE\n"
    (tmp_path / "x").write_text(header + "1\t5\tv\tA\tC\tC\t0.1\tADD\t80\tNA\tNA\tNA\tNA\tVIF_TOO_HIGH\n")
    with pytest.raises(StudyError, match=r"none of 1 variants \(VIF_TOO_HIGH\)"):
        gwas.read_results(tmp_path / "x")


def test_leads_are_the_lowest_of_their_neighbourhoods():
    table = pd.DataFrame(
        {"chrom": ["1", "1", "1", "2"], "pos": [100, 500_100, 1_600_000, 100], "p": [1e-6, 1e-9, 1e-7, 0.5]}
    )
    assert gwas.leads(table, 1e-5).index.tolist() == [1, 2]
