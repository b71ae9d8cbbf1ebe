import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from workflow_scripts.lib.genetics import sumstats
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
