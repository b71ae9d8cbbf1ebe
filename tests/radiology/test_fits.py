import copy
import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score

from tests.radiology import small_grid
from workflow_scripts.lib.models import weights
from workflow_scripts.lib.radiology import augment, fits
from workflow_scripts.lib.radiology.job import all_names, image_names, refuse_shared
from workflow_scripts.lib.radiology.level import class_weights, criterion_of
from workflow_scripts.lib.study.errors import LeakageError, StudyError
from workflow_scripts.lib.study.ids import participant_hashes
from workflow_scripts.lib.study.tables import check_table, read_table
from workflow_scripts.radiology import fit_cells

FACTORS = {"head": ["Linear", "ConvSkip"], "structure": ["freezeall", "unfreezetop2"]}


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """Four cells in two splits, in one job that keeps weights."""
    job = small_grid.make_job(tmp_path_factory.mktemp("together"), keep_weights=True)
    return job, fits.fit_cells(job, small_grid.cells_of(factors=FACTORS), 2, 1)


def without(table, *columns):
    return table.drop(columns=list(columns)).reset_index(drop=True)


def test_tables_fit_their_schemas_and_hold_every_fit(together):
    fitted, scores, curves, files = together[1]
    for table, name in ((fitted, "grid_fits"), (scores, "grid_scores"), (curves, "grid_curves")):
        check_table(table, name, name)
    assert len(fitted) == 8 == len(files) and fitted["cached"].all() and (fitted["leaks"] == 0).all()
    assert scores.groupby(["cell", "split", "seed", "set"]).size().eq(12).all()
    assert curves.groupby(["cell", "split", "seed"])["chosen"].sum().eq(1).all()
    learned = fitted.set_index(["cell", "split"])
    assert learned.loc["Linear.freezeall", "trainable"].eq(18).all()  # 8 features to 2 classes
    assert (learned.loc["Linear.unfreezetop2", "trainable"] > 18).all()


def test_the_planted_difference_is_learned(together):
    fitted = together[1][0]
    assert fitted.loc[fitted["head"] == "ConvSkip", "test_auc"].min() > 0.9


def test_measures_are_those_of_the_scores(together):
    fitted, scores, _, _ = together[1]
    row = fitted.iloc[-1]
    for name in ("validation", "test"):
        part = scores.merge(pd.DataFrame([row])[["cell", "split", "seed"]]).query("set == @name")
        assert row[f"{name}_auc"] == pytest.approx(roc_auc_score(part["positive"], part["score"]))
        assert row[f"{name}_accuracy"] == pytest.approx(accuracy_score(part["y"], part["predicted"]))
        assert row[f"{name}_f1"] == pytest.approx(f1_score(part["y"], part["predicted"]))
        assert row[f"{name}_loss"] == pytest.approx(log_loss(part["y"], part["score"]), rel=1e-6)


def test_the_epoch_with_the_best_validation_auc_is_tested(together):
    fitted, _, curves, _ = together[1]
    for place, rows in curves.groupby(["cell", "split"]):
        best = rows.sort_values(["valid_auc", "valid_loss", "epoch"], ascending=[False, True, True]).iloc[0]
        row = fitted.set_index(["cell", "split"]).loc[place]
        assert best["chosen"] and row["chosen_epoch"] == best["epoch"]
        assert row["validation_auc"] == pytest.approx(best["valid_auc"])
        assert row["validation_loss"] == pytest.approx(best["valid_loss"], rel=1e-5)


def test_numbers_do_not_depend_on_the_job(together, tmp_path):
    """Each cell in a job of its own, in another order, without caching: the same tables to the last bit."""
    fitted, scores, curves, _ = together[1]
    parts = []
    for number, cell in enumerate(reversed(small_grid.cells_of(factors=FACTORS))):
        job = small_grid.make_job(tmp_path, name=f"job{number}", cache_mb=0.0 if number % 2 else 100.0)
        parts.append(fits.fit_cells(job, [cell], 2, 1)[:3])
    for place, (whole, key) in enumerate(
        (
            (fitted, ["cell", "split"]),
            (scores, ["cell", "split", "set", "image_id"]),
            (curves, ["cell", "split", "epoch"]),
        )
    ):
        apart = pd.concat([part[place] for part in reversed(parts)])
        tables = [without(table.sort_values(key), *(["cached"] if place == 0 else [])) for table in (whole, apart)]
        pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_seeds_and_splits_give_other_numbers_and_the_same_ones_again(tmp_path):
    cell = small_grid.cells_of(settings={"head": "NonLinear"})
    tables = [fits.fit_cells(small_grid.make_job(tmp_path, name=name), cell, 1, 2)[0] for name in ("one", "two")]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    assert tables[0]["test_loss"].nunique() == 2
    other = fits.fit_cells(small_grid.make_job(tmp_path, name="three", seed=2), cell, 1, 1)[0]
    assert other["test_loss"][0] != tables[0]["test_loss"][0]


