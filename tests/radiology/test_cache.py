import copy

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.radiology import small_grid
from workflow_scripts.lib.models.modes import evaluating
from workflow_scripts.lib.models.preprocessing import prepare
from workflow_scripts.lib.pretrain.loop import train
from workflow_scripts.lib.radiology import augment, fits
from workflow_scripts.lib.radiology.cache import BLOCK, Cache, Frozen, Pictures
from workflow_scripts.lib.radiology.level import schedule_of
from workflow_scripts.lib.study import seeds

MANY = {"epochs": 7, "batch": 16, "learning_rate": 1e-3}  # 36 images: 3 steps an epoch, 21 in all


def make_level(tmp_path, name, structure, backbone="tiny", **changes):
    options = {"cache_mb": changes.pop("cache_mb", 100.0)}
    job = small_grid.make_job(tmp_path, name=name, backbones=(backbone,), **options)
    settings = {**MANY, "structure": structure, "backbone": backbone, "head": "NonLinear", **changes}
    cell = small_grid.cells_of(settings=settings)[0]
    return fits.make_level(job, job.fit(cell, 0, 0)), cell


def train_level(level, cell, tmp_path):
    return train(
        level,
        level.step,
        len(level.task.rows["train"]),
        schedule_of(cell),
        level.task.keys,
        level.device,
        tmp_path / "none.safetensors",
        {},
        tell=level.tell,
    )


def train_plainly(level, cell):
    """Independent of loop, cache and level: torch's Adam on whole images, moved one batch at a time."""
    network, task, pictures = copy.deepcopy(level.classifier), level.task, level.frozen.pictures
    rows, keys = task.rows["train"], task.keys
    optimizer = torch.optim.Adam(
        [p for p in network.parameters() if p.requires_grad],
        lr=cell["learning_rate"],
        weight_decay=cell["weight_decay"],
    )
    falls = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, cell["epochs"], cell["learning_rate"] / 5)
    network.train()
    for epoch in range(cell["epochs"]):
        order = seeds.generator(*keys, "order", epoch).permutation(len(rows))
        for step, at in enumerate(range(0, len(rows), cell["batch"])):
            torch.manual_seed(seeds.derive_seed(*keys, "global", epoch, step))
            chosen = rows[order[at : at + cell["batch"]]]
            moves = augment.draw(pictures.moves, [pictures.image_ids[row] for row in chosen], epoch, 1, "lesions")
            images = prepare(augment.apply(pictures.pixels[chosen], moves, pictures.moves), level.frozen.rule)
            optimizer.zero_grad()
            functional.cross_entropy(network(images), torch.tensor(task.y[chosen])).backward()
            optimizer.step()
        falls.step()
    return network


