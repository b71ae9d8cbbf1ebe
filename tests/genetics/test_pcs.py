import re

import numpy as np
import pandas as pd
import pytest

from tests.genetics.conftest import PCS
from workflow_scripts.lib.genetics import bed, pcs, tools
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study.errors import StudyError


@pytest.fixture(scope="module")
def thinned(cleaned, tmp_path_factory):
    """The phantom's independent common variants after quality control: a prefix."""
    out = tmp_path_factory.mktemp("thin")
    (out / "work").mkdir()
    pcs.thin_genotypes(cleaned.parts, cleaned.people, PCS, "hg19", out / "genotypes", out / "work", Limits())
    return out / "genotypes"


def test_the_first_component_is_the_planted_ancestry(study, thinned, tmp_path):
    table, values = pcs.components(thinned, 3, tmp_path, Limits(), 0)
    ancestry = study.phantom.people.set_index("participant_id")["ancestry"].reindex(table["participant_id"])
    assert abs(np.corrcoef(table["PC1"], ancestry == "B")[0, 1]) > 0.8
    assert values["eigenvalue"].is_monotonic_decreasing
    vectors = table[["PC1", "PC2", "PC3"]].to_numpy()
    assert np.allclose(vectors.T @ vectors, np.eye(3), atol=1e-3)


def test_components_are_those_of_the_relationship_matrix(thinned, tmp_path):
    """Eigenvectors of the mean product of standardised calls (Price et al. 2006), by numpy."""
    table, values = pcs.components(thinned, 3, tmp_path, Limits(), 0)
    calls = bed.read_bed(thinned).calls.astype(float)
    calls[calls < 0] = np.nan
    frequency = np.nanmean(calls, axis=1, keepdims=True) / 2
    scaled = np.nan_to_num((calls - 2 * frequency) / np.sqrt(2 * frequency * (1 - frequency)))
    eigenvalues, vectors = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    # plink2 counts only variants called in both people, these are 0.05% fewer
    assert values["eigenvalue"].to_numpy() == pytest.approx(eigenvalues[::-1][:3], rel=0.01)
    for place in range(3):
        assert abs(vectors[:, -1 - place] @ table[f"PC{place + 1}"]) > 0.99


def test_the_randomised_algorithm_is_used_for_many_people_and_repeats(thinned, tmp_path, monkeypatch):
    exact, _ = pcs.components(thinned, 2, tmp_path, Limits(), 0)
    monkeypatch.setattr(pcs, "EXACT_BELOW", 10)
    one, other = (pcs.components(thinned, 2, tmp_path, Limits(), 7)[0] for _ in range(2))
    pd.testing.assert_frame_equal(one, other)
    assert "approx" in (tmp_path / "pca.log").read_text()
    assert abs(np.corrcoef(one["PC1"], exact["PC1"])[0, 1]) > 0.99


def test_thinned_variants_are_common_independent_and_of_the_people_left(cleaned, thinned):
    genotypes = bed.read_bed(thinned)
    assert genotypes.samples["participant_id"].tolist() == tools.read_ids(cleaned.people)["participant_id"].tolist()
    calls = np.where(genotypes.calls < 0, np.nan, genotypes.calls)
    frequency = np.nanmean(calls, axis=1) / 2
    assert np.minimum(frequency, 1 - frequency).min() >= PCS["min_maf"]
    full = calls[(genotypes.variants["chrom"] == "1").to_numpy()][:40]
    r2 = np.triu(np.corrcoef(np.nan_to_num(full, nan=1.0)) ** 2, 1)
    assert r2.max() < PCS["prune_r2"] + 0.05  # missing calls are treated otherwise


def test_no_components_on_request(cleaned):
    table, values = pcs.no_components(tools.read_ids(cleaned.people))
    assert table.columns.tolist() == ["participant_id"]
    assert values.empty


def write(tmp_path, people, positions):
    calls = np.random.default_rng(0).binomial(2, 0.4, (len(positions), people)).astype(np.int8)
    variants = pd.DataFrame({"chrom": "6", "id": [f"v{pos}" for pos in positions], "cm": 0.0, "pos": positions})
    samples = pd.DataFrame({"participant_id": [f"p{row}" for row in range(people)], "sex": "F"})
    bed.write_bed(bed.Genotypes(samples, variants.assign(alt="T", ref="G"), calls), tmp_path / "a")
    tools.write_ids(samples.assign(fid="0"), tmp_path / "people.txt")
    return tmp_path / "a"