def test_what_was_done_is_not_done_again(together, monkeypatch):
    job, before = together
    monkeypatch.setattr(fits, "train", lambda *_, **__: pytest.fail("trained again"))
    again = fits.fit_cells(job, small_grid.cells_of(factors=FACTORS), 2, 1)
    for one, other in zip(before[:3], again[:3], strict=True):
        pd.testing.assert_frame_equal(one, other)
    kept = job.weights_file(job.fit(small_grid.cells_of(factors=FACTORS)[0], 0, 0))
    card = weights.card_path(kept)
    text = card.read_text()
    card.unlink()
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        fits.fit_cells(job, small_grid.cells_of(factors=FACTORS), 2, 1)
    card.write_text(text)


def test_a_killed_fit_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    cell = small_grid.cells_of(settings={"head": "NonLinear", "structure": "unfreezetop2", "epochs": 4})
    right = fits.fit_cells(small_grid.make_job(tmp_path, name="whole"), cell, 1, 1)
    job = small_grid.make_job(tmp_path, name="killed")
    fit, level = job.fit(cell[0], 0, 0), None

    def often(settings):
        return schedule(settings).__class__(**{**vars(schedule(settings)), "checkpoint_epochs": 1})

    schedule, make, steps = fits.schedule_of, fits.make_level, []

    def breaking(job, fit):
        nonlocal level
        level = make(job, fit)
        step = level.step

        def counted(rows, generator):
            steps.append(level.epoch)
            if len(steps) == 8:  # in the third epoch of three steps
                raise KeyboardInterrupt
            return step(rows, generator)

        level.step = counted
        return level

    monkeypatch.setattr(fits, "schedule_of", often)
    monkeypatch.setattr(fits, "make_level", breaking)
    with pytest.raises(KeyboardInterrupt):
        fits.fit_cells(job, cell, 1, 1)
    assert (job.folder / f"{fit.key}.checkpoint.safetensors").exists() and not (job.folder / f"{fit.key}.json").exists()
    resumed = fits.fit_cells(job, cell, 1, 1)
    assert steps[8] == 2 and len(steps) == 8 + 6  # epochs 1 and 2 were not repeated
    for one, other in zip(right[:3], resumed[:3], strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_a_fit_that_diverges_costs_itself_alone(tmp_path, caplog):
    cells = small_grid.cells_of(settings={"optimizer": "sgd"}, factors={"learning_rate": [1e30, 0.01]})
    fitted, scores, curves, files = fits.fit_cells(small_grid.make_job(tmp_path, keep_weights=True), cells, 1, 1)
    check_table(fitted, "grid_fits", "fits")
    assert fitted["reason"].notna().tolist() == [True, False] and fitted["test_auc"].isna().tolist() == [True, False]
    assert set(scores["cell"]) == {cells[1]["cell"]} == set(curves["cell"]) and len(files) == 1
    assert "failed" in caplog.text or "is nan" in caplog.text or "is inf" in caplog.text


def test_a_fit_that_diverged_is_not_tried_again_for_its_weights(tmp_path, monkeypatch):
    cells = small_grid.cells_of(settings={"optimizer": "sgd", "learning_rate": 1e30})
    job = small_grid.make_job(tmp_path, keep_weights=True)
    first = fits.fit_cells(job, cells, 1, 1)[0]
    monkeypatch.setattr(fits, "train", lambda *_, **__: pytest.fail("trained again"))
    pd.testing.assert_frame_equal(fits.fit_cells(job, cells, 1, 1)[0], first)


def test_leaks_and_patients_are_those_of_the_groups_of_now(tmp_path):
    """Images, sets and labels as before, but every group now is half of the images: what was kept is of no use."""
    cells = small_grid.cells_of(settings={"grouping": "images", "epochs": 1})
    before = fits.fit_cells(small_grid.make_job(tmp_path), cells, 1, 1)[0]
    job = small_grid.make_job(tmp_path)
    job.splits["lesions"] = job.splits["lesions"].assign(group=lambda table: "g" + table["image_id"].str[-1])
    after = fits.fit_cells(job, cells, 1, 1)[0]
    rows, groups = job.rows("lesions", "images", 0), job.groups("lesions")
    assert after["patients_test"][0] == len(set(groups[rows["test"]])) != before["patients_test"][0]
    assert after["leaks"][0] == np.isin(groups[rows["test"]], groups[rows["train"]]).mean() != before["leaks"][0]
    assert after["test_loss"][0] == before["test_loss"][0]


def test_kept_weights_give_the_scores_again(together, tmp_path):
    job, (_, scores, _, files) = together
    fits.publish(files, tmp_path / "weights")
    name = "ConvSkip.unfreezetop2.split1.seed0"
    network, card = weights.load_any(tmp_path / "weights" / f"{name}.safetensors")
    part = scores.query("cell == 'ConvSkip.unfreezetop2' and split == 1 and set == 'test'")
    data = job.datasets["lesions"]
    rows = data.images.set_index("image_id").loc[part["image_id"], "row"].to_numpy()
    with torch.no_grad():
        found = network(job.pictures("lesions").view(rows, None, card["preprocessing"])).double().softmax(1)
    np.testing.assert_array_equal(found[:, 1], part["score"])
    learned = job.rows("lesions", "groups", 1)
    refuse_shared(card, data, name, learned["test"])
    for rows in (learned["train"][:1], learned["validation"][:1]):
        with pytest.raises(LeakageError, match=r"1 patient, 1 image of dataset 'lesions' trained ConvSkip"):
            refuse_shared(card, data, name, rows)
    fits.publish({}, tmp_path / "none")
    assert list((tmp_path / "none").iterdir()) == []


def test_groups_in_two_sets_are_refused_and_leaks_of_a_split_by_image_are_told(tmp_path):
    job = small_grid.make_job(tmp_path)
    fitted = fits.fit_cells(job, small_grid.cells_of(factors={"grouping": ["groups", "images"]}), 1, 1)[0]
    leaks = fitted.set_index("grouping")["leaks"]
    rows, people = job.rows("lesions", "images", 0), job.datasets["lesions"].images["patient_id"].to_numpy()
    assert leaks["groups"] == 0
    assert leaks["images"] == np.isin(people[rows["test"]], people[rows["train"]]).mean() > 0.3
    bad = copy.copy(job)
    bad.splits = {"lesions": job.splits["lesions"].assign(grouping="groups", split=np.repeat(range(4), 60))}
    bad.rows = lambda *place: fits_split(bad, *place)
    with pytest.raises(LeakageError, match="stand in two sets"):
        fits.fit_cells(bad, small_grid.cells_of(), 4, 1)


def fits_split(job, name, grouping, split):
    from workflow_scripts.lib.radiology.splits import read_split

    return read_split(job.splits[name], job.datasets[name], grouping, split)


@pytest.mark.parametrize(
    ("seen", "said", "hinted"),
    [
        (
            ["patient:lesions-p007"],
            "1 patient of dataset 'lesions' trained weights 'random', the first is 'patient:les",
            1,
        ),
        (["exam:e9", "exam:e8"], "2 exams of dataset 'lesions' trained weights 'random', the first is 'exam:e8'", 1),
        # the same picture in two datasets, whatever its patient is called
        ([f"image:{7:064x}"], "1 image of dataset 'lesions' trained weights 'random', the first is 'image:000", 0),
        (["patient:e9", "exam:lesions-p007", "e9", "lesions-p007"], "", 0),  # other things of the same name
    ],
)
def test_weights_that_saw_a_patient_an_exam_or_an_image_are_refused(tmp_path, seen, said, hinted):
    data = small_grid.make_dataset()
    data = dataclasses.replace(data, images=data.images.assign(exam_id=[f"e{row % 10}" for row in range(59)] + [None]))
    job = small_grid.make_job(tmp_path, {"lesions": data})
    file = small_grid.save_backbone(tmp_path, "tiny", "seen", participant_hashes([*seen, "patient:somebody"]))
    job.files["random", "tiny"] = file
    cell = small_grid.cells_of()[0]
    if not said:
        job.refuse_seen(cell)
        return
    with pytest.raises(LeakageError) as refused:
        fits.fit_cells(job, [cell], 1, 1)
    assert said in str(refused.value) and ("give those of one dataset a prefix" in str(refused.value)) == hinted


def test_an_image_is_named_by_all_that_is_known_of_it():
    data = small_grid.make_dataset()
    images = data.images.head(3).assign(exam_id=["e1", None, "e1"], patient_id=["1", "1", np.nan])
    hashes = [f"image:{row:064x}" for row in range(3)]
    data = dataclasses.replace(data, images=images)
    assert image_names(data) == [
        *(("patient:1", "exam:e1", hashes[0]), ("patient:1", hashes[1])),
        ("exam:e1", hashes[2]),
    ]
    assert all_names(data, [1, 2]) == {"patient:1", "exam:e1", *hashes[1:]}


def test_a_head_that_outweighs_the_data_is_told_once(tmp_path, caplog):
    cells = small_grid.cells_of(settings={"head": "ConvSkip", "filters": 64, "epochs": 1})
    fits.fit_cells(small_grid.make_job(tmp_path), cells, 2, 1)
    said = [record.message for record in caplog.records if "learn any labels by heart" in record.message]
    assert len(said) == 1 and "36 training images" in said[0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("unfreezetop1", "grids.main, backbone tiny: structure 'unfreezetop1' frees nothing new"),
        ("unfreezetop12", "the backbone has 9 groups"),
        ("unfreezeall", "structures 'unfreezetop9' and 'unfreezeall' free the same layers"),
    ],
)
def test_a_bad_structure_of_any_cell_is_refused_before_the_first_fit(tmp_path, wrong, said):
    cells = small_grid.cells_of(factors={"structure": ["freezeall", "unfreezetop9", wrong]})
    job = small_grid.make_job(tmp_path)
    with pytest.raises(StudyError, match=said):
        fits.fit_cells(job, cells, 1, 1)
    assert list(job.folder.iterdir()) == []


