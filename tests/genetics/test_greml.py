import re
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.genetics import heritable
from workflow_scripts.genetics import make_grm, run_greml
from workflow_scripts.lib.genetics import bed, greml, reml
from workflow_scripts.lib.genetics.grm import Grm
from workflow_scripts.lib.study import seeds, tables
from workflow_scripts.lib.study.errors import StudyError


def make(people=300, blocks=80, seed=1, traits=("rnce", "features", "null")):
    """Genotypes, relatedness, three traits of which the last has no inheritance, and two covariates."""
    random = np.random.default_rng(seed)
    data = heritable.genotypes(people, blocks, 5, random)
    values = heritable.standardised(data.calls)
    covariates = random.normal(size=(people, 2))
    y = heritable.pair_of_traits(values, (0.5, 0.6), 0.7, 0.2, random) + covariates @ [[1.0, 0.0], [0.5, -1.0]]
    ids = data.samples["participant_id"]
    phenotypes = pd.DataFrame(np.column_stack([y, random.normal(size=people)]), index=ids, columns=list(traits))
    found = Grm(data.samples[["participant_id"]].assign(fid="0"), heritable.relatedness(values), 5 * blocks)
    return data, found, phenotypes, pd.DataFrame(covariates, index=ids, columns=["age", "sex"])


@pytest.fixture(scope="module")
def made():
    return make()


def copy(found):
    return Grm(found.samples, found.matrix.copy(), found.variants)


def test_every_trait_and_pair_has_its_row(made, tmp_path):
    _, found, phenotypes, covariates = made
    shares, pairs = greml.estimate(copy(found), phenotypes, covariates)
    assert shares["trait"].tolist() == ["rnce", "features", "null"]
    assert [tuple(row) for row in pairs[["trait_a", "trait_b"]].to_numpy()] == [
        ("rnce", "features"), ("rnce", "null"), ("features", "null"),
    ]  # fmt: skip
    for table, value, schema in ((shares, "h2", "greml_heritability"), (pairs, "rg", "greml_correlation")):
        known = table[table[value].notna()]
        assert ((known["lower"] <= known[value]) & (known[value] <= known["upper"])).all()
        tables.write_table(table, tmp_path / "table.tsv", schema)
        assert len(tables.read_table(tmp_path / "table.tsv", schema)) == 3
    assert shares["p"].iloc[:2].max() < 1e-4
    assert shares["p"].iloc[2] > 0.01
    assert pairs["p_zero"].iloc[0] < 1e-3
    assert (shares["people"] == 300).all()


def test_the_order_of_people_in_the_tables_does_not_matter(made):
    _, found, phenotypes, covariates = made
    mixed = phenotypes.sample(frac=1, random_state=1)
    chosen = greml.choose_people(copy(found), mixed, covariates.sample(frac=1, random_state=2))
    pd.testing.assert_frame_equal(
        greml.estimate(*chosen)[0], greml.estimate(copy(found), phenotypes, covariates)[0], check_exact=False
    )


def test_all_traits_are_of_the_same_people(made, caplog):
    _, found, phenotypes, covariates = made
    some, other = phenotypes.copy(), covariates.iloc[10:].copy()
    some.iloc[20:30, 0], some.iloc[25:40, 2] = np.nan, np.nan
    other.iloc[-1, 0] = np.nan
    other = pd.concat([other, pd.DataFrame(0.0, index=["stranger"], columns=other.columns)])
    some.loc["stranger"] = 1.0
    caplog.set_level("INFO")
    chosen, left, given = greml.choose_people(copy(found), some, other)
    expected = phenotypes.index[[*range(10, 20), *range(40, 299)]]
    assert left.index.tolist() == given.index.tolist() == chosen.samples["participant_id"].tolist() == list(expected)
    assert chosen.matrix.shape == (269, 269)
    assert "every trait: 281; every covariate: 270; genotypes: 269" in caplog.text


def test_relatives_leave_if_config_says_so(made):
    _, found, phenotypes, covariates = made
    related = copy(found)
    related.matrix[5, 7] = related.matrix[7, 5] = 2.0
    chosen, left, _ = greml.choose_people(related, phenotypes, covariates, 1.5)
    assert len(left) == 299
    assert {"p0005", "p0007"} - set(chosen.samples["participant_id"]) == {"p0007"}


def test_too_few_people_and_a_constant_trait_are_refused(made):
    _, found, phenotypes, covariates = made
    with pytest.raises(StudyError, match=r"0 people can enter GREML \(.*genotypes: 0\).*ids of traits"):
        greml.choose_people(copy(found), phenotypes.rename(index=lambda name: f"x{name}"), covariates)
    with pytest.raises(StudyError, match="trait 'null' has the same value in all 300 people"):
        greml.estimate(copy(found), phenotypes.assign(null=1.0), covariates)


