import numpy as np
import pandas as pd
import pytest

from tests.genetics import heritable
from workflow_scripts.lib.genetics import bed, grm
from workflow_scripts.lib.genetics.grm import Grm
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study.errors import StudyError


@pytest.fixture(scope="module")
def made(plink, tmp_path_factory):
    """Matrices by plink2 of each of two chromosomes and of both, with missing calls; 5 of 90 people left out."""
    folder = tmp_path_factory.mktemp("grm")
    data = heritable.genotypes(90, 60, 4, np.random.default_rng(3))
    data.calls[np.random.default_rng(4).uniform(size=data.calls.shape) < 0.03] = -1
    keep = data.samples["participant_id"][5:]
    (folder / "keep.txt").write_text("#IID\n" + "\n".join(keep) + "\n")
    for name in ("all", "1", "2"):
        rows = np.flatnonzero(data.variants["chrom"].isin(["1", "2"] if name == "all" else [name]))
        bed.write_bed(bed.Genotypes(data.samples, data.variants.iloc[rows], data.calls[rows]), folder / f"raw{name}")
        grm.make_part(folder / f"raw{name}", folder / "keep.txt", folder / name, None, Limits())
    return folder, data, keep.tolist()


def test_parts_joined_equal_the_matrix_over_all_variants(made):
    folder, data, keep = made
    whole, joined = grm.read([folder / "all"]), grm.read([folder / "1", folder / "2"])
    assert whole.samples["participant_id"].tolist() == keep
    pd.testing.assert_frame_equal(whole.samples, joined.samples)
    np.testing.assert_allclose(joined.matrix, whole.matrix, atol=2e-6)
    assert whole.variants == joined.variants
    assert 230 < whole.variants <= len(data.variants)  # the most complete of 85 people


def test_the_matrix_is_the_mean_product_of_standardised_genotypes(made):
    folder, data, _ = made
    calls = data.calls[:, 5:].astype(float)
    calls[calls < 0] = np.nan
    frequency = np.nanmean(calls, axis=1, keepdims=True) / 2
    values = (calls - 2 * frequency) / np.sqrt(2 * frequency * (1 - frequency))
    shared = (~np.isnan(values)).astype(float)
    expected = np.nan_to_num(values).T @ np.nan_to_num(values) / (shared.T @ shared)
    np.testing.assert_allclose(grm.read([folder / "all"]).matrix, expected, atol=2e-5)


def test_some_peoples_rows_are_read_whatever_the_size_of_blocks(made, monkeypatch):
    folder, _, keep = made
    whole = grm.read([folder / "all"])
    wanted = {*keep[3:50:4], keep[-1], "nobody"}
    monkeypatch.setattr(grm, "BLOCK", 200)
    some = grm.read([folder / "1", folder / "2"], wanted)
    place = np.flatnonzero(whole.samples["participant_id"].isin(wanted))
    assert some.samples["participant_id"].tolist() == [keep[row] for row in place]
    np.testing.assert_allclose(some.matrix, whole.matrix[np.ix_(place, place)], atol=2e-6)


def test_variants_can_be_chosen(made, tmp_path):
    folder, data, _ = made
    (tmp_path / "some.txt").write_text("\n".join(data.variants["id"][:120:2]) + "\n")
    grm.make_part(folder / "rawall", folder / "keep.txt", tmp_path / "some", tmp_path / "some.txt", Limits())
    assert 56 < grm.read([tmp_path / "some"]).variants <= 60


def test_a_matrix_written_is_read_again(made, tmp_path):
    whole = grm.read([made[0] / "all"])
    grm.write(whole, tmp_path / "again")
    again = grm.read([tmp_path / "again"])
    np.testing.assert_allclose(again.matrix, whole.matrix, rtol=1e-6, atol=1e-8)
    pd.testing.assert_frame_equal(again.samples, whole.samples)
    assert again.variants == whole.variants


def write(folder, name, ids, values):
    rows = np.tril_indices(len(ids))
    samples = pd.DataFrame({"fid": "0", "participant_id": ids})
    grm.write(Grm(samples, values, 10), folder / name)
    return rows


def test_parts_of_other_people_are_refused(tmp_path):
    write(tmp_path, "1", ["a", "b"], np.eye(2))
    write(tmp_path, "2", ["b", "a"], np.eye(2))
    with pytest.raises(StudyError, match=r"2\.grm\.id: people differ from those of .*1\.grm\.id"):
        grm.read([tmp_path / "1", tmp_path / "2"])


def test_a_file_cut_short_is_refused(tmp_path):
    write(tmp_path, "1", ["a", "b"], np.eye(2))
    path = tmp_path / "1.grm.N.bin"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(StudyError, match=r"found 8 bytes, expected 12 for the 2 people"):
        grm.read([tmp_path / "1"])
    with pytest.raises(StudyError, match="no such file"):
        grm.read([tmp_path / "3"])


def test_people_without_a_call_in_common_are_named(tmp_path):
    write(tmp_path, "1", ["ann", "bob"], np.eye(2))
    (tmp_path / "1.grm.N.bin").write_bytes(np.array([10, 0, 10], "<f4").tobytes())
    with pytest.raises(StudyError, match="'bob' and 'ann' have no call at any variant in common"):
        grm.read([tmp_path / "1"])


def test_of_relatives_the_one_with_most_leaves():
    matrix = np.eye(5)
    for i, j in ((0, 1), (0, 2), (3, 4)):  # 0 is related to two
        matrix[i, j] = matrix[j, i] = 0.3
    matrix[1, 3] = matrix[3, 1] = 0.04
    found = Grm(pd.DataFrame({"fid": "0", "participant_id": list("abcde")}), matrix, 10)
    assert grm.unrelated(found, 0.05) == {"b", "c", "d"}
    assert grm.unrelated(found, 0.5) == set("abcde")
    kept = grm.subset(found, {"b", "d"})
    np.testing.assert_array_equal(kept.matrix, [[1, 0.04], [0.04, 1]])
    assert grm.subset(found, set("abcde")) is found
