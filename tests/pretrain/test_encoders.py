"""Encoders of whole volumes give one table; the user's own are checked against what the study has."""

import numpy as np
import pandas as pd
import pytest
import torch

from tests.pretrain import small_study
from workflow_scripts.lib.imaging.contract import registered_contract
from workflow_scripts.lib.models import weights
from workflow_scripts.lib.models.encoder import PatchEncoder
from workflow_scripts.lib.pretrain import encoders
from workflow_scripts.lib.study import ids
from workflow_scripts.lib.study.errors import LeakageError, StudyError

CPU = torch.device("cpu")
SCANS = small_study.scans()


@pytest.fixture
def shards(tmp_path):
    return small_study.write_store(tmp_path / "store", patches=("cube",))


class Mean(torch.nn.Module):
    """Two numbers a volume: mean of the left and of the right half."""

    def forward(self, volumes):
        left, right = volumes.chunk(2, dim=2)
        return torch.stack([left.mean(dim=(1, 2, 3, 4)), right.mean(dim=(1, 2, 3, 4))], dim=1)


def encoder(**changes):
    return encoders.Encoder(
        **{"network": Mean(), "volume": "cube", "rule": "unit", "flip": False, "name": "x", **changes}
    )


def test_a_table_has_a_row_for_each_scan_in_order(shards):
    table = encoders.embed_scans(encoder(), shards, SCANS.sample(frac=1, random_state=1), CPU, "mine")
    assert table.columns.tolist() == ["scan_id", "participant_id", "mine_00", "mine_01"]
    assert table["scan_id"].tolist() == SCANS["scan_id"].tolist()
    voxels = np.random.default_rng([0, 7]).integers(0, 255, small_study.SHAPE, dtype=np.uint8) / 255
    assert table.loc[7, "mine_00"] == pytest.approx(voxels[:3].mean(), rel=1e-5)


def test_flip_swaps_left_and_right(shards):
    plain, flipped = (encoders.embed_scans(encoder(flip=flip), shards, SCANS, CPU, "m") for flip in (False, True))
    np.testing.assert_allclose(plain["m_00"], flipped["m_01"], rtol=1e-5)


def test_weights_of_the_workflow_say_by_themselves_what_they_read(shards, tmp_path):
    contract = registered_contract({"spacing_mm": 8, "parameters": 7})
    card = {
        "input": {"location": "cube", "grid": list(small_study.SHAPE), "rule": "stored", "volume": contract.to_json()},
        "intensity": "stored",
        "participants": ids.participant_hashes(["s03"]),
        "seed": 1,
        "metrics": {},
        "source": "a test",
    }
    network = PatchEncoder(8)
    weights.save_weights(network, tmp_path / "w.safetensors", card)
    found, read = encoders.load_own({"weights": str(tmp_path / "w.safetensors")}, "mine")
    table = encoders.embed_scans(found, shards, SCANS, CPU, "m")
    assert table.shape == (small_study.SCANS, 10)
    with pytest.raises(LeakageError, match="s03"):
        weights.refuse_seen(read, ["s02", "s03"], "mine")
    weights.save_weights(network, tmp_path / "w.safetensors", card | {"input": card["input"] | {"grid": [6, 7, 9]}})
    other, _ = encoders.load_own({"weights": str(tmp_path / "w.safetensors")}, "mine")
    with pytest.raises(StudyError, match=r"trained on volumes of \(6, 7, 9\) voxels"):
        encoders.embed_scans(other, shards, SCANS, CPU, "m")
    wrong = card | {"input": card["input"] | {"volume": contract.to_json() | {"spacing_mm": 2.0}}}
    weights.save_weights(network, tmp_path / "w.safetensors", wrong)
    other, _ = encoders.load_own({"weights": str(tmp_path / "w.safetensors")}, "mine")
    with pytest.raises(StudyError, match="spacing_mm: found 8, expected 2"):
        encoders.embed_scans(other, shards, SCANS, CPU, "m")


def test_weights_of_an_aggregator_are_refused(shards, tmp_path):
    card = {"input": {"tokens": [18, 64]}, "architecture": {"name": "Aggregator"}}
    with pytest.raises(StudyError, match="not whole volumes"):
        encoders.Encoder.from_card(Mean(), card, "w")


def test_a_script_of_the_users_joins(shards, tmp_path):
    torch.jit.trace(PatchEncoder(4).eval(), torch.rand(2, 1, *small_study.SHAPE)).save(tmp_path / "e.pt")
    entry = {"torchscript": str(tmp_path / "e.pt"), "volume": "cube", "intensity": "zscore", "flip": False}
    found, card = encoders.load_own(entry, "mine")
    assert card is None
    table = encoders.embed_scans(found, shards, SCANS, CPU, "mine")
    assert table.filter(like="mine_").shape == (small_study.SCANS, 4)
    assert table.filter(like="mine_").std().min() > 0


def test_numbers_that_are_not_finite_are_refused(shards):
    class Broken(torch.nn.Module):
        def forward(self, volumes):
            return torch.full((len(volumes), 2), torch.nan)

    with pytest.raises(StudyError, match="finite"):
        encoders.embed_scans(encoder(network=Broken()), shards, SCANS, CPU, "m")


def own(**columns):
    return pd.DataFrame({"scan_id": SCANS["scan_id"], "a": range(small_study.SCANS), "b": 1.5, **columns})


def test_a_table_of_the_users_keeps_what_the_study_has(caplog):
    caplog.set_level("INFO")
    given = own().iloc[5:].sample(frac=1, random_state=0)
    table = encoders.own_table(pd.concat([given, own().iloc[:1].assign(scan_id="stranger_1")]), SCANS, "mine.tsv")
    assert table["scan_id"].tolist() == SCANS["scan_id"].tolist()[5:]
    assert table["a"].tolist() == list(range(5, small_study.SCANS))
    assert "mine.tsv: 35 of 40 included scans" in caplog.text
    assert "mine.tsv: 1 rows are of no included scan, the first is 'stranger_1'" in caplog.text


def test_a_table_by_participant_gives_its_row_to_each_scan():
    given = own().rename(columns={"scan_id": "participant_id"}).assign(participant_id=SCANS["participant_id"])
    table = encoders.own_table(given, SCANS, "mine.tsv")
    assert table["a"].tolist() == list(range(small_study.SCANS))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (own().rename(columns={"scan_id": "id"}), "expected scan_id among them"),
        (pd.concat([own(), own()]), "stands twice"),
        (own(c="text"), "column 'c' is no number"),
        (own()[["scan_id"]], "no column of numbers"),
        (own(scan_id="nobody").iloc[:1], "none of its 1 rows is an included scan"),
    ],
)
def test_tables_that_are_none_are_refused(table, message):
    with pytest.raises(StudyError, match=message):
        encoders.own_table(table, SCANS, "mine.tsv")
