import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from workflow_scripts.lib.genetics import gwas, sumstats, tools
from workflow_scripts.lib.study.errors import StudyError


def table(**changes):
    row = {"id": "v", "ref": "A", "alt": "C", "a1": "C", "a1_freq": 0.3, "n": 100, "beta": 0.5, "p": 0.01} | changes
    good = [{"ref": "G", "alt": "A", "a1": "A", "a1_freq": 0.4, "n": 100, "beta": -1.0, "p": 0.2} for _ in range(9)]
    return pd.DataFrame([*({"id": f"good{index}"} | one for index, one in enumerate(good)), row])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ref": "A", "alt": "T", "a1": "T"}, "strand-ambiguous alleles"),
        ({"ref": "C", "alt": "G", "a1": "G"}, "strand-ambiguous alleles"),
        ({"ref": "C", "alt": "CAT", "a1": "CAT"}, "not a single-base variant"),
        ({"p": 0.0}, "p outside (0, 1]"),
        ({"p": np.nan}, "missing statistics"),
        ({"a1_freq": 0.995}, "minor allele frequency below 0.01"),
        ({"id": "good3"}, "id repeated"),
        ({"n": 40}, "few people"),
    ],
)
def test_what_ldsc_cannot_use_is_dropped_and_counted(changes, reason):
    munged, dropped = sumstats.munge(table(**changes))
    assert munged["SNP"].tolist() == [f"good{index}" for index in range(9)]
    counts = dropped.set_index("reason")["variants"]
    assert counts[reason] == 1
    assert counts["kept"] == 9
    assert counts.sum() == 10


@pytest.mark.parametrize(("a1", "a2"), [("C", "A"), ("A", "C")])
def test_the_other_allele_is_the_true_one(a1, a2):
    munged, _ = sumstats.munge(table(a1=a1))
    assert munged.set_index("SNP").loc["v", ["A1", "A2"]].tolist() == [a1, a2]


@given(st.floats(1e-200, 1.0), st.floats(-5, 5).filter(lambda beta: abs(beta) > 1e-3))
def test_z_has_the_p_value_and_the_sign_of_the_effect(p, beta):
    z = sumstats.munge(table(p=p, beta=beta))[0].set_index("SNP").loc["v", "Z"]
    assert 2 * stats.norm.sf(abs(z)) == pytest.approx(p, rel=1e-6)
    assert z * beta >= 0


def test_nothing_left_is_an_error_with_counts():
    with pytest.raises(StudyError, match="strand-ambiguous alleles: 10"):
        sumstats.munge(table().assign(ref="A", alt="T", a1="T"))


def results(count: int = 400, seed: int = 0) -> pd.DataFrame:
    """Results with every kind of fault, alleles of all kinds, and a1 = alt."""
    random = np.random.default_rng(seed)
    alleles = random.choice(["A", "C", "G", "T", "CAT"], (2, count), p=[0.24, 0.24, 0.24, 0.24, 0.04])
    same = alleles[0] == alleles[1]
    alleles[:, same] = [["A"], ["G"]]
    frame = pd.DataFrame({"id": [f"rs{row}" for row in range(count)], "ref": alleles[0], "alt": alleles[1]})
    frame = frame.assign(a1=frame["alt"], a1_freq=random.uniform(0, 1, count), n=random.integers(50, 100, count))
    frame = frame.assign(beta=0.02 * random.normal(size=count), p=random.uniform(size=count) ** 4)
    frame.loc[5, "p"] = np.nan
    frame.loc[6, "id"] = "rs7"
    return frame


@pytest.mark.parametrize("size", [400, 60])
def test_chunks_change_nothing(size):
    frame = results()
    whole = sumstats.munge(frame, 0.05)
    chunks = (frame.iloc[start : start + size] for start in range(0, len(frame), size))
    for one, other in zip(whole, sumstats.munge(chunks, 0.05), strict=True):
        pd.testing.assert_frame_equal(one, other, check_dtype=False)


def ldsc_munge(frame: pd.DataFrame, folder, *flags: str) -> pd.DataFrame:
    if not tools.available("munge_sumstats.py"):
        pytest.skip("munge_sumstats.py is not installed (./run makes .venv/tools)")
    frame.to_csv(folder / "in.txt", sep="\t", index=False, na_rep="NA")
    given = ["--sumstats", "in.txt", "--out", "out", "--signed-sumstats", "beta,0", "--snp", "id", "--p", "p"]
    tools.call(tools.find("munge_sumstats.py"), [*given, *flags], folder=folder)
    munged = pd.read_csv(folder / "out.sumstats.gz", sep="\t", keep_default_na=False, na_values=[""])
    return munged.dropna().sort_values("SNP").reset_index(drop=True)


