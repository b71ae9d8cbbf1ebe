"""GCTA and BOLT-REML by stand-ins that check what they are asked and answer in the programs' own formats."""

import shutil

import numpy as np
import pytest

from tests.genetics.test_greml import copy, make
from workflow_scripts.lib.genetics import bed, greml, greml_programs, tools
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError

HSQ = """Source\tVariance\tSE
V(G)\t0.389350\t0.161719
V(e)\t0.582633\t0.160044
Vp\t0.971984\t0.031341
V(G)/Vp\t0.400573\t0.164937
logL\t-944.465
logL0\t-948.233
LRT\t7.536
df\t1
Pval\t3.0235e-03
n\t{people}
"""
BIVARIATE = """Source\tVariance\tSE
V(G)_tr1\t0.479647\t0.179078
V(G)_tr2\t0.286330\t0.181329
C(G)_tr12\t0.230828\t0.147958
V(e)_tr1\t0.524264\t0.176650
V(e)_tr2\t0.734654\t0.181146
C(e)_tr12\t0.404298\t0.146863
Vp_tr1\t1.003911\t0.033202
Vp_tr2\t1.020984\t0.033800
V(G)/Vp_tr1\t0.477779\t0.176457
V(G)/Vp_tr2\t0.280445\t0.176928
rG\t0.622864\t0.217458
logL\t-1841.125
logL0\t-1842.320\t(when rG fixed at  {fixed}.000)
LRT\t2.389
df\t1
Pval\t6.1e-02\t(one-tailed test)
n\t600
"""
GCTA = r"""#!/usr/bin/env python3
import sys, pathlib
args = sys.argv[1:]
if not args:
    print("* version v1.94.1 Linux")
    sys.exit(0)
value = lambda name: args[args.index(name) + 1]
assert pathlib.Path(value("--grm") + ".grm.bin").exists()
people = len(pathlib.Path(value("--grm") + ".grm.id").read_text().splitlines())
rows = pathlib.Path(value("--pheno")).read_text().splitlines()
assert len(rows) == people == len(pathlib.Path(value("--qcovar")).read_text().splitlines())
assert len(rows[0].split()) == 5
folder = pathlib.Path(__file__).parent
with (folder / "asked.txt").open("a") as stream:
    stream.write(" ".join(word for word in args if "/" not in word) + "\n")
if (folder / "fail").exists():
    print("Error: analysis stopped because more than half of the variance components are constrained.")
    sys.exit(1)
text = (folder / ("two.txt" if "--reml-bivar" in args else "one.txt")).read_text()
fixed = value("--reml-bivar-lrt-rg") if "--reml-bivar" in args else ""
pathlib.Path(value("--out") + ".hsq").write_text(text.format(people=people, fixed=fixed))
"""
# the end of what BOLT-LMM 2.4 prints
BOLT = """Variance component 1: [2,2]((0.465341,0.382116),(0.382116,0.46093))
  entry (1,1): 0.465341 (0.100697)
  entry (1,2): 0.382116 (0.077866)   corr (1,2): 0.825073

Phenotype 1 variance sigma2: 0.847856 (0.066873)
Phenotype 2 variance sigma2: 1.018456 (0.089009)

Variance component 0:  (environment/noise)
  h2e (1,1): 0.548234 (0.077130)
  resid corr (1,2): 0.059938 (0.089027)
  h2e (2,2): 0.545254 (0.073748)
Variance component 1:  "modelSnps"
  h2g (1,1): 0.451766 (0.077130)
  gen corr (1,2): 0.825073 (0.095596)
  h2g (2,2): 0.454746 (0.073748)
"""
BOLT_PROGRAM = f"""#!/usr/bin/env python3
import sys
if "--help" in sys.argv:
    print("| BOLT-LMM, v2.4 |")
    sys.exit(0)
assert "--noMapCheck" in sys.argv and "--qCovarCol=c{{1:2}}" in sys.argv
print({BOLT!r})
"""


@pytest.fixture(scope="module")
def made():
    return make()


