import gzip
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from tests.genetics.gwas_tables import CHROMOSOMES, make_study
from workflow_scripts.lib.genetics import gwas, points, results, tools
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError

HEADER = "#CHROM\tPOS\tID\tREF\tALT\tA1\tA1_FREQ\tTEST\tOBS_CT\tBETA\tSE\tT_STAT\tP\tERRCODE\n"


def associate(prefix, study, folder, covariates=None):
    """Run what rule gwas runs on a fileset; gives the tables' paths by trait and the covariates that entered."""
    folder.mkdir()
    covariates = study.covariates if covariates is None else covariates
    traits = list(study.phenotypes)
    gwas.write_inputs(prefix, study.phenotypes, covariates, folder)
    entered = gwas.entered(prefix, traits, list(covariates), folder, Limits())
    paths = {}
    for trait, path in gwas.association(prefix, traits, folder, Limits()).items():
        paths[trait] = folder / f"{trait}.tsv.gz"
        gwas.convert(path, paths[trait])
    return paths, entered


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("genotypes") / "raw")


@pytest.fixture(scope="module")
def whole(plink, study, tmp_path_factory):
    """The association of the whole genome in one part."""
    return associate(study.prefix, study, tmp_path_factory.mktemp("gwas") / "all")


@pytest.fixture(scope="module")
def found(whole):
    return {trait: tables.read_table(path, "gwas") for trait, path in whole[0].items()}


def test_plink2_agrees_with_ordinary_least_squares(study, found):
    calls, compared = study.genotypes.calls, 0
    for trait in ("strong", "null"):
        for row in found[trait].iloc[::150].itertuples():
            dosage = calls[int(row.id[2:])].astype(float)
            here = dosage >= 0
            matrix = np.column_stack([np.ones(here.sum()), dosage[here], study.covariates[here]])
            fit = sm.OLS(study.phenotypes[trait][here].to_numpy(), matrix).fit()
            assert row.n == here.sum()
            assert row.beta == pytest.approx(fit.params[1], rel=1e-4, abs=1e-6)
            assert row.se == pytest.approx(fit.bse[1], rel=1e-4)
            assert row.t == pytest.approx(fit.tvalues[1], rel=1e-4, abs=1e-5)
            assert row.p == pytest.approx(fit.pvalues[1], rel=1e-3)
            assert row.neg_log10_p == pytest.approx(-np.log10(fit.pvalues[1]), abs=1e-3)
            assert row.a1_freq == pytest.approx(dosage[here].mean() / 2, abs=1e-5)
            compared += 1
    assert compared == 16


def test_the_planted_variant_is_found_with_its_effect(found):
    row = found["strong"].set_index("id").loc["rs0"]
    assert found["strong"]["p"].idxmin() == 0
    assert abs(row["beta"] - 0.9) < 3 * row["se"]


def test_the_effect_allele_is_always_alt_and_often_the_commoner_one(found):
    table = found["strong"]
    assert (table["a1"] == table["alt"]).all()
    assert (table["a1_freq"] > 0.5).mean() > 0.3


def test_constant_variants_have_no_result_and_are_counted(found):
    table = found["null"].set_index("id")
    assert table.loc[["rs5", "rs6"], ["beta", "p", "neg_log10_p"]].isna().all(axis=None)
    assert results.summarise("null", found["null"], 5e-8)["untested"] == 2


@pytest.mark.parametrize("trait", ["null", "word.2"])
def test_null_traits_on_independent_genotypes_are_not_inflated(found, trait):
    p = found[trait]["p"].dropna()
    # the median of n chi-squares has a standard error of 1 / (2 f(median) sqrt(n)), f the density
    median = stats.chi2.ppf(0.5, 1)
    spread = 1 / (2 * stats.chi2.pdf(median, 1) * np.sqrt(len(p))) / median
    assert abs(results.lambda_gc(p) - 1) < 3 * spread
    assert stats.kstest(p, "uniform").pvalue > 0.001


