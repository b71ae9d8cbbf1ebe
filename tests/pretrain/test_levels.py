import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from tests.pretrain import small_study
from workflow_scripts.lib.models.encoder import PatchEncoder
from workflow_scripts.lib.pretrain import levels, losses, runs
from workflow_scripts.lib.pretrain import tokens as token_files
from workflow_scripts.lib.pretrain.data import PatchSource
from workflow_scripts.lib.pretrain.loop import Schedule
from workflow_scripts.lib.pretrain.settings import Method, Settings
from workflow_scripts.lib.study.errors import StudyError

CPU = torch.device("cpu")
IDS = small_study.scans()["scan_id"].tolist()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def settings(objective, level="patch", **method):
    schedule = Schedule(epochs=1, batch=20, learning_rate=0.01)
    return Settings(1, objective, level, Method(objective, **method), schedule, representation=8)


@pytest.fixture
def source(tmp_path):
    return PatchSource(small_study.write_store(tmp_path), "one", IDS, CPU)


@pytest.fixture
def tokens():
    return np.random.default_rng(0).standard_normal((30, 6, 8)).astype(np.float32)


@pytest.fixture
def covered():
    return np.repeat(np.eye(6, dtype=bool), 2, axis=1)  # two features a location


def test_patch_step_is_the_loss_of_both_views_through_one_encoder(source):
    auxiliary = small_study.auxiliary()
    level = levels.PatchLevel(settings("rnce", temperature=0.3), source, auxiliary)
    rows = np.arange(20, 40)
    loss, report = level.step(rows, generator())
    h = level.encoder(source.batch(rows))  # no augmentation: both views are the patches themselves
    a = torch.from_numpy(auxiliary[rows])
    expected, _ = losses.r_nce(h, h, a, a, temperature=0.3, stacked=True)
    torch.testing.assert_close(loss, expected, rtol=1e-3, atol=1e-4)
    assert report["alignment"].item() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("projector", [True, False])
@pytest.mark.parametrize("objective", ["simclr", "barlow", "rnce"])
def test_step_without_auxiliary_features(source, objective, projector):
    """R-NCE without them is its contrastive term on the representation."""
    level = levels.PatchLevel(settings(objective, projector=projector), source, None)
    loss, report = level.step(np.arange(10), generator())
    assert {"alignment", "uniformity"} < set(report)
    loss.backward()
    assert all(p.grad is not None for p in level.parameters())
    if objective == "rnce":
        other = levels.PatchLevel(settings("simclr", projector=projector), source, None)
        other.load_state_dict(level.state_dict())
        torch.testing.assert_close(loss, other.step(np.arange(10), generator())[0])


def test_barlow_step_is_the_loss_of_both_views(source):
    level = levels.PatchLevel(settings("barlow", redundancy=0.1), source, None)
    loss, _ = level.step(np.arange(20), generator())
    h = level.encoder(source.batch(np.arange(20)))
    expected, _ = losses.barlow_twins(h, h, 0.1)
    torch.testing.assert_close(loss, expected, rtol=1e-3, atol=1e-4)


def test_image_step_uses_features_of_the_locations_of_each_view(tokens, covered, monkeypatch):
    auxiliary = np.random.default_rng(1).standard_normal((30, 12)).astype(np.float32)
    level = levels.ImageLevel(settings("rnce", "image"), tokens, auxiliary, covered, CPU)
    monkeypatch.setattr(levels, "split_locations", lambda *_: ([0, 4, 5], [1, 2, 3]))
    loss, _ = level.step(np.arange(29), generator())
    values, features = torch.from_numpy(tokens[:29]), torch.from_numpy(auxiliary[:29])
    h = [level.aggregator(values[:, subset], subset) for subset in ([0, 4, 5], [1, 2, 3])]
    expected, _ = losses.r_nce(*h, features[:, [0, 1, 8, 9, 10, 11]], features[:, 2:8], temperature=0.2, stacked=False)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)


def test_locations_are_split_fairly_into_two_filled_halves(covered):
    draws = generator()
    first = np.zeros(6)
    for _ in range(400):
        one, other = levels.split_locations(6, covered, draws)
        assert one and other
        assert sorted(one + other) == list(range(6))
        first[one] += 1
    np.testing.assert_allclose(first / 400, 0.5, atol=0.09)


def test_both_halves_cover_features():
    covered = np.zeros((6, 2), dtype=bool)
    covered[1, 0] = covered[4, 1] = True
    draws = generator()
    for _ in range(50):
        one, _ = levels.split_locations(6, covered, draws)
        assert (1 in one) != (4 in one)
    covered[4] = False
    with pytest.raises(StudyError, match="at least 2"):
        levels.split_locations(6, covered, draws)