def assert_same(ours: pd.DataFrame, theirs: pd.DataFrame):
    ours = ours.sort_values("SNP").reset_index(drop=True)
    assert ours[["SNP", "A1", "A2"]].values.tolist() == theirs[["SNP", "A1", "A2"]].values.tolist()
    np.testing.assert_array_equal(ours["N"], theirs["N"])
    np.testing.assert_allclose(ours["Z"], theirs["Z"], atol=0.0005 + 1e-9)  # theirs has three decimals


def test_equals_what_ldsc_munges(tmp_path):
    frame = results()
    given = frame.rename(columns={"a1_freq": "FRQ", "n": "N"}).assign(a2=frame["ref"])
    flags = ["--a1", "a1", "--a2", "a2", "--ignore", "ref,alt"]
    assert_same(sumstats.munge(frame)[0], ldsc_munge(given, tmp_path, *flags))


def test_literal_loses_what_the_published_call_loses(tmp_path):
    frame = results()
    rare = frame["a1_freq"] <= 0.5
    # what plink2 writes by default: effects are of the rarer allele
    plink = frame.assign(a1=frame["alt"].where(rare, frame["ref"]), beta=frame["beta"].where(rare, -frame["beta"]))
    given = plink.rename(columns={"n": "N"}).drop(columns="a1_freq")
    munged, dropped = sumstats.munge(frame, 0.0, literal=True)
    assert_same(munged, ldsc_munge(given, tmp_path, "--a1", "a1", "--a2", "ref", "--ignore", "alt"))
    lost = dropped.set_index("reason")["variants"]["reference allele named twice"]
    # A1 is the rarer allele already, as results of other programs have it
    again = sumstats.munge(plink.assign(a1_freq=np.minimum(frame["a1_freq"], 1 - frame["a1_freq"])), 0.0, literal=True)
    pd.testing.assert_frame_equal(again[0], munged)
    whole = sumstats.munge(frame, 0.0)[0]
    assert lost > 0 and len(whole) - lost <= len(munged) < len(whole)  # a repeated id may have been among the lost


def test_a_list_of_variants_is_merged_as_ldsc_does(tmp_path):
    frame = results()
    listed = frame.iloc[:200][["id", "alt", "ref"]].set_axis(["SNP", "A1", "A2"], axis=1)
    listed = listed[~listed["SNP"].duplicated()]
    flip = listed.index % 3 == 0
    listed.loc[flip, ["A1", "A2"]] = listed.loc[flip, ["A2", "A1"]].values
    strand = listed.index % 4 == 0
    listed.loc[strand, ["A1", "A2"]] = listed.loc[strand, ["A1", "A2"]].replace(sumstats.COMPLEMENT)
    listed.loc[listed.index % 25 == 1, "A1"] = "T"
    listed.to_csv(tmp_path / "list.txt", sep=" ", index=False)
    given = frame.rename(columns={"a1_freq": "FRQ", "n": "N"}).assign(a2=frame["ref"])
    flags = ["--a1", "a1", "--a2", "a2", "--ignore", "ref,alt", "--merge-alleles", "list.txt"]
    munged, dropped = sumstats.munge(frame, snps=sumstats.read_snps(tmp_path / "list.txt"))
    assert_same(munged, ldsc_munge(given, tmp_path, *flags))
    counts = dropped.set_index("reason")["variants"]
    assert counts["not in the list of variants"] > 100
    assert counts["alleles differ from the list"] > 0


def test_a_list_may_be_ids_alone_and_must_say_where_ids_are(tmp_path):
    (tmp_path / "ids.txt").write_text("rs1\nrs2\n")
    assert sumstats.read_snps(tmp_path / "ids.txt")["SNP"].tolist() == ["rs1", "rs2"]
    (tmp_path / "bad.txt").write_text("rs1 A C\nrs2 A C\n")
    with pytest.raises(StudyError, match="found columns rs1, A, C; expected a header with SNP"):
        sumstats.read_snps(tmp_path / "bad.txt")


def test_p_values_too_low_for_a_float_keep_their_z():
    frame = table().assign(neg_log10_p=-np.log10(table()["p"]))
    frame.loc[frame["id"] == "v", ["p", "neg_log10_p"]] = [1e-307, 400.0]
    z = sumstats.munge(frame)[0].set_index("SNP")["Z"]["v"]
    assert (np.log(2) + stats.norm.logsf(z)) / np.log(10) == pytest.approx(-400, rel=1e-9)


def test_results_are_read_in_chunks_with_missing_values(tmp_path, monkeypatch):
    frame = results()
    gwas.write_gzip(frame.assign(chrom="1", pos=1, se=1.0, t=1.0), tmp_path / "a.tsv.gz")
    monkeypatch.setattr(sumstats, "CHUNK", 70)
    ours = sumstats.munge(sumstats.read_results(tmp_path / "a.tsv.gz"))
    for one, other in zip(ours, sumstats.munge(frame), strict=True):
        pd.testing.assert_frame_equal(one, other, check_dtype=False)