def test_exactly_the_covariates_asked_for_entered(study, whole):
    entered = whole[1]
    tables.check_table(entered, "entered", "entered")
    assert entered["covariate"].tolist() == list(study.covariates) * 3
    assert (entered["asked"] & entered["entered"]).all()
    assert (entered["people"] == len(study.phenotypes)).all()


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("scanner", 0.0, "missing scanner, unasked none.*constant covariate 'scanner'"),  # plink2 drops it
        ("array", ["A", "B"] * 130, "missing array, unasked array=B"),  # plink2 splits it under another name
    ],
)
def test_a_covariate_that_plink2_drops_or_renames_stops_the_job(plink, study, tmp_path, column, value, words):
    with pytest.raises(StudyError, match=words):
        associate(study.prefix, study, tmp_path / "run", study.covariates.assign(**{column: value}))


def test_people_who_do_not_enter_stop_the_job(plink, study, tmp_path):
    gwas.write_inputs(study.prefix, study.phenotypes, study.covariates, tmp_path)
    keep = (tmp_path / "keep.txt").read_text().splitlines()
    table = gwas.entered(study.prefix, ["null"], list(study.covariates), tmp_path, Limits())
    with pytest.raises(StudyError, match=f"260 people entered .* asked for were {len(keep)}"):
        gwas.check_entered(table, len(keep), [])
    with pytest.raises(StudyError, match=r"1 of 261 people .* no sample \(e.g. 'stranger'; samples are e.g. '0000'\)"):
        stranger = study.phenotypes.reindex([*study.phenotypes.index, "stranger"])
        gwas.write_inputs(study.prefix, stranger, study.covariates, tmp_path)


def test_whole_numbers_are_no_cases_controls_or_missing_values(plink, study, tmp_path):
    """plink2 would take a trait of 0, 1 and 2 for cases and controls, and -9 for missing."""
    random = np.random.default_rng(3)
    traits = {"counts": random.choice([0, 1, 2], 260), "nines": random.choice([-9, -8], 260) * 1.0}
    given = SimpleNamespace(covariates=study.covariates)
    given.phenotypes = pd.DataFrame(traits, index=study.phenotypes.index)
    paths, _ = associate(study.prefix, given, tmp_path / "run")
    for trait in traits:
        assert tables.read_table(paths[trait], "gwas")["n"].max() == 260


@pytest.fixture(scope="module")
def parts(plink, study, tmp_path_factory):
    """The same association, a chromosome at a time."""
    folder = tmp_path_factory.mktemp("parts")
    done = []
    for chrom in CHROMOSOMES:
        prefix = folder / f"genotypes{chrom}"
        arguments = ["--bfile", str(study.prefix), "--chr", chrom, "--make-pgen"]
        tools.run(tools.find("plink2"), arguments, prefix, Limits())
        done.append(associate(prefix, study, folder / chrom))
    return done


def test_no_number_depends_on_how_the_genome_is_cut(whole, parts, tmp_path):
    for trait, path in whole[0].items():
        one = results.merge([path], tmp_path / "one.tsv.gz")
        three = results.merge([part[0][trait] for part in parts], tmp_path / "three.tsv.gz")
        assert (tmp_path / "one.tsv.gz").read_bytes() == (tmp_path / "three.tsv.gz").read_bytes()
        pd.testing.assert_frame_equal(one, three, check_categorical=False)
        assert results.summarise(trait, one, 5e-8) == results.summarise(trait, three, 5e-8)
        shown = [points.plot_points(trait, table, 5e-8, 1e-4) for table in (one, three)]
        pd.testing.assert_frame_equal(*shown)
        tables.check_table(shown[0], "gwas_points", "points")
        tables.check_table(tables.read_table(tmp_path / "one.tsv.gz", "gwas"), "gwas", "merged")
    tables.check_table(pd.DataFrame([results.summarise(trait, one, 5e-8)]), "gwas_summary", "summary")
    pd.testing.assert_frame_equal(results.merge_entered([part[1] for part in parts]), whole[1])


def test_parts_in_another_order_are_sorted(whole, parts, tmp_path):
    results.merge([parts[place][0]["null"] for place in (2, 0, 1)], tmp_path / "merged.tsv.gz")
    one, three = (gzip.decompress(path.read_bytes()) for path in (whole[0]["null"], tmp_path / "merged.tsv.gz"))
    assert one == three


def test_parts_with_other_covariates_are_not_joined(whole):
    with pytest.raises(StudyError, match="part 1 and part 2 differ"):
        results.merge_entered([whole[1], whole[1].assign(people=3)])


