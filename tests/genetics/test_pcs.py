import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.genetics import bed, pcs
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study.errors import StudyError

SETTINGS = {"count": 3, "build": "hg19", "prune_window": 50, "prune_step": 5, "prune_r2": 0.2, "min_maf": 0.05}


def test_the_first_component_is_the_planted_ancestry(study, cleaned, tmp_path):
    table, values = pcs.components(cleaned.prefix, SETTINGS, tmp_path, Limits(), 0)
    ancestry = study.phantom.people.set_index("participant_id")["ancestry"].reindex(table["participant_id"])
    assert abs(np.corrcoef(table["PC1"], ancestry == "B")[0, 1]) > 0.8
    assert values["eigenvalue"].is_monotonic_decreasing
    vectors = table[["PC1", "PC2", "PC3"]].to_numpy()
    assert np.allclose(vectors.T @ vectors, np.eye(3), atol=1e-3)


def test_no_components_on_request(cleaned, tmp_path):
    table, values = pcs.components(cleaned.prefix, SETTINGS | {"count": 0}, tmp_path, Limits(), 0)
    assert table.columns.tolist() == ["participant_id"]
    assert values.empty


def write(tmp_path, people, positions):
    calls = np.random.default_rng(0).binomial(2, 0.4, (len(positions), people)).astype(np.int8)
    variants = pd.DataFrame({"chrom": "6", "id": [f"v{pos}" for pos in positions], "cm": 0.0, "pos": positions})
    samples = pd.DataFrame({"participant_id": [f"p{row}" for row in range(people)], "sex": "F"})
    bed.write_bed(bed.Genotypes(samples, variants.assign(alt="T", ref="G"), calls), tmp_path / "a")
    return tmp_path / "a"


def test_regions_of_long_range_linkage_are_left_out(plink, tmp_path):
    inside, outside = np.arange(26_000_000, 26_000_300), np.arange(45_000_000, 45_000_100)
    prefix = write(tmp_path, 80, np.concatenate([inside, outside]))
    pcs.components(prefix, SETTINGS, tmp_path, Limits(), 0)
    used = (tmp_path / "prune.prune.in").read_text().split()
    assert used
    assert all(name.startswith("v45") for name in used)


def test_too_few_people_are_refused(tmp_path):
    prefix = write(tmp_path, 40, np.arange(45_000_000, 45_000_100))
    with pytest.raises(StudyError, match=r"40 people passed .* at least 50.*count: 0"):
        pcs.components(prefix, SETTINGS, tmp_path, Limits(), 0)


@pytest.mark.parametrize("build", ["hg19", "hg38"])
def test_the_major_histocompatibility_complex_is_a_region(build, tmp_path):
    pcs.write_regions(build, tmp_path / "regions.txt")
    rows = [line.split() for line in (tmp_path / "regions.txt").read_text().splitlines()]
    assert all(int(first) < int(last) for _, first, last, _ in rows)
    assert any(chrom == "6" and int(first) <= 29_000_000 and int(last) >= 33_000_000 for chrom, first, last, _ in rows)