@pytest.mark.parametrize("balance", ["none", "loss", "sampler"])
def test_balance(tmp_path, balance):
    """A fifth of the images is positive: in the loss, or among the images of an epoch, they are made to be half."""
    job = small_grid.make_job(tmp_path)
    data = job.datasets["lesions"]
    rare = np.where(np.arange(60) % 10 < 2, 1, 0)
    object.__setattr__(data, "images", data.images.assign(y=rare))
    level = fits.make_level(job, job.fit(small_grid.cells_of(settings={"balance": balance})[0], 0, 0))
    rows = level.task.rows["train"]
    level.tell(0)
    drawn = level.sample()
    if balance == "sampler":
        assert len(drawn) == len(rows) and set(drawn) <= set(rows)
        draws = [level.tell(epoch) or rare[level.sample()].mean() for epoch in range(40)]
        assert np.mean(draws) == pytest.approx(0.5, abs=0.05)
    else:
        np.testing.assert_array_equal(drawn, rows)
    if balance == "loss":
        weight = level.weights.numpy()[rare[rows]]
        assert weight[rare[rows] == 1].sum() == pytest.approx(weight[rare[rows] == 0].sum())
    else:
        assert level.weights is None


def test_class_weights_and_criterion():
    np.testing.assert_allclose(class_weights(np.array([0, 0, 0, 2]), 3), [2 / 3, 0, 2])
    y = np.array([True, False, True, False])
    assert criterion_of(0.75, 9.0, y) < criterion_of(0.5, 0.0, y)  # the AUC decides
    assert criterion_of(0.75, 0.1, y) < criterion_of(0.75, 0.2, y)  # then the loss
    assert np.isnan(criterion_of(np.nan, 0.1, y)) and np.isnan(criterion_of(0.5, np.inf, y))


