import itertools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from tests.genetics import heritable
from workflow_scripts.genetics import score_genes
from workflow_scripts.lib.genetics import bed, gene_scores, gwas, quadratic
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError

BLOCKS, SIZE, TRAITS = 120, 6, 14
SETTINGS = {"window_kb": 0, "correlation_mb": 5, "people": 2000}


@pytest.mark.parametrize("terms", [1, 2, 3, 10, 100, 1000])
@pytest.mark.parametrize("times", [1e-3, 0.1, 0.9, 1.0, 1.1, 2, 5])
def test_equal_weights_give_the_chi_square_distribution(terms, times):
    found = quadratic.log_tail(3 * times * terms, np.full(terms, 3.0))
    expected = stats.chi2.logsf(times * terms, terms)
    if np.isfinite(expected):
        assert found == pytest.approx(expected, rel=1e-10, abs=1e-12)
    else:
        assert found < -740  # too small for a float, not for its logarithm


def imhof(point, weights):
    """Return the tail by Imhof's integral (1961), another route."""

    def height(u):
        angle = 0.5 * (np.arctan(weights * u).sum() - point * u)
        return np.sin(angle) / (u * np.prod((1 + (weights * u) ** 2) ** 0.25))

    edges = np.concatenate([[0.0], np.geomspace(1e-3, 1e6, 60)]) / point
    parts = [integrate.quad(height, low, high, limit=400)[0] for low, high in itertools.pairwise(edges)]
    return 0.5 + sum(parts) / np.pi


@pytest.mark.filterwarnings("ignore::scipy.integrate.IntegrationWarning")  # far out, where nothing is left
@pytest.mark.parametrize("weights", [[5, 3, 1, 1, 0.5, 0.1], [10, *[0.1] * 50]])
def test_unequal_weights_give_imhofs_integral_and_what_drawing_gives(weights):
    weights = np.array(weights, float)
    drawn = stats.chi2.rvs(1, size=(60_000, len(weights)), random_state=1) @ weights
    for share in (0.2, 0.9, 0.999):
        point = np.quantile(drawn, share)
        found = np.exp(quadratic.log_tail(point, weights))
        assert found == pytest.approx(imhof(point, weights), abs=1e-6)
        assert found == pytest.approx(1 - share, abs=4 * np.sqrt(share * (1 - share) / 60_000))


def test_far_tails_and_impossible_weights():
    # a normal number's square beyond 40^2: both its tails, so that z is log(2) / 40 lower than 40
    assert quadratic.z_of(quadratic.log_tail(40.0**2, np.array([1.0]))) == pytest.approx(40 - np.log(2) / 40, abs=1e-3)
    assert quadratic.log_tail(0.0, np.ones(3)) == 0
    with pytest.raises(ValueError, match="no weight"):
        quadratic.log_tail(1.0, np.zeros(3))


@pytest.fixture(scope="module")
def made(plink, tmp_path_factory):
    """Genotypes on two chromosomes, results of 14 traits of which the last two are of one gene, and genes."""
    folder, random = tmp_path_factory.mktemp("genes"), np.random.default_rng(5)
    data = heritable.genotypes(800, BLOCKS, SIZE, random)
    data.calls[random.uniform(size=data.calls.shape) < 0.005] = -1
    for part in ("1", "2"):
        rows = np.flatnonzero(data.variants["chrom"] == part)
        bed.write_bed(bed.Genotypes(data.samples, data.variants.iloc[rows], data.calls[rows]), folder / part)
    bed.write_bed(data, folder / "all")
    values, _ = gene_scores.standardise(data.calls)
    y = random.normal(size=(800, TRAITS))
    y[:, -2:] += 0.4 * values[[10 * SIZE + 2]].T
    y = (y - y.mean(axis=0)) / y.std(axis=0)
    z = values @ y / np.sqrt(800)
    known = np.where(data.calls >= 0, data.calls, 0).sum(axis=1) / (2 * (data.calls >= 0).sum(axis=1))
    about = data.variants[["chrom", "pos", "id", "ref", "alt"]].assign(a1=data.variants["alt"], a1_freq=known, n=800)
    results = {
        f"trait{column}": about.assign(
            beta=z[:, column], se=1.0, t=z[:, column], p=2 * stats.norm.sf(abs(z[:, column])), neg_log10_p=1.0
        )
        for column in range(TRAITS)
    }
    starts = data.variants["pos"].to_numpy().reshape(BLOCKS, SIZE)
    chroms = data.variants["chrom"].to_numpy().reshape(BLOCKS, SIZE)[:, 0]
    genes = pd.DataFrame({"gene": [f"G{block}" for block in range(BLOCKS)], "chrom": chroms, "start": starts[:, 0]})
    genes = genes.assign(end=starts[:, -1], strand="+")
    extra = [("HALF", "1", starts[3, 3], starts[4, 2], "-"), ("DESERT", "1", 100, 200, "+")]
    genes = pd.concat([genes, pd.DataFrame(extra, columns=genes.columns)], ignore_index=True)
    paths = {name: folder / f"{name}.tsv.gz" for name in results}
    for name, path in paths.items():
        gwas.write_gzip(results[name], path)
    parts = {part: folder / part for part in ("1", "2")}
    return SimpleNamespace(folder=folder, data=data, paths=paths, genes=genes, parts=parts, values=values)