@pytest.mark.parametrize("backbone", ["tiny", "dense"])
@pytest.mark.parametrize("structure", ["freezeall", "unfreezetop2"])
def test_cached_features_give_exactly_what_whole_images_give(tmp_path, structure, backbone):
    cached, cell = make_level(tmp_path, "cached", structure, backbone)
    whole, _ = make_level(tmp_path, "whole", structure, backbone, cache_mb=0.0)
    assert cached.frozen.cached and not whole.frozen.cached
    start = {name: tensor.clone() for name, tensor in cached.classifier.state_dict().items()}
    for level in (cached, whole):
        log = train_level(level, cell, tmp_path)
    assert sum(row["steps"] for row in log) == 21
    states = [level.classifier.state_dict() for level in (cached, whole)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any(not torch.equal(states[0][name], start[name]) for name in start)
    rows = np.arange(20)
    for level in (cached, whole):
        level.eval()
    with torch.no_grad():
        assert torch.equal(cached.logits(rows, None), whole.logits(rows, None))


def test_it_is_the_training_that_torch_alone_would_do(tmp_path):
    """Weights after 21 steps of torch's Adam and schedule, written out, on whole images: the difference is rounding."""
    level, cell = make_level(tmp_path, "cached", "unfreezetop2")
    plain = train_plainly(level, cell)
    train_level(level, cell, tmp_path)
    for name, tensor in plain.state_dict().items():
        np.testing.assert_allclose(tensor, level.classifier.state_dict()[name], atol=2e-6, err_msg=name)


def test_frozen_layers_do_not_move_and_adapted_ones_are_never_cached(tmp_path):
    frozen, cell = make_level(tmp_path, "frozen", "freezeall")
    adapted, changed = make_level(tmp_path, "adapted", "freezeall", batch_norm="adapted")
    assert frozen.frozen.cached
    assert not adapted.frozen.cached and not adapted.frozen.plain_cached and adapted.frozen.first == 0
    for level, settings, moves in ((frozen, cell, False), (adapted, changed, True)):
        before = copy.deepcopy(level.classifier.backbone.state_dict())
        train_level(level, settings, tmp_path)
        after = level.classifier.backbone.state_dict()
        means = [name for name in before if name.endswith("running_mean")]
        assert all(torch.equal(before[name], after[name]) != moves for name in means)
        others = [name for name in before if "running" not in name and "batches" not in name]
        assert all(torch.equal(before[name], after[name]) for name in others)


def test_views_of_the_cache_are_those_drawn_afresh(tmp_path):
    level, _ = make_level(tmp_path, "cached", "unfreezetop2")
    frozen = level.frozen
    rows = np.array([5, 0, 41])
    for epoch in (None, 0, 3):
        kept = frozen(rows, epoch)
        assert torch.equal(kept, frozen._compute(rows, epoch))
        assert torch.equal(kept, frozen(rows, epoch))
    assert not torch.equal(frozen(rows, 0), frozen(rows, 3))


@pytest.mark.parametrize("backbone", ["tiny", "dense"])
def test_features_depend_on_no_other_image_of_a_batch(tmp_path, backbone):
    """To the last bit, which convolutions alone do not give: one image alone is added up in another order than many."""
    cached, _ = make_level(tmp_path, "cached", "freezeall", backbone)
    whole, _ = make_level(tmp_path, "whole", "freezeall", backbone, cache_mb=0.0)
    assert cached.frozen.cached and not whole.frozen.plain_cached
    everything = np.arange(small_grid.IMAGES)
    kept = cached.frozen(everything, None)
    for rows in (everything, everything[::-1].copy(), everything[7:8], everything[20:24], everything[3:20]):
        assert torch.equal(kept[rows.copy()], whole.frozen(rows, None)), len(rows)
    network, pictures = whole.frozen.backbone.eval(), whole.frozen.pictures
    with torch.no_grad():
        plain = network(pictures.view(everything, None, whole.frozen.rule))
    torch.testing.assert_close(kept, plain, rtol=0, atol=1e-5)


class Counting(torch.nn.Module):
    """Counts how many images go through it."""

    groups = ("one", "two")

    def __init__(self):
        super().__init__()
        self.seen = 0

    def run(self, x, first, last):
        self.seen += len(x)
        return x[:, 0].flatten(1)


def counted(cache, epochs=2, images=150):
    pixels = np.zeros((images, 1, 8, 8), np.uint8)
    pictures = Pictures("d", [str(i) for i in range(images)], pixels, augment.Moves(), 0, torch.device("cpu"))
    network = Counting()
    return network, Frozen(pictures, network, 2, "imagenet_rgb", epochs, cache, ("w", "b"))


def test_every_image_and_view_is_computed_once_and_shared_by_fits():
    cache = Cache(10**7)
    network, frozen = counted(cache)
    network.seen = 0
    for epoch in (None, 0, 1, None, 0, 1):
        for at in range(0, 150, 50):
            frozen(np.arange(at, at + 50), epoch)
    assert network.seen == 3 * 160 and cache.used == 3 * 150 * 64 * 4  # the tenth block is filled up
    other, again = counted(cache)
    other.seen = 0
    again(np.arange(10), 1)
    assert other.seen == 0
    assert BLOCK < 150  # more than one block was put together


def test_memory_is_bounded_and_the_oldest_makes_room():
    one_view = 150 * 64 * 4
    assert not counted(Cache(3 * one_view - 1))[1].cached and counted(Cache(3 * one_view))[1].cached
    only_plain = counted(Cache(one_view))[1]
    assert only_plain.plain_cached and not only_plain.cached
    assert not counted(Cache(one_view - 1))[1].plain_cached
    cache = Cache(3 * one_view)
    made = []
    for space in ("a", "b", "a", "c"):
        for view in (None, 0):
            cache.get((space,), view, lambda name=space: made.append(name) or torch.zeros(150, 64))
        assert cache.used <= cache.limit
    assert made == ["a", "a", "b", "b", "a", "a", "c", "c"]


def test_evaluating_gives_every_layer_its_mode_back():
    network = torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.Dropout())
    network.train()
    network[0].eval()
    with evaluating(network):
        assert not any(layer.training for layer in network.modules())
    assert [layer.training for layer in network.modules()] == [True, False, True]