def test_truth_lies_in_the_intervals_and_the_mean_is_unbiased():
    """12 pairs of traits on fixed genotypes: h2 0.45 and 0.3, rg 0.7, residual correlation 0.3."""
    random = seeds.generator(6, "greml replicates")
    values = heritable.standardised(heritable.genotypes(1000, 120, 6, random).calls)
    y = np.hstack([heritable.pair_of_traits(values, (0.45, 0.3), 0.7, 0.3, random) for _ in range(12)])
    ids = [f"p{row}" for row in range(1000)]
    found = Grm(pd.DataFrame({"fid": "0", "participant_id": ids}), heritable.relatedness(values), 720)
    rotated = reml.rotate(found.matrix, y, np.empty((1000, 0)))
    fits = [greml.bivariate.bivariate(rotated.values, rotated.traits[:, [c, c + 1]]) for c in range(0, 24, 2)]
    first, second = ([reml.univariate(rotated.values, trait) for trait in rotated.traits.T[c::2]] for c in (0, 1))
    for estimates, truth in ((first, 0.45), (second, 0.3)):
        assert abs(np.mean([fit.h2 for fit in estimates]) - truth) < 0.03
        assert sum(fit.lower <= truth <= fit.upper for fit in estimates) >= 10  # 12 of 0.95: fewer in 2%
    assert abs(np.mean([fit.rg for fit in fits]) - 0.7) < 0.03
    assert sum(fit.lower <= 0.7 <= fit.upper for fit in fits) >= 10
    assert abs(np.mean([fit.re for fit in fits]) - 0.3) < 0.03
    assert sum(abs(fit.re - 0.3) < 1.96 * fit.re_se for fit in fits) >= 10
    assert all(fit.p_zero < 0.01 for fit in fits)


@pytest.fixture(scope="module")
def gemma():
    if not shutil.which("gemma"):
        pytest.skip("gemma is not installed (apt-get install gemma)")
    return shutil.which("gemma")


def test_gemma_agrees(gemma, made, tmp_path):
    _, found, phenotypes, covariates = made
    # GEMMA takes relatedness of mean 0, which a constant among the covariates makes of no account
    np.savetxt(tmp_path / "k.txt", found.matrix, fmt="%.12g")
    phenotypes.to_csv(tmp_path / "y.txt", sep=" ", header=False, index=False)
    covariates.assign(one=1)[["one", "age", "sex"]].to_csv(tmp_path / "c.txt", sep=" ", header=False, index=False)
    shares, _ = greml.estimate(copy(found), phenotypes, covariates)
    for column, row in enumerate(shares.iloc[:2].itertuples(), 1):
        command = [gemma, "-p", "y.txt", "-n", str(column), "-c", "c.txt", "-k", "k.txt", "-vc", "2", "-o", "fit"]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        said = (tmp_path / "output" / "fit.log.txt").read_text()
        values = dict(re.findall(r"## (pve estimates|se\(pve\)|sigma2 estimates|se\(sigma2\)) =\s+(.+)", said))
        values = {name: [float(number) for number in text.split()] for name, text in values.items()}
        assert values["pve estimates"][0] == pytest.approx(row.h2, abs=1e-3)
        assert values["se(pve)"][0] == pytest.approx(row.se, rel=0.01)
        assert values["sigma2 estimates"] == pytest.approx([row.genetic_variance, row.residual_variance], rel=1e-3)


def test_the_scripts_read_call_and_write(made, plink, tmp_path):
    data, found, phenotypes, covariates = made
    people = tmp_path / "people.txt"
    people.write_text("#IID\n" + "\n".join(found.samples["participant_id"]) + "\n")
    parts = {"1": slice(0, 200), "2": slice(200, 400)}
    about = {"threads": 1, "resources": SimpleNamespace(mem_mb=1000)}
    settings = {"tool": "embedded", "extract": None, "max_relatedness": None}
    for part, rows in parts.items():
        bed.write_bed(bed.Genotypes(data.samples, data.variants[rows], data.calls[rows]), tmp_path / part)
        given = SimpleNamespace(genotypes=[f"{tmp_path}/{part}.bed"], people=str(people))
        output = SimpleNamespace(matrix=[f"{tmp_path}/out/{part}.grm.bin"])
        (tmp_path / "out").mkdir(exist_ok=True)
        make_grm.main(SimpleNamespace(input=given, output=output, params=SimpleNamespace(greml=settings), **about))
    for name, table in (("phenotypes", phenotypes), ("covariates", covariates)):
        tables.write_table(table.rename_axis("participant_id").reset_index(), tmp_path / f"{name}.tsv")
    files = {name: f"{tmp_path}/{name}.tsv" for name in ("phenotypes", "covariates")}
    given = SimpleNamespace(matrices=[f"{tmp_path}/out/{part}.grm.bin" for part in parts], genotypes=[], **files)
    output = SimpleNamespace(heritability=f"{tmp_path}/h2.tsv", correlation=f"{tmp_path}/rg.tsv")
    params = SimpleNamespace(greml=settings, level=0.95)
    run_greml.main(SimpleNamespace(input=given, output=output, params=params, **about))
    expected, pairs = greml.estimate(copy(found), phenotypes, covariates)
    # plink2 divides by the variance expected of the frequency, not by the one found
    written = tables.read_table(output.heritability, "greml_heritability")
    np.testing.assert_allclose(written["h2"], expected["h2"], atol=0.03)
    assert tables.read_table(output.correlation, "greml_correlation")["rg"][0] == pytest.approx(
        pairs["rg"][0], abs=0.05
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        f"{part}.grm.{end}" for part in parts for end in ("bin", "N.bin", "id")
    )
