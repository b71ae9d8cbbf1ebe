"""Maps of a fit: measures against their definitions, cases chosen without the maps, and a planted cue that is found."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from workflow_scripts.lib.models import weights
from workflow_scripts.lib.models.backbones import spec
from workflow_scripts.lib.models.classifier import Classifier
from workflow_scripts.lib.models.gradcam import grad_cam
from workflow_scripts.lib.models.preprocessing import prepare
from workflow_scripts.lib.models.randomise import untrained
from workflow_scripts.lib.radiology import explain, explain_runs, explain_tables
from workflow_scripts.lib.radiology.dataset import Dataset
from workflow_scripts.lib.study.errors import LeakageError, StudyError
from workflow_scripts.lib.study.ids import participant_hashes
from workflow_scripts.lib.study.tables import check_table, read_table, write_table
from workflow_scripts.radiology import explain_grid

SIZES = {"family": "ResNet", "layers": [1, 1, 1, 1], "planes": [4, 6, 8, 8], "bottleneck": False}
OPTIONS = explain.Options(layers=("layer1", "layer2"), classes="both", steps=2, draws=2, examples=1, batch=3)


def network(seed=0, gain=20.0):
    torch.manual_seed(seed)
    made = Classifier(spec("small", {"small": SIZES}), {"name": "Linear", "classes": 2})
    with torch.no_grad():
        made.head[0].weight *= gain  # so that images differ in what is said of them
    return made.eval()


def dataset(n=9, size=32, seed=0):
    rng = np.random.default_rng(seed)
    masks = np.zeros((n, size, size), dtype=np.uint8)
    for image in range(1, n):  # the first has none
        x, y = rng.integers(2, size - 14, 2)
        masks[image, x : x + 10, y : y + 12] = 1
    images = pd.DataFrame(
        {
            "image_id": [f"i{number}" for number in range(n)],
            "row": np.arange(n),
            "label": [("no", "yes")[number % 2] for number in range(n)],
            "y": np.arange(n) % 2,
            "patient_id": [f"p{number // 2}" for number in range(n)],
            "exam_id": None,
            "slice": pd.NA,
            "has_mask": masks.any((1, 2)),
            "width": size,
            "height": size,
            "coloured": 0.0,
            "split_given": None,
            "sha256": [f"{number:064x}" for number in range(n)],
        }
    )
    pixels = rng.integers(0, 255, (n, 1, size, size), dtype=np.uint8)
    return Dataset("toy", images, pixels, masks, 2, 1)


@pytest.fixture(scope="module")
def fit():
    data = dataset()
    groups = data.images["patient_id"].to_numpy(str)
    return explain.Fit("cell", 0, 1, network(), "imagenet_rgb", data, np.arange(8), groups)


@pytest.fixture(scope="module")
def measured(fit):
    pairs = explain.pair_table(fit, OPTIONS, seed=5)
    maps = fit.maps(fit.network, pairs["row"].to_numpy(), pairs["class"].to_numpy(), OPTIONS)
    table = explain.measure_maps(fit, pairs, maps, OPTIONS, seed=5)
    return pairs, maps, table


def own_map(fit, model, row, label):
    inputs = prepare(torch.from_numpy(np.array(fit.dataset.pixels[row : row + 1])), fit.rule)
    layers = [getattr(model.backbone, name) for name in OPTIONS.layers]
    return grad_cam(model, inputs, layers, int(label)).maps[0].numpy().astype(float)


def test_every_pair_is_measured_as_defined(fit, measured):
    pairs, _, table = measured
    check_table(table.assign(dataset="toy"), "explain_measures", "measures")
    assert {"i0", "i7"} <= set(table["image_id"]) and "i8" not in set(table["image_id"])  # i8 is no test image
    fresh = [untrained(fit.network, 5, "cell", 0, 1, draw) for draw in range(2)]
    masks = fit.dataset.masks
    for row, pair in zip(table.itertuples(), pairs.itertuples(), strict=True):
        label, place = pairs["class"][row.Index], pair.row
        with torch.no_grad():
            inputs = prepare(torch.from_numpy(np.array(fit.dataset.pixels[place : place + 1])), fit.rule)
            p = fit.network(inputs).softmax(1)[0].numpy()
        assert row.score == pytest.approx(p[label], abs=1e-5)
        assert row.predicted == p.argmax() and row.right == (p.argmax() == place % 2)
        heat, mask = own_map(fit, fit.network, place, label), masks[place].astype(bool)
        if not mask.any():
            assert np.isnan([row.energy, row.chance, row.energy_random, row.pointing]).all()
            continue
        assert row.chance == pytest.approx(mask.mean())
        if not row.empty:
            assert row.energy == pytest.approx(heat[mask].sum() / heat.sum(), rel=1e-3)
            others = [masks[other].astype(bool) for other in range(1, 8) if other != place]
            expected = np.mean([heat[other].sum() / heat.sum() for other in others])
            assert row.energy_others == pytest.approx(expected, rel=1e-3)
        random = [own_map(fit, model, place, label) for model in fresh]
        known = [one[mask].sum() / one.sum() for one in random if one.sum() > 0]
        each = [one[mask].sum() / one.sum() if one.sum() > 0 else np.nan for one in random]
        np.testing.assert_allclose([row.energy_random_0, row.energy_random_1], each, rtol=1e-3)
        assert row.energy_random == pytest.approx(np.mean(known), rel=1e-3) if known else np.isnan(row.energy_random)


@pytest.mark.parametrize(("classes", "flag"), [("predicted", "is_predicted"), ("true", "is_true"), ("every", None)])
def test_the_classes_that_are_asked_for(fit, classes, flag):
    pairs = explain.pair_table(fit, explain.Options(classes=classes), seed=5)
    assert len(pairs) == (16 if flag is None else 8)
    assert flag is None or pairs[flag].all()
    assert pairs.groupby("image_id")["is_true"].sum().max() == 1


def test_a_limit_draws_images_by_name(fit):
    limited = explain.Options(classes="true", images=3)
    drawn = [explain.pair_table(fit, limited, seed)["image_id"].tolist() for seed in (5, 5, 6, 7, 8)]
    assert all(len(one) == 3 for one in drawn)
    assert drawn[0] == drawn[1] and len({tuple(one) for one in drawn}) > 1


def test_the_last_stage_of_the_cascade_is_an_untrained_network(fit, measured):
    pairs, maps, _ = measured
    stages = explain.compare_randomised(fit, pairs, maps, OPTIONS, seed=5)
    check_table(stages.assign(dataset="toy"), "explain_randomisation", "stages")
    assert stages["stage"].tolist() == ["head", "layer4", "layer3", "layer2", "layer1", "bn1", "conv1"]
    own = pairs[pairs["is_predicted"]]
    fresh = untrained(fit.network, 5, "cell", 0, 1, 0)
    energies = []
    for pair in own.itertuples():
        heat, mask = own_map(fit, fresh, pair.row, own["class"][pair.Index]), fit.dataset.masks[pair.row]
        energies.append((heat * mask).sum() / heat.sum() if mask.any() and heat.sum() else np.nan)
    assert stages["energy"].iloc[-1] == pytest.approx(np.nanmean(energies), rel=1e-3)
    assert stages["rank_correlation"].abs().max() < 1


def table_of(values, groups, right=True):
    n = len(values)
    columns = {name: 0.1 for name in ("chance", "energy_others", "energy_random", "insertion", "deletion")}
    return pd.DataFrame(
        {
            "cell": "a", "dataset": "toy", "split": 0, "seed": 0, "image_id": [f"i{i}" for i in range(n)],
            "group": groups, "y": np.arange(n) % 2,
            "predicted": 0, "right": right, "class": 0, "is_predicted": True, "is_true": right,
            "score": np.linspace(0.5, 1, n), "has_mask": True, "empty": False, "energy": values, "pointing": 1.0,
            "random_order": 0.2, **columns,
        }
    )  # fmt: skip


def summary_of(table, n_bootstrap=4000):
    found = explain_tables.summarise(table, n_bootstrap, 0.95, seed=1)
    check_table(found, "explain_summary", "summary")
    return found.set_index(["explained", "subset", "quantity"]).sort_index()


def test_the_summary_has_means_and_differences_by_image():
    values = np.array([0.1, 0.4, np.nan, 0.7])
    found = summary_of(table_of(values, ["a", "b", "c", "d"], right=np.array([True, True, True, False])))
    row = found.loc["predicted", "all", "energy"]
    assert row["value"] == pytest.approx(0.4) and row[["images", "groups"]].tolist() == [3, 3]
    assert found.loc[("predicted", "all", "energy_over_random"), "value"] == pytest.approx(0.3)
    assert found.loc[("predicted", "all", "deletion_gain"), "value"] == pytest.approx(0.1)
    assert found.loc[("predicted", "wrong", "energy"), "value"] == pytest.approx(0.7)
    assert np.isnan(found.loc[("predicted", "wrong", "energy"), "lower"])  # one group bounds nothing
    assert found.loc[("true", "all", "energy"), "images"] == 2
    assert found.loc[("predicted", "class_1", "energy"), "value"] == pytest.approx(0.55)


def test_intervals_draw_groups_and_not_images():
    values = np.random.default_rng(0).normal(0.5, 0.1, 200)
    single = summary_of(table_of(values, [f"g{i}" for i in range(200)])).loc["predicted", "all", "energy"]
    half = 1.96 * values.std() / np.sqrt(200)
    np.testing.assert_allclose(
        single[["lower", "upper"]].astype(float), values.mean() + np.array([-half, half]), atol=2e-3
    )
    four = summary_of(table_of(np.repeat(values, 4), [f"g{i // 4}" for i in range(800)])).loc[
        "predicted", "all", "energy"
    ]
    np.testing.assert_allclose(
        four[["lower", "upper"]].astype(float), single[["lower", "upper"]].astype(float), atol=2e-3
    )


def against_untrained(rng, draws, learned=0.0, fits=1, groups=20):
    """Return measures of fits that are untrained networks themselves, but for what they learned."""
    tables = []
    for number in range(fits):
        # lesions lie where they lie, networks look where they look, each image a little elsewhere
        energy = 0.3 + 0.05 * rng.normal(size=(groups, 1)) + 0.1 * rng.normal(size=draws + 1)
        energy = energy + 0.03 * rng.normal(size=(groups, draws + 1))
        columns = {f"energy_random_{draw}": energy[:, draw + 1] for draw in range(draws)}
        own = table_of(energy[:, 0] + learned, [f"g{place}" for place in range(groups)]).assign(**columns)
        tables.append(own.assign(seed=number, energy_random=energy[:, 1:].mean(1)))
    table = pd.concat(tables, ignore_index=True)
    return table.assign(**{name: table[a] - table[b] for name, (a, b) in explain_tables.DIFFERENCES.items()})


@pytest.mark.parametrize(("draws", "fits"), [(2, 1), (5, 1), (3, 2)])
def test_an_untrained_network_is_seldom_told_from_others(draws, fits):
    called, single = 0, 0
    for place in range(300):
        rng = np.random.default_rng([draws, fits, place])
        # 20 groups of one image see `fits` networks of the cell and the untrained ones of each; networks differ
        energy = 0.1 * rng.normal(size=(fits, 1, draws + 1)) + 0.03 * rng.normal(size=(fits, 20, draws + 1))
        gain = (energy[:, :, 0] - energy[:, :, 1:].mean(2)).mean(0)
        ends = stats.t.interval(0.95, 19, gain.mean(), stats.sem(gain))
        untrained_ones = energy[:, :, 1:].reshape(-1, draws), np.repeat(np.arange(fits), 20)
        lower, upper = explain_tables.widen(gain.mean(), ends, *untrained_ones, 0.95, True)
        called, single = called + (lower > 0 or upper < 0), single + (ends[0] > 0 or ends[1] < 0)
    assert called <= 26  # 15 at 5%; 27 or more in 1 of 300
    assert single > 200  # with groups alone


def test_what_was_learned_is_told_from_untrained_networks_and_their_mean_is_bounded_by_t():
    rng = np.random.default_rng(0)
    table = against_untrained(rng, 5, learned=0.8)
    rows = explain_tables.bound_means(table, 200, 0.95, rng).set_index("quantity")
    assert rows.loc["energy_over_random", "lower"] > 0
    means = table[[f"energy_random_{draw}" for draw in range(5)]].mean().to_numpy()
    alone = stats.t.interval(0.95, 4, means.mean(), stats.sem(means))
    value, lower, upper = rows.loc["energy_random", ["value", "lower", "upper"]].astype(float)
    np.testing.assert_allclose([value, lower, upper], [means.mean(), *alone], atol=0.02)
    assert lower < alone[0] and upper > alone[1]  # other groups come on top


def test_one_untrained_network_gives_no_interval_and_it_is_said(caplog):
    table = table_of(np.linspace(0.2, 0.6, 6), list("abcdef")).assign(energy_random_0=0.1)
    found = summary_of(table, 50).loc["predicted", "all"]
    assert found.loc[["energy_random", "energy_over_random"], ["lower", "upper"]].isna().all(axis=None)
    assert found.loc["energy_over_random", "value"] == pytest.approx(0.3)
    assert found.loc["energy_over_chance", "lower"] > 0
    assert "Raise radiology.explain.draws" in caplog.text


def test_of_two_sure_images_of_a_group_one_is_shown():
    table = table_of(np.ones(6), ["a", "b", "a", "b", "a", "b"])  # the later the surer
    cases = explain_tables.choose_cases(table, 2, seed=1)
    assert cases["image_id"].tolist() == table["image_id"].iloc[[4, 5]].tolist()


def test_cases_are_the_surest_of_each_class_and_no_group_is_shown_twice():
    table = table_of(np.ones(12), ["a", "b"] + ["c"] * 4 + list("defghi"), right=np.arange(12) % 3 > 0)
    cases = explain_tables.choose_cases(table, 2, seed=1)
    assert cases["kind"].tolist() == ["right"] * 4 + ["wrong"] * 4
    for (kind, y), rows in cases.groupby(["kind", "y"], sort=False):
        pool = table[(table["right"] == (kind == "right")) & (table["y"] == y)]
        best = pool.sort_values("score", ascending=False).drop_duplicates("group").head(2)
        assert rows["image_id"].tolist() == best["image_id"].tolist()
    # whatever the maps say
    other = explain_tables.choose_cases(table.assign(energy=np.linspace(1, 0, 12), pointing=0.0), 2, seed=1)
    assert other["image_id"].tolist() == cases["image_id"].tolist()


# -- the rule's script


def study(folder, grouping="groups", learned=("p9",)):
    """Write an indexed dataset, splits and two kept fits, and give what the rule would."""
    data, model = dataset(12), network(3)
    write_table(data.images, folder / "toy/images.tsv", "image_index")
    np.save(folder / "toy/images.npy", data.pixels)
    np.save(folder / "toy/masks.npy", data.masks)
    sets = ["train"] * 4 + ["validation"] * 2 + ["test"] * 6
    split = pd.DataFrame(
        {"image_id": data.images["image_id"], "group": data.images["patient_id"], "y": data.images["y"]}
    )
    write_table(split.assign(grouping=grouping, split=0, set=sets), folder / "splits/toy.tsv", "image_splits")
    (folder / "00.weights").mkdir()
    for seed in (1, 0):
        said = {"cell": {"cell": "a.b", "dataset": "toy", "grouping": grouping}, "split": 0, "fit_seed": seed}
        card = {"input": {}, "intensity": "", "participants": participant_hashes(list(learned)), "metrics": {}}
        card |= {"seed": 1, "source": "test", "preprocessing": "imagenet_rgb", **said}
        weights.save_weights(model, folder / f"00.weights/a.b.split0.seed{seed}.safetensors", card)
    given = {"images": [str(folder / "toy/images.tsv")], "splits": [str(folder / "splits/toy.tsv")]}
    names = ("measures", "summary", "randomisation", "panels")
    output = {name: str(folder / f"out/{name}.tsv") for name in names} | {"pictures": str(folder / "out/panels.npz")}
    params = {
        "datasets": {"toy": {"classes": {"no": 0, "yes": 1}}}, "seed": 1, "n_bootstrap": 100, "level": 0.95,
        "explain": {"layers": ["layer2"], "steps": 2, "draws": 1, "examples": 1, "scans": 2},
    }  # fmt: skip
    given = SimpleNamespace(**given, weights=[str(folder / "00.weights")])
    return SimpleNamespace(
        input=given, output=SimpleNamespace(**output), params=SimpleNamespace(**params), threads=1
    )  # fmt: skip


def test_the_script_explains_kept_fits(tmp_path):
    job = study(tmp_path)
    explain_grid.main(job)
    measures = read_table(job.output.measures, "explain_measures")
    assert measures.groupby("seed")["image_id"].nunique().tolist() == [6, 6]
    panels = read_table(job.output.panels, "explain_panels")
    assert set(panels["seed"]) == {0}  # the first fit gives the pictures
    with np.load(job.output.pictures, allow_pickle=False) as stored:
        assert {name: stored[name].shape for name in stored} == {
            "images": (len(panels), 1, 32, 32), "maps": (len(panels), 32, 32), "masks": (len(panels), 32, 32)
        }  # fmt: skip
        inside = [
            (m * k).sum() / m.sum() if m.sum() else np.nan
            for m, k in zip(stored["maps"].astype(float), stored["masks"], strict=True)
        ]
    shown = panels["has_mask"].to_numpy(bool)
    np.testing.assert_allclose(np.array(inside)[shown], panels["energy"][shown], rtol=5e-3)
    before = {name: Path(path).read_bytes() for name, path in vars(job.output).items()}
    explain_grid.main(job)
    assert {name: Path(path).read_bytes() for name, path in vars(job.output).items()} == before


def test_networks_that_have_seen_a_test_patient_are_refused_unless_split_by_image(tmp_path):
    learned = ("patient:p0", "patient:p4")
    with pytest.raises(
        LeakageError, match=r"1 patient of dataset 'toy' trained a\.b, split 0, the first is 'patient:p4'"
    ):
        explain_grid.main(study(tmp_path / "a", learned=learned))
    with pytest.raises(LeakageError, match="1 image of"):  # whatever is said of its patient
        explain_grid.main(study(tmp_path / "c", learned=[f"image:{6:064x}"]))
    job = study(tmp_path / "b", grouping="images", learned=learned)
    found = explain_runs.kept_fits(job.input.weights)
    assert [card["fit_seed"] for card, _ in found] == [0, 1]
    datasets = {"toy": explain_grid.read_dataset(tmp_path / "b/toy", job.params.datasets["toy"])}
    splits = {"toy": read_table(job.input.splits[0], "image_splits")}
    assert len(explain_runs.load_fit(*found[0], datasets, splits, torch.device("cpu")).rows) == 6


def test_what_cannot_be_explained_is_refused(tmp_path, fit):
    with pytest.raises(StudyError, match="keep_weights: true"):
        explain_runs.kept_fits([tmp_path])
    with pytest.raises(StudyError, match="no group 'layer9'; it has conv1"):
        explain.chosen_layers(fit.network, ["layer9"])
    with pytest.raises(StudyError, match="classes is 'all', expected one of predicted"):
        explain.Options.from_config({"classes": "all"})
    with pytest.raises(StudyError, match="draws is 0, expected 1 or more"):
        explain.Options(draws=0)


# -- planted truth


def test_a_planted_texture_is_where_the_evidence_lies():
    """Class 1 has a striped patch, class 0 a smooth one of the same mean; both lie anywhere."""
    rng = np.random.default_rng(0)
    n, size = 96, 48
    pixels = rng.normal(128, 12, (n, 1, size, size))
    masks = np.zeros((n, size, size), dtype=np.uint8)
    y = np.arange(n) % 2
    for image in range(n):
        i, j = rng.integers(2, size - 18, 2)
        masks[image, i : i + 16, j : j + 16] = 1
        pixels[image, 0, i : i + 16, j : j + 16] += 60 * (np.arange(16) % 4 < 2) - 30 if y[image] else 0
    data = dataset(n, size)
    images = data.images.assign(y=y, has_mask=True, patient_id=[f"p{i}" for i in range(n)])
    data = Dataset("toy", images, pixels.clip(0, 255).astype(np.uint8), masks, 2, 1)
    model, x = network(1, gain=1).train(), prepare(torch.from_numpy(data.pixels), "imagenet_rgb")
    model.batch_norm = "adapted"
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    order = torch.Generator().manual_seed(0)
    for _ in range(12):
        for rows in torch.randperm(64, generator=order).split(16):
            loss = torch.nn.functional.cross_entropy(model(x[rows]), torch.from_numpy(y)[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    groups = images["patient_id"].to_numpy(str)
    fit = explain.Fit("cell", 0, 0, model.eval(), "imagenet_rgb", data, np.arange(64, n), groups)
    options = explain.Options(layers=("layer2",), classes="true", steps=4, draws=3)
    pairs = explain.pair_table(fit, options, 1)
    assert pairs["right"].mean() > 0.9
    maps = fit.maps(fit.network, pairs["row"].to_numpy(), pairs["class"].to_numpy(), options)
    table = explain.measure_maps(fit, pairs, maps, options, 1).assign(dataset="toy")
    found = summary_of(table, 500).loc["true", "class_1"]
    for name in ("energy_over_chance", "energy_over_others", "energy_over_random", "pointing_over_chance"):
        assert found.loc[name, "lower"] > 0, found
    assert found.loc["energy", "value"] > 2 * found.loc["chance", "value"]
    assert found.loc["insertion_gain", "lower"] > 0
    assert explain.compare_randomised(fit, pairs, maps, options, 1)["rank_correlation"].iloc[-1] < 0.5
