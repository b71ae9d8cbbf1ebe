import subprocess

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from workflow_scripts.lib.genetics import bed
from workflow_scripts.lib.study.errors import StudyError

CALLS = arrays.arrays(np.int8, st.tuples(st.integers(1, 9), st.integers(1, 13)), elements=st.integers(-1, 2))


def make(calls):
    variants = pd.DataFrame({"chrom": "1", "id": [f"v{row}" for row in range(len(calls))], "cm": 0.5})
    variants = variants.assign(pos=np.arange(len(calls)) + 1000, alt="T", ref="G")
    samples = pd.DataFrame({"participant_id": [f"0{column}" for column in range(calls.shape[1])], "sex": "F"})
    samples.loc[0, "sex"] = "M"
    return bed.Genotypes(samples, variants, calls)


@given(CALLS)
def test_unpack_undoes_pack(calls):
    assert np.array_equal(bed.unpack(bed.pack(calls), calls.shape[1]), calls)


def test_plink2_reads_the_same_calls(plink, tmp_path):
    calls = np.random.default_rng(0).integers(-1, 3, (50, 61)).astype(np.int8)
    genotypes = make(calls)
    bed.write_bed(genotypes, tmp_path / "a")
    # plink2 writes copies of the allele that --export-allele names
    genotypes.variants[["id", "alt"]].to_csv(tmp_path / "alleles.txt", sep="\t", header=False, index=False)
    command = ["plink2", "--bfile", "a", "--export", "A", "--export-allele", "alleles.txt", "--out", "a"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    table = pd.read_csv(tmp_path / "a.raw", sep="\t", dtype={"IID": str})
    assert table["IID"].tolist() == genotypes.samples["participant_id"].tolist()
    assert table["SEX"].tolist() == [1] + [2] * 60
    assert np.array_equal(table.iloc[:, 6:].fillna(-1).to_numpy().T, calls)


def test_reads_what_plink2_wrote(plink, tmp_path):
    genotypes = make(np.random.default_rng(1).integers(-1, 3, (20, 7)).astype(np.int8))
    bed.write_bed(genotypes, tmp_path / "a")
    command = ["plink2", "--bfile", "a", "--make-bed", "--out", "b"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    read = bed.read_bed(tmp_path / "b")
    assert np.array_equal(read.calls, genotypes.calls)
    pd.testing.assert_frame_equal(read.samples, genotypes.samples)
    assert read.variants["alt"].tolist() == ["T"] * 20


def test_a_bed_file_of_the_wrong_size_is_refused(tmp_path):
    bed.write_bed(make(np.zeros((3, 5), np.int8)), tmp_path / "a")
    path = tmp_path / "a.bed"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StudyError, match="5 bytes of genotypes, expected 6"):
        bed.read_bed(tmp_path / "a")


def test_filesets_of_the_same_people_are_joined(tmp_path):
    random = np.random.default_rng(2)
    parts = [make(random.integers(-1, 3, (count, 7)).astype(np.int8)) for count in (3, 1, 5)]
    for place, part in enumerate(parts):
        bed.write_bed(part, tmp_path / str(place))
    bed.concatenate_beds([tmp_path / str(place) for place in range(3)], tmp_path / "joined")
    joined = bed.read_bed(tmp_path / "joined")
    assert np.array_equal(joined.calls, np.concatenate([part.calls for part in parts]))
    assert joined.variants["id"].tolist() == [name for part in parts for name in part.variants["id"]]


def test_filesets_of_other_people_are_not_joined(tmp_path):
    for place, people in enumerate((7, 8)):
        bed.write_bed(make(np.zeros((3, people), np.int8)), tmp_path / str(place))
    with pytest.raises(StudyError, match="the people differ"):
        bed.concatenate_beds([tmp_path / "0", tmp_path / "1"], tmp_path / "joined")