def test_three_classes_score_the_positive_one(tmp_path):
    data = {"lesions": small_grid.make_dataset(classes=3)}
    job = small_grid.make_job(tmp_path, datasets=data)
    cell = small_grid.cells_of(settings={"head": "NonLinear", "epochs": 2})
    _, scores, _, _ = fits.fit_cells(job, cell, 1, 1)
    assert set(scores["y"]) == {0, 1, 2} and (scores["positive"] == (scores["y"] == 2)).all()


def test_all_that_a_result_depends_on_makes_another_key(tmp_path):
    job = small_grid.make_job(tmp_path)
    cell, data = small_grid.cells_of()[0], job.datasets["lesions"]
    key = job.fit(cell, 0, 0).key
    assert key == small_grid.make_job(tmp_path, name="again").fit({**cell, "cell": "renamed"}, 0, 0).key
    assert key == small_grid.make_job(tmp_path, keep_weights=True, cache_mb=1.0).fit(cell, 0, 0).key

    def of_images(**columns):
        changed = small_grid.make_job(tmp_path)
        changed.datasets["lesions"] = dataclasses.replace(data, images=data.images.assign(**columns))
        return changed.fit(cell, 0, 0)

    other = small_grid.make_job(tmp_path)
    other.files["random", "tiny"] = small_grid.save_backbone(tmp_path, weights_name="other", seed=4)
    grouped = small_grid.make_job(tmp_path)
    grouped.splits["lesions"]["group"] = grouped.splits["lesions"]["group"].str.replace("p001", "p000")
    by_image = {**cell, "grouping": "images"}
    others = [
        job.fit(cell, 1, 0),
        job.fit(cell, 0, 1),
        job.fit({**cell, "epochs": 9}, 0, 0),
        job.fit({**cell, "preprocessing": "caffe_seed"}, 0, 0),
        job.fit(by_image, 0, 0),
        grouped.fit(by_image, 0, 0),
        other.fit(cell, 0, 0),
        small_grid.make_job(tmp_path, code="new").fit(cell, 0, 0),
        small_grid.make_job(tmp_path, seed=5).fit(cell, 0, 0),
        small_grid.make_job(tmp_path, moves=augment.Moves(flip=0.1)).fit(cell, 0, 0),
        small_grid.make_job(tmp_path, {"lesions": small_grid.make_dataset(seed=4)}).fit(cell, 0, 0),
        of_images(patient_id=data.images["patient_id"].replace("lesions-p001", "lesions-p000")),
        of_images(exam_id="e1"),
        of_images(y=1 - data.images["y"]),
    ]
    assert len({key, *(fit.key for fit in others)}) == 1 + len(others)