def test_rows_are_streamed_in_chunks_to_the_same_bytes(whole, monkeypatch, tmp_path):
    plink = whole[0]["strong"].with_name("gwas.strong.glm.linear")
    monkeypatch.setattr(results, "CHUNK", 100)
    gwas.convert(plink, tmp_path / "chunks.tsv.gz")
    assert (tmp_path / "chunks.tsv.gz").read_bytes() == whole[0]["strong"].read_bytes()


def test_p_values_below_the_range_of_floats_survive(tmp_path):
    lines = [("1e-310", 310), ("3.2e-412", 412 - np.log10(3.2)), ("0", None), ("1", 0), ("7.8e-44", 43.1079)]
    rows = "".join(
        f"1\t{5 + row}\tv{row}\tA\tC\tC\t0.1\tADD\t80\t1\t.1\t-38.6\t{p}\t.\n" for row, (p, _) in enumerate(lines)
    )
    (tmp_path / "x").write_text(HEADER + rows)
    gwas.convert(tmp_path / "x", tmp_path / "x.tsv.gz")
    table = tables.read_table(tmp_path / "x.tsv.gz", "gwas")
    assert table["p"].tolist() == [1e-307, 1e-307, 1e-307, 1, 7.8e-44]
    # the p-value written as 0 comes from t: -log10 of 2 Phi(-38.6), by the asymptotic series of Mills' ratio
    tail = 38.6**2 / 2 / np.log(10) + np.log10(38.6 * np.sqrt(2 * np.pi)) - np.log10(2) - np.log10(1 - 38.6**-2)
    assert np.allclose(table["neg_log10_p"], [lines[0][1], lines[1][1], tail, 0, lines[4][1]], atol=1e-4)
    light = results.merge([tmp_path / "x.tsv.gz"], tmp_path / "merged.tsv.gz")
    assert results.summarise("x", light, 5e-8)["top_id"] == "v1"  # though p is the same for three
    assert results.leads(light, 5e-8).index.tolist() == [1]


def test_a_file_without_a_tested_variant_gives_plink2s_reason(tmp_path):
    (tmp_path / "x").write_text(HEADER + "1\t5\tv\tA\tC\tC\t0.1\tADD\t80\tNA\tNA\tNA\tNA\tVIF_TOO_HIGH\n")
    with pytest.raises(StudyError, match=r"none of 1 variants \(VIF_TOO_HIGH\)"):
        gwas.convert(tmp_path / "x", tmp_path / "x.tsv.gz")


@pytest.mark.parametrize("factor", [1.0, 1.4])
def test_lambda_recovers_an_inflation(factor):
    chi2 = stats.chi2.rvs(1, size=200_000, random_state=0) * factor
    assert results.lambda_gc(stats.chi2.sf(chi2, 1)) == pytest.approx(factor, rel=0.02)


def test_leads_are_the_lowest_of_their_neighbourhoods():
    table = pd.DataFrame(
        {"chrom": ["1", "1", "1", "2"], "pos": [100, 500_100, 1_600_000, 100], "p": [1e-6, 1e-9, 1e-7, 0.5]}
    )
    assert results.leads(table, 1e-5).index.tolist() == [1, 2]


@pytest.mark.parametrize("offered", [False, True])
def test_covariates_leave_traits_once_only_where_plink2_can(plink, study, tmp_path, monkeypatch, offered):
    commands = []
    help_text = "--glm ['zs'] [{intercept | qt-residualize}]" if offered else "--glm ['zs']"
    monkeypatch.setattr(tools, "call", lambda tool, arguments: help_text)
    monkeypatch.setattr(tools, "run", lambda tool, arguments, out, limits: commands.append(arguments))
    gwas.association(study.prefix, ["null"], tmp_path, Limits(), residualize=True)
    gwas.association(study.prefix, ["null"], tmp_path, Limits())
    assert ["qt-residualize" in command for command in commands] == [offered, False]
    assert all("hide-covar" in command for command in commands)


def test_a_part_of_few_variants_tells_its_covariates_too(plink, study, tmp_path):
    few = make_study(tmp_path / "few", people=100, variants=3)
    _, entered = associate(few.prefix, few, tmp_path / "run")
    assert entered["entered"].all()
    assert (entered["people"] == 100).all()