@pytest.fixture(scope="module")
def scored(made, tmp_path_factory):
    variants = gene_scores.read_chi_squares(made.paths)
    people = made.data.samples[["participant_id"]].assign(fid="0")
    return gene_scores.score(
        made.parts, people, made.genes, variants, SETTINGS, tmp_path_factory.mktemp("work"), Limits()
    )


def test_without_association_p_values_are_uniform(scored):
    tables_ = [table for name, table in scored[0].items() if name not in ("trait12", "trait13")]
    p = np.concatenate([table.loc[table["gene"] != "HALF", "p"] for table in tables_])
    assert len(p) == 12 * BLOCKS
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert 0.03 < (p < 0.05).mean() < 0.07  # 1440 p-values: 3.5 standard deviations


def test_the_associated_gene_is_first(scored):
    for name in ("trait12", "trait13"):
        table = scored[0][name].sort_values("p")
        assert table["gene"].iloc[0] == "G10"
        assert table["p"].iloc[0] < 1e-6 < table["p"].iloc[1]
        assert table["z"].iloc[0] == pytest.approx(stats.norm.isf(table["p"].iloc[0]), rel=1e-6)


def test_a_gene_has_the_sum_and_eigenvalues_of_its_variants(made, scored):
    row = scored[0]["trait0"].set_index("gene").loc["G7"]
    rows = slice(7 * SIZE, 8 * SIZE)
    z = tables.read_table(made.paths["trait0"], "gwas")["t"].to_numpy()[rows]
    eigenvalues = np.linalg.eigvalsh(np.corrcoef(made.values[rows]))
    assert row["variants"] == SIZE
    assert row["statistic"] == pytest.approx((z**2).sum(), rel=1e-6)
    assert row["effective"] == pytest.approx(SIZE**2 / (eigenvalues**2).sum(), rel=1e-4)
    assert row["p"] == pytest.approx(imhof(row["statistic"], eigenvalues), abs=1e-5)


def test_scores_correlate_as_the_table_of_pairs_says(made, scored):
    pairs = scored[1].set_index(["gene_a", "gene_b"])["r"]
    # blocks are independent: others are there by chance
    assert {*pairs.index[pairs > 0.03]} == {("G3", "HALF"), ("HALF", "G4")}
    assert len(pairs) < 20
    draws = np.random.default_rng(8).normal(size=(4000, 800)) @ made.values[3 * SIZE : 5 * SIZE].T / np.sqrt(800)
    sums = {"G3": range(SIZE), "HALF": range(3, SIZE + 3)}
    first, second = ((draws[:, list(rows)] ** 2).sum(axis=1) for rows in sums.values())
    assert pairs["G3", "HALF"] == pytest.approx(np.corrcoef(first, second)[0, 1], abs=0.06)