def test_the_script_reads_what_its_cells_need(tmp_path):
    """With nothing of the config but that: no backbones, no weights, no other grids."""
    job = small_grid.make_job(tmp_path)
    images, splits = small_grid.write_dataset(tmp_path, job.datasets["lesions"], ["benign", "malignant"])
    cells = small_grid.cells_of(factors={"head": ["Linear", "NonLinear"]}, settings={"epochs": 1})
    made = {name: tmp_path / f"00.{name}" for name in ("fits.tsv", "scores.parquet", "curves.tsv", "weights")}
    params = {
        **{"code": "c", "seed": 1, "grid": "main", "cells": cells, "splits": 2, "seeds": 1, "keep_weights": True},
        "datasets": {"lesions": {"kind": "table", "path": "lesions.tsv", "classes": {"benign": 0, "malignant": 1}}},
        "augmentation": {"flip": 0.5, "rotation_degrees": 0, "shift": 0.1, "scale": 0, "shear_degrees": 0, "fill": 128},
        **{"cache_mb": 10, "checkpoints": str(tmp_path / "checkpoints")},
    }
    given = {"images": [images], "splits": [splits], "weights": [job.files["random", "tiny"]]}
    output = {name.split(".")[0]: path for name, path in made.items()}
    spaces = {name: SimpleNamespace(**of) for name, of in (("input", given), ("output", output), ("params", params))}
    fit_cells.main(SimpleNamespace(**spaces, threads=1))
    fitted = read_table(made["fits.tsv"], "grid_fits")
    assert fitted.groupby("cell").size().to_dict() == {"Linear": 2, "NonLinear": 2} and set(fitted["grid"]) == {"main"}
    assert len(list(made["weights"].glob("*.safetensors"))) == 4 and not (tmp_path / "checkpoints").exists()
