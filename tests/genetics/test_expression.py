from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from workflow_scripts.genetics import enrich_cell_types
from workflow_scripts.lib.genetics import expression
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError

GENES, TYPES = 420, ["Astrocytes", "Microglia", "Neurons", "Oligodendrocytes", "OPCs"]


def make(random, effect=0.0, correlated=True):
    """Scores of genes on three chromosomes, neighbours correlated, larger genes with more signal, and expression."""
    chrom = np.repeat(["1", "2", "3"], GENES // 3)
    names = [f"G{row}" for row in range(GENES)]
    breadth = random.normal(size=GENES)  # genes that are expressed everywhere
    values = breadth[:, None] + random.normal(size=(GENES, len(TYPES)))
    table = pd.DataFrame(values, index=pd.Index(names, name="gene"), columns=TYPES)
    size = np.exp(random.normal(3, 1, GENES)).round() + 1
    correlation = np.eye(GENES)
    first = [row for row in range(GENES - 1) if correlated and row % 4 != 3 and chrom[row] == chrom[row + 1]]
    for row in first:
        correlation[row, row + 1] = correlation[row + 1, row] = 0.45
    noise = np.linalg.cholesky(correlation) @ random.normal(size=GENES)
    z = 0.3 * np.log(size) + 0.3 * breadth + effect * values[:, 3] + noise
    scores = pd.DataFrame({"gene": names, "chrom": chrom, "start": np.arange(GENES) * 1000 + 1})
    scores = scores.assign(end=scores["start"] + 500, variants=size.astype(int), effective=np.sqrt(size))
    scores = scores.assign(mac=random.uniform(50, 400, GENES), people=1000, statistic=size, z=z, p=0.5)
    pairs = pd.DataFrame({"gene_a": [names[r] for r in first], "gene_b": [names[r + 1] for r in first], "r": 0.45})
    return scores, pairs, table, correlation


def test_it_is_generalised_least_squares_with_these_covariates():
    scores, pairs, table, correlation = make(np.random.default_rng(1), 0.2)
    found = expression.regress(scores, pairs, table).set_index("cell_type")
    z = scores["z"].to_numpy()
    z = np.clip(z, z.mean() - 3 * z.std(), z.mean() + 6 * z.std())
    size, density, rarity = scores["variants"], scores["effective"] / scores["variants"], 1 / scores["mac"]
    given = [
        table.mean(axis=1).to_numpy(),
        size,
        np.log(size),
        density,
        rarity,
        np.log(rarity),
    ]  # log density is log size
    for name in ("Oligodendrocytes", "Microglia"):
        design = sm.add_constant(np.column_stack([*given, table[name]]))
        fit = sm.GLS(z, (design - [0, *design.mean(axis=0)[1:]]) / [1, *design.std(axis=0)[1:]], correlation).fit()
        row = found.loc[name]
        assert row["t"] == pytest.approx(fit.tvalues[-1], rel=1e-6)
        assert row["beta"] == pytest.approx(fit.params[-1] / table[name].std(ddof=0), rel=1e-6)
        one_sided = fit.pvalues[-1] / 2 if fit.tvalues[-1] > 0 else 1 - fit.pvalues[-1] / 2
        assert row["p"] == pytest.approx(one_sided, rel=1e-5)
        assert row["genes"] == GENES


def test_the_planted_type_ranks_first_and_the_others_are_calibrated():
    random = np.random.default_rng(2)
    first, null, ignored = 0, [], []
    for _ in range(40):
        scores, pairs, table, _ = make(random, 0.2)
        found = expression.regress(scores, pairs, table).set_index("cell_type")["p"]
        first += found.idxmin() == "Oligodendrocytes"
        scores, pairs, table, _ = make(random)
        null += expression.regress(scores, pairs, table)["p"].tolist()
        # expression shared by neighbours: there, taking correlated genes for independent ones is anticonservative
        together = table.rolling(4, min_periods=1).mean()
        null += expression.regress(scores, pairs, together)["p"].tolist()
        ignored += expression.regress(scores, pairs.iloc[:0], together)["p"].tolist()
    null = np.array(null)
    assert first >= 33
    assert 0.02 < (null < 0.05).mean() < 0.08  # 400 tests, five of a study correlated
    assert (np.array(ignored) < 0.05).mean() > (null < 0.05).mean() + 0.02


def test_adjusted_within_a_data_set_and_over_all():
    random = np.random.default_rng(3)
    scores, pairs, table, _ = make(random, 0.3)
    other = make(random)[0].assign(gene=scores["gene"])
    data_sets = {"all": table, "few": table[TYPES[2:]].iloc[:400]}
    found, counts = expression.enrich({"rnce": scores, "null": other}, pairs, data_sets)
    tables.check_table(found, "expression_cell_types", "found")
    tables.check_table(counts, "expression_counts", "counts")
    assert len(found) == 2 * (5 + 3)
    for _, rows in found.groupby(["trait", "data_set"]):
        assert rows["p_bonferroni"].tolist() == pytest.approx(np.minimum(rows["p"] * len(rows), 1).tolist())
        assert (rows["tests"] == len(rows)).all()
    best = found.sort_values("p").iloc[0]
    assert (best["trait"], best["cell_type"], best["significant"]) == ("rnce", "Oligodendrocytes", True)
    assert found["q"].min() == pytest.approx(
        min(p * 16 / rank for rank, p in enumerate(sorted(found["p"]), 1)), rel=1e-12
    )
    assert counts["used"].tolist() == [420, 400] * 2


def test_correlations_that_do_not_fit_together_are_shrunk(caplog):
    scores, pairs, table, _ = make(np.random.default_rng(4))
    wild = pairs.assign(r=0.95)  # a chain of four: impossible with ends that are independent
    caplog.set_level("INFO")
    found = expression.regress(scores, wild, table)
    assert found["p"].between(0, 1).all()
    assert "shrunk" in caplog.text


def test_one_gene_does_not_decide_and_a_constant_type_has_no_test():
    scores, pairs, table, _ = make(np.random.default_rng(5), correlated=False)
    outlier = scores.assign(z=scores["z"].where(scores.index != 7, 30.0))
    expected = scores["z"].where(scores.index != 7, scores["z"].mean() + 6 * scores["z"].std())
    one, two = (expression.regress(s, pairs, table)["t"] for s in (outlier, scores.assign(z=expected)))
    assert abs(one - two).max() < 0.5
    found = expression.regress(scores, pairs, table.assign(Flat=1.0)).set_index("cell_type")
    assert np.isnan(found.loc["Flat", "p"])
    assert found.loc["Neurons", "p"] > 0


def test_tables_that_do_not_fit_are_refused(tmp_path):
    def write(text):
        (tmp_path / "e.tsv").write_text(text)
        return tmp_path / "e.tsv"

    with pytest.raises(StudyError, match="expected gene and one column a cell type"):
        expression.read_expression(write("gene\tA\nG1\t1\n"))
    with pytest.raises(StudyError, match="line 3: gene 'G1' stands there twice"):
        expression.read_expression(write("gene\tA\tB\nG1\t1\t2\nG1\t1\t2\n"))
    with pytest.raises(StudyError, match="line 3, column 'B': found 'x', expected a number"):
        expression.read_expression(write("gene\tA\tB\nG1\t1\t2\nG2\t1\tx\n"))
    with pytest.raises(StudyError, match="no such file"):
        expression.read_expression(tmp_path / "none.tsv")
    scores, pairs, table, _ = make(np.random.default_rng(6))
    ensembl = table.rename(index=lambda name: f"ENSG{name}")
    with pytest.raises(StudyError, match=r"0 genes of data set 'mine' have a score.*e.g. G0, G1, G2.*ENSGG0"):
        expression.enrich({"rnce": scores}, pairs, {"mine": ensembl})


def test_the_script_tests_or_says_why_not(tmp_path):
    scores, pairs, table, _ = make(np.random.default_rng(7), 0.3)
    tables.write_table(scores.assign(z=scores["z"]), tmp_path / "rnce.tsv", "gene_scores")
    tables.write_table(pairs, tmp_path / "pairs.tsv", "gene_score_pairs")
    tables.write_table(table.reset_index(), tmp_path / "brain.tsv")
    output = SimpleNamespace(cell_types=str(tmp_path / "types.tsv"), counts=str(tmp_path / "counts.tsv"))

    def run(given, path, genes):
        params = SimpleNamespace(traits=["rnce"], expression={"table": path}, genes={"table": genes})
        enrich_cell_types.main(SimpleNamespace(input=given, output=output, params=params))
        return tables.read_table(output.cell_types, "expression_cell_types"), tables.read_table(output.counts)

    given = SimpleNamespace(scores=[str(tmp_path / "rnce.tsv")], correlation=str(tmp_path / "pairs.tsv"))
    found, counts = run(given, str(tmp_path / "brain.tsv"), "genes.tsv")
    assert set(found["data_set"]) == {"brain"}
    assert found.sort_values("p")["cell_type"].iloc[0] == "Oligodendrocytes"
    empty = SimpleNamespace(scores=[], correlation=[])
    for path, genes, word in ((None, "genes.tsv", "FUMA"), ("brain.tsv", None, "table of genes")):
        found, counts = run(empty, path, genes)
        assert found.empty
        assert word in counts["note"][0]
    assert expression.name_tables({"LGN": "a.tsv", "MTG": "b.tsv"}) == {"LGN": "a.tsv", "MTG": "b.tsv"}