def test_genes_without_variants_are_left_out_and_windows_widen(made, scored, tmp_path):
    assert "DESERT" not in set(scored[0]["trait0"]["gene"])
    variants = gene_scores.read_chi_squares({"trait0": made.paths["trait0"]})
    people = made.data.samples[["participant_id"]].assign(fid="0").iloc[:300]
    wide = SETTINGS | {"window_kb": 46}
    found, _ = gene_scores.score(made.parts, people, made.genes.iloc[:3], variants, wide, tmp_path, Limits())
    assert found["trait0"]["variants"].tolist() == [8, 10, 10]


def test_numbers_do_not_depend_on_the_split(made, scored, tmp_path):
    variants = gene_scores.read_chi_squares({"trait0": made.paths["trait0"]})
    people = made.data.samples[["participant_id"]].assign(fid="0")
    found, pairs = gene_scores.score(
        {"all": made.folder / "all"}, people, made.genes, variants, SETTINGS, tmp_path, Limits()
    )
    pd.testing.assert_frame_equal(found["trait0"], scored[0]["trait0"])
    pd.testing.assert_frame_equal(pairs, scored[1])


def test_genes_wider_than_there_are_people_are_scored():
    calls = np.random.default_rng(0).integers(0, 3, size=(90, 40)).astype(np.int8)
    values, _ = gene_scores.standardise(calls)
    gene = gene_scores._decompose("wide", 0.0, [""] * 90, values)
    expected = np.linalg.eigvalsh(np.corrcoef(values))[::-1][:39]
    np.testing.assert_allclose(gene.eigenvalues[:39], expected, atol=1e-4)
    np.testing.assert_allclose((gene.components @ gene.components.T).diagonal(), expected[: len(gene.components)], 1e-4)


def test_a_wrong_build_and_too_many_people_and_names_that_repeat(made, tmp_path):
    variants = gene_scores.read_chi_squares({"trait0": made.paths["trait0"]})
    people = made.data.samples[["participant_id"]].assign(fid="0")
    moved = made.genes.assign(start=made.genes["start"] + 10**8, end=made.genes["end"] + 10**8)
    with pytest.raises(StudyError, match="none of 122 genes has a tested variant inside"):
        gene_scores.score(made.parts, people, moved, variants, SETTINGS, tmp_path, Limits())
    some = gene_scores.some(people, 100, np.random.default_rng(1))
    assert len(some) == 100
    assert some["participant_id"].is_monotonic_increasing
    assert gene_scores.some(people, 2000, np.random.default_rng(1)) is people
    rows = [("A", "1", 10, 20, "+"), ("A", "1", 100, 300, "+"), ("B", "X", 1, 2, "+")]
    kept = gene_scores.one_row_a_gene(pd.DataFrame(rows, columns=made.genes.columns))
    assert kept[["gene", "start"]].to_numpy().tolist() == [["A", 100]]


def test_the_script_writes_a_table_a_trait(made, scored, tmp_path):
    traits = ["trait0", "trait13"]
    tables.write_table(made.genes, tmp_path / "genes.tsv")
    ids = made.data.samples["participant_id"]
    (tmp_path / "people.txt").write_text("#IID\n" + "\n".join(ids) + "\n")
    given = SimpleNamespace(
        results=[str(made.paths[trait]) for trait in traits],
        genotypes=[f"{prefix}.bed" for prefix in made.parts.values()],
        people=str(tmp_path / "people.txt"),
        genes=str(tmp_path / "genes.tsv"),
    )
    output = SimpleNamespace(
        scores=[str(tmp_path / f"{t}.tsv.gz") for t in traits], correlation=str(tmp_path / "pairs.tsv.gz")
    )
    params = SimpleNamespace(
        traits=traits, genes={"build": "hg19"}, build="hg19", reference=None, chromosomes=["1", "2"],
        settings=SETTINGS, seed=1,
    )  # fmt: skip
    about = {"threads": 1, "resources": SimpleNamespace(mem_mb=1000)}
    score_genes.main(SimpleNamespace(input=given, output=output, params=params, **about))
    for trait, path in zip(traits, output.scores, strict=True):
        found = tables.read_table(path, "gene_scores")
        pd.testing.assert_series_equal(found["z"], scored[0][trait]["z"], rtol=1e-8)
    pairs = tables.read_table(output.correlation, "gene_score_pairs")
    pd.testing.assert_frame_equal(pairs, scored[1], rtol=1e-8)