def thin(tmp_path, prefix, **changes):
    given = ({"6": prefix}, tmp_path / "people.txt", PCS | changes, "hg19", tmp_path / "thin", tmp_path, Limits())
    return pcs.thin_genotypes(*given)


def test_regions_of_long_range_linkage_are_left_out(plink, tmp_path):
    inside, outside = np.arange(26_000_000, 26_000_300), np.arange(45_000_000, 45_000_100)
    assert thin(tmp_path, write(tmp_path, 80, np.concatenate([inside, outside]))) <= 100
    used = pd.read_csv(tmp_path / "thin.bim", sep="\t", header=None)[1]
    assert len(used)
    assert used.str.startswith("v45").all()


def test_at_most_so_many_variants_are_pruned_spread_evenly(plink, tmp_path):
    prefix = write(tmp_path, 80, np.arange(45_000_000, 45_000_800))
    # chromosome 6 is 5.9% of the autosomes
    assert thin(tmp_path, prefix, max_variants=1000, prune_r2=0.99) == 59
    gaps = np.diff(pd.read_csv(tmp_path / "thin.bim", sep="\t", header=None)[3])
    assert set(gaps) <= {13, 14}


def test_too_few_people_are_refused(tmp_path):
    prefix = write(tmp_path, 40, np.arange(45_000_000, 45_000_100))
    with pytest.raises(StudyError, match=r"40 people passed .* at least 50.*count: 0"):
        thin(tmp_path, prefix)
    with pytest.raises(StudyError, match=r"40 people passed .* at least 50.*count: 0"):
        pcs.components(prefix, 3, tmp_path, Limits(), 0)


PEOPLE = pd.DataFrame({"fid": "0", "participant_id": ["007", "008", "009"]})


def test_components_of_a_users_table(tmp_path):
    (tmp_path / "pcs.tsv").write_text("#FID IID PC1_AVG PC2_AVG PC3_AVG\n0 009 1 2 3\n0 007 4 NA 6\n0 x 7 8 9\n")
    table, values = pcs.components_of_table(tmp_path / "pcs.tsv", PEOPLE, 1)
    assert table.to_dict("records") == [{"participant_id": "007", "PC1": 4}, {"participant_id": "009", "PC1": 1}]
    assert values["component"].tolist() == ["PC1"]
    table, _ = pcs.components_of_table(tmp_path / "pcs.tsv", PEOPLE, 2)
    assert table["participant_id"].tolist() == ["009"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("eid,a\n007,1\n", r"found 1 columns .*expected 2 genetic components"),
        ("eid,a,b\n007,1,x\n", r"column 'PC2'|column 'b': found text"),
        ("eid,a,b\n7,1,2\n", r"none of the 3 people .*007, 008"),
        ("name,a,b\n7,1,2\n", r"found columns name, a, b; expected one of ids"),
    ],
)
def test_a_users_table_of_components_that_does_not_fit_is_refused(tmp_path, text, message):
    (tmp_path / "pcs.csv").write_text(text)
    with pytest.raises(StudyError, match=message):
        pcs.components_of_table(tmp_path / "pcs.csv", PEOPLE, 2)


@pytest.mark.parametrize("build", ["hg19", "hg38"])
def test_the_major_histocompatibility_complex_is_a_region(build, tmp_path):
    pcs.write_regions(build, tmp_path / "regions.txt")
    rows = [line.split() for line in (tmp_path / "regions.txt").read_text().splitlines()]
    assert all(int(first) < int(last) for _, first, last, _ in rows)
    assert any(chrom == "6" and int(first) <= 29_000_000 and int(last) >= 33_000_000 for chrom, first, last, _ in rows)


def test_every_region_of_long_range_linkage_is_left_out_on_both_builds():
    """Coordinates of the builds differ by less than 3 Mb there."""
    regions = {build: [re.split("[:-]", text) for text in pcs.LONG_RANGE[build].split()] for build in ("hg19", "hg38")}
    for one, other in (("hg19", "hg38"), ("hg38", "hg19")):
        for chrom, start, end in regions[one]:
            near = [row for row in regions[other] if row[0] == chrom]
            assert any(float(row[1]) - 3 < float(end) and float(start) < float(row[2]) + 3 for row in near), (
                chrom,
                start,
            )