def test_refreshed_normalisation_standardises_training_patches(source):
    torch.manual_seed(0)
    encoder = PatchEncoder(8)
    encoder.set_intensity(*source.intensity())
    levels.refresh_normalisation(encoder, source, batch=len(source))
    assert not encoder.training
    seen = []
    encoder.convolutions[1].register_forward_hook(lambda _, __, output: seen.append(output))
    levels.encode(encoder, source)
    # ELU works in place on what the hook kept: undo it
    kept = torch.cat(seen)
    values = torch.where(kept < 0, torch.log1p(kept), kept)
    assert values.mean(dim=(0, 2, 3, 4)).abs().max() < 0.02
    assert values.var(dim=(0, 2, 3, 4)).sub(1).abs().max() < 0.02
    assert {norm.momentum for norm in encoder.modules() if isinstance(norm, torch.nn.BatchNorm3d)} == {0.1}


def test_tokens_come_back_in_the_order_that_is_asked_for(source, tmp_path):
    encoder = PatchEncoder(8)
    values = levels.encode(encoder, source, batch=7)
    assert values.shape == (small_study.SCANS, 8)
    assert values.dtype == np.float32
    files, listings = [], []
    for chunk, patch in (("00", "right"), ("01", "left")):
        files.append(tmp_path / f"{chunk}.safetensors")
        listings.append(tmp_path / f"{chunk}.tsv")
        save_file({patch: torch.from_numpy(values + (patch == "left"))}, files[-1])
        small_study.scans().to_csv(listings[-1], sep="\t", index=False)
    found = read(files, listings, ["left", "right"], [IDS[5], IDS[2]])
    np.testing.assert_array_equal(found[:, 0], values[[5, 2]] + 1)
    np.testing.assert_array_equal(found[:, 1], values[[5, 2]])
    with pytest.raises(StudyError, match="'middle'"):
        read(files, listings, ["left", "middle"], IDS[:1])
    with pytest.raises(StudyError, match="'nobody'"):
        read(files, listings, ["left"], ["nobody"])


def read(files, listings, patches, ids):
    return token_files.read_tokens(files, listings, patches, ids)


def test_representation_has_named_columns(tokens):
    level = levels.ImageLevel(settings("simclr", "image"), tokens, None, None, CPU)
    table = token_files.embed(level.aggregator, tokens, CPU, "rnce")
    assert table.columns.tolist() == [f"rnce_0{number}" for number in range(8)]
    assert len(table) == 30
    assert isinstance(table, pd.DataFrame) and table.std().min() > 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"objective": "byol"}, "rnce, simclr"), ({"objective": "rnce", "temperature": 0}, "above 0")],
)
def test_unknown_methods_are_refused(wrong, message):
    with pytest.raises(StudyError, match=message):
        Method(**wrong)


def test_chunks_partition_the_locations():
    names = [f"p{number}" for number in range(18)]
    for per_job in (1, 5, 9, 18, 40):
        chunks = [f"{number:02d}" for number in range(-(-18 // per_job))]
        assert [name for chunk in chunks for name in runs.chunk_members(names, chunk, per_job)] == names
    with pytest.raises(StudyError, match="is empty"):
        runs.chunk_members(names, "02", 9)


def test_chunking_changes_no_weight(tmp_path):
    """A location trained after another one, or alone, has the same weights: no state is left behind."""
    for patch in ("one", "two"):
        small_study.train(tmp_path / "together", "rnce", patch=patch, epochs=2)
    small_study.train(tmp_path / "alone", "rnce", patch="two", epochs=2)
    for suffix in ("safetensors", "json", "tsv"):
        files = [tmp_path / folder / f"two.{suffix}" for folder in ("together", "alone")]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_a_batch_not_above_the_representation_is_refused(tmp_path):
    with pytest.raises(StudyError, match=r"8 images.*pretrain\.patch\.batch"):
        small_study.train(tmp_path, "rnce", batch=8)


def test_image_run_learns_to_match_halves_and_to_hold_features(tmp_path):
    """Tokens that share what a scan is, over locations: both terms have something to find."""
    rng = np.random.default_rng(0)
    person = rng.standard_normal((40, 3))
    tokens = np.einsum("nk,lkw->nlw", person, rng.standard_normal((6, 3, 8))).astype(np.float32)
    features = (person @ rng.standard_normal((3, 6))).astype(np.float32)
    said = Settings(1, "rnce", "image", Method("rnce"), Schedule(60, 40, 0.003), representation=8)
    rows = runs.train_image(
        said,
        tokens,
        small_study.scans(),
        features,
        np.eye(6, dtype=bool),
        tmp_path / "c",
        tmp_path / "w.safetensors",
    )
    assert rows["explained"].iloc[-20:].mean() > rows["explained"].iloc[:5].mean() + 0.05
    assert rows["nce"].iloc[-5:].mean() < rows["nce"].iloc[:5].mean() - 0.3