def stand_in(folder, monkeypatch, name, text):
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_gcta_is_asked_for_every_trait_and_pair_and_read(made, monkeypatch, tmp_path):
    _, found, phenotypes, covariates = made
    stand_in(tmp_path, monkeypatch, "gcta64", GCTA)
    (tmp_path / "one.txt").write_text(HSQ)
    (tmp_path / "two.txt").write_text(BIVARIATE)
    (tmp_path / "work").mkdir()
    shares, pairs = greml_programs.run_gcta(found, phenotypes, covariates, tmp_path / "work", Limits(2), 0.95)
    asked = (tmp_path / "asked.txt").read_text().splitlines()
    assert [line for line in asked if "--reml " in line][1].startswith("--reml --mpheno 2 --grm --pheno --qcovar")
    assert sum("--reml-bivar 1 3 --reml-bivar-lrt-rg 0" in line for line in asked) == 1
    assert len(asked) == 3 + 2 * 3
    row = shares.iloc[0]
    assert (row["method"], row["h2"], row["se"], row["people"]) == ("gcta", 0.400573, 0.164937, 300)
    assert row["p"] == pytest.approx(3.0235e-3, rel=1e-3)  # GCTA's own
    assert row["lower"] == pytest.approx(0.400573 - 1.96 * 0.164937, abs=1e-4)
    pair = pairs.iloc[0]
    assert (pair["rg"], pair["se"]) == (0.622864, 0.217458)
    assert pair["p_one"] == pytest.approx(pair["p_zero"] / 2)
    assert pair["re"] == pytest.approx(0.404298 / np.sqrt(0.524264 * 0.734654))
    assert pair["upper"] == 1
    tables.write_table(shares, tmp_path / "shares.tsv", "greml_heritability")
    tables.write_table(pairs, tmp_path / "pairs.tsv", "greml_correlation")


def test_gcta_that_fails_or_is_absent_says_so(made, monkeypatch, tmp_path):
    _, found, phenotypes, covariates = made
    stand_in(tmp_path, monkeypatch, "gcta64", GCTA)
    (tmp_path / "fail").touch()
    with pytest.raises(StudyError, match="more than half of the variance components are constrained"):
        greml_programs.run_gcta(found, phenotypes, covariates, tmp_path, Limits(), 0.95)
    with pytest.raises(StudyError, match="GCTA wrote no estimate"):
        greml_programs.read_hsq(tmp_path / "none.hsq")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(StudyError, match=r"(?s)gcta is needed.*tool: embedded"):
        greml_programs.run_gcta(found, phenotypes, covariates, tmp_path, Limits(), 0.95)


def test_bolts_answer_is_read(made, plink, monkeypatch, tmp_path):
    data, found, phenotypes, covariates = made
    stand_in(tmp_path, monkeypatch, "bolt", BOLT_PROGRAM)
    bed.write_bed(data, tmp_path / "raw")
    filesets = greml_programs.make_filesets([tmp_path / "raw"], found.samples.iloc[::-1], None, tmp_path, Limits())
    assert tools.read_samples(filesets[0])["participant_id"].tolist() == phenotypes.index.tolist()[::-1]
    shares, pairs = greml_programs.run_bolt(filesets, found.samples, (phenotypes, covariates), Limits(), 0.95)
    assert (shares["h2"] == 0.451766).all()
    assert shares["variants"].tolist() == [400] * 3
    assert pairs[["rg", "se", "re", "re_se"]].to_numpy().tolist() == [[0.825073, 0.095596, 0.059938, 0.089027]] * 3
    assert shares["genetic_variance"].iloc[0] == pytest.approx(0.451766 * 0.847856)
    tables.write_table(shares, tmp_path / "shares.tsv", "greml_heritability")
    tables.write_table(pairs, tmp_path / "pairs.tsv", "greml_correlation")
    with pytest.raises(StudyError, match=r"BOLT-REML printed no estimate; its last words: .*ERROR: no"):
        greml_programs.read_bolt("something\nERROR: no\n")


@pytest.mark.slow
def test_bolt_itself_agrees_where_it_is_installed(made, plink, tmp_path):
    if not shutil.which("bolt"):
        pytest.skip("bolt is not installed (apt-get install bolt-lmm)")
    data, found, phenotypes, covariates = made
    two = phenotypes[["rnce", "features"]]
    for name, rows in (("a", slice(0, 200)), ("b", slice(200, 400))):
        bed.write_bed(bed.Genotypes(data.samples, data.variants[rows], data.calls[rows]), tmp_path / name)
    sources = [tmp_path / "a", tmp_path / "b"]
    filesets = greml_programs.make_filesets(sources, found.samples, None, tmp_path, Limits())
    shares, pairs = greml_programs.run_bolt(filesets, found.samples, (two, covariates), Limits(), 0.95)
    own, own_pairs = greml.estimate(copy(found), two, covariates)
    np.testing.assert_allclose(shares["h2"], own["h2"], atol=0.05)  # BOLT's likelihood is by sampling
    np.testing.assert_allclose(shares["se"], own["se"], rtol=0.15)
    np.testing.assert_allclose(pairs["rg"], own_pairs["rg"], atol=0.1)
