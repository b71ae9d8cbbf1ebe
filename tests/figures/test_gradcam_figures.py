"""Figures of Grad-CAM: what they draw is what they were given."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from workflow_scripts.figures import gradcam_measures as measures_script
from workflow_scripts.figures import gradcam_panels as panels_script
from workflow_scripts.figures import volume_gradcam as volume_script
from workflow_scripts.lib.figures import gradcam_measures, gradcam_panels, volume_gradcam
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.tables import write_table

SIZE = 16
DATASETS = {"toy": {"title": "Toy images", "classes": {"benign": 0, "normal": 0, "malignant": 1}}}


def panels(cells=1, each=3):
    rows = []
    for cell in range(cells):
        for kind in ("right", "wrong"):
            for y in (0, 1):
                for number in range(each):
                    said = y if kind == "right" else 1 - y
                    image = f"c{cell}{kind}{y}{number}"
                    rows.append(
                        (
                            f"c{cell}",
                            kind,
                            image,
                            y,
                            said,
                            0.9 - 0.1 * number,
                            number == 2,
                            "malignant" if y else "normal",
                        )
                    )
    columns = ["cell", "kind", "image_id", "y", "predicted", "score", "empty", "label"]
    table = pd.DataFrame(rows, columns=columns)
    numbers = {name: 0.2 for name in ("chance", "energy", "energy_others", "energy_random", "pointing")}
    table = table.assign(dataset="toy", split=0, seed=0, has_mask=True, **numbers)
    table.loc[table["empty"], ["energy", "energy_others", "pointing"]] = np.nan
    return table


def pictures(count):
    rng = np.random.default_rng(0)
    masks = np.zeros((count, SIZE, SIZE), np.uint8)
    masks[:, 4:9, 5:12] = 1
    maps = rng.random((count, SIZE, SIZE)).astype(np.float16)
    return {"images": rng.integers(0, 255, (count, 1, SIZE, SIZE), np.uint8), "maps": maps, "masks": masks}


def test_cases_are_shown_in_turn_by_class_with_their_numbers(tmp_path):
    table = panels()
    write_table(table, tmp_path / "panels.tsv", "explain_panels")
    shots = pictures(len(table))
    np.savez(tmp_path / "panels.npz", **shots)
    files = {"panels": [str(tmp_path / "panels.tsv")], "pictures": [str(tmp_path / "panels.npz")]}
    job = SimpleNamespace(
        input=SimpleNamespace(**files),
        params=SimpleNamespace(grids=["g"], datasets=DATASETS),
        output=SimpleNamespace(png=str(tmp_path / "f.png")),
    )
    panels_script.main(job)
    assert imread(tmp_path / "f.png").std() > 0.05
    source = pd.read_csv(tmp_path / "f.csv")
    assert len(source) == 8  # of 12 cases, four right and four wrong ones
    assert source["y"].tolist()[:4] == [0, 1, 0, 1]
    assert source["kind"].tolist()[:8] == ["right"] * 4 + ["wrong"] * 4
    shown = gradcam_panels.choose(table.assign(grid="g"))
    figure = gradcam_panels.draw(shown, shots, {"toy": "Toy images"}, {"toy": {0: "benign/normal", 1: "malignant"}})
    drawn = [axes for axes in figure.axes if axes.images]
    assert len(drawn) == 2 * 8
    first, third = shown.index[0], shown.index[2]
    np.testing.assert_array_equal(drawn[0].images[0].get_array(), shots["images"][first, 0])
    np.testing.assert_array_equal(drawn[2].images[0].get_array(), shots["images"][third, 0])
    assert drawn[0].get_title(loc="left") == "true: benign/normal\nsaid: benign/normal, 0.90"
    overlay = drawn[8]
    np.testing.assert_allclose(overlay.images[1].get_alpha(), 0.65 * shots["maps"][first].astype(float))
    assert overlay.get_xlabel() == "inside 0.20 (chance 0.20)"


def test_a_figure_holds_the_first_cells_of_each_dataset_in_turn_and_says_of_how_many():
    table = panels(cells=4, each=1).assign(grid="g")
    shown = gradcam_panels.choose(table, cells=2, cases=2)
    assert shown["cell"].tolist() == ["c0", "c0", "c1", "c1"] and shown["kind"].tolist() == ["right", "wrong"] * 2
    table.loc[table["cell"] == "c3", "dataset"] = "other"
    shown = gradcam_panels.choose(table, cells=2, cases=2)
    assert shown["cell"].tolist() == ["c0", "c0", "c3", "c3"]
    shots = pictures(len(table))
    for explained, said in ((4, "first 2 of 4 cells, of each dataset in turn"), (2, None)):
        body = gradcam_panels.draw(shown, shots, {}, {}, explained).subfigs[0]
        assert (body.get_suptitle() or None) == said


def test_an_empty_map_and_an_image_without_outline_say_so():
    table = panels(cells=1, each=1).assign(grid="g", empty=[True, False, False, False])
    table.loc[1, ["chance", "energy"]] = np.nan
    shots = pictures(4)
    shots["maps"][0], shots["masks"][1] = 0, 0
    figure = gradcam_panels.draw(gradcam_panels.choose(table), shots, {}, {})
    below = [axes for axes in figure.axes if axes.images][4:]
    assert [axes.get_xlabel() for axes in below[:2]] == ["empty (chance 0.20)", "no outline"]
    assert "empty map" in [text.get_text() for text in below[0].texts]
    with pytest.raises(StudyError, match="no case to show"):
        gradcam_panels.draw(table.iloc[:0], shots, {}, {})


def measure_tables():
    quantities = [*gradcam_measures.ENERGY, "pointing", *gradcam_measures.GAINS, "empty"]
    rows = [
        (cell, explained, subset, name, 0.1 * number, 0.1 * number - 0.02, 0.1 * number + 0.03)
        for cell in ("a", "b")
        for explained in ("predicted", "true")
        for subset in ("all", "right")
        for number, name in enumerate(quantities)
    ]
    columns = ["cell", "explained", "subset", "quantity", "value", "lower", "upper"]
    summary = pd.DataFrame(rows, columns=columns).assign(dataset="toy", images=9, groups=5, fits=2)
    stages = [(cell, seed, number, stage, 0.5 / number) for cell in ("a", "b") for seed in (0, 1)
              for number, stage in enumerate(("head", "layer4"), start=1)]  # fmt: skip
    randomisation = pd.DataFrame(stages, columns=["cell", "seed", "number", "stage", "rank_correlation"])
    randomisation = randomisation.assign(dataset="toy", split=0, images=9, empty=0.0, similarity=0.3, energy=0.2)
    return summary, randomisation


def test_measures_of_each_cell_and_every_fit_of_the_cascade(tmp_path):
    summary, randomisation = measure_tables()
    write_table(summary, tmp_path / "summary.tsv", "explain_summary")
    write_table(randomisation, tmp_path / "randomisation.tsv", "explain_randomisation")
    files = {name: [str(tmp_path / f"{name}.tsv")] for name in ("summary", "randomisation")}
    job = SimpleNamespace(
        input=SimpleNamespace(**files),
        params=SimpleNamespace(grids=["g"], datasets=DATASETS),
        output=SimpleNamespace(png=str(tmp_path / "f.png")),
    )
    measures_script.main(job)
    source = pd.read_csv(tmp_path / "f.csv")
    assert set(source["quantity"]) == {
        *gradcam_measures.ENERGY, *gradcam_measures.POINTING, *gradcam_measures.GAINS, "rank_correlation"
    }  # fmt: skip
    table = gradcam_measures.source_table(summary.assign(grid="g"), randomisation.assign(grid="g"))
    figure = gradcam_measures.draw(table, {"toy": "Toy images"})
    energy, pointing, gains, cascade = figure.axes
    assert [text.get_text() for text in energy.get_yticklabels()] == ["Toy images: a", "Toy images: b"]
    points = sorted(float(line.get_xdata()[0]) for line in energy.lines[1:])
    np.testing.assert_allclose(points, np.repeat([0.0, 0.1, 0.2, 0.3], 2))
    bars = [tuple(one.get_segments()[0][:, 0]) for one in gains.collections]
    np.testing.assert_allclose(bars, [(0.48, 0.53)] * 2 + [(0.58, 0.63)] * 2)
    assert len(pointing.lines) == 1 + 4
    lines = [line.get_ydata() for line in cascade.lines[1:]]
    assert len(lines) == 4
    np.testing.assert_allclose(lines[0], [1, 0.5, 0.25])
    with pytest.raises(StudyError, match="no measure"):
        gradcam_measures.draw(table.iloc[:0])


def test_planes_lie_at_the_highest_place_in_the_brain(tmp_path):
    shape = (6, 7, 8)
    volume, maps = np.zeros(shape, np.float32), np.zeros((2, *shape), np.float16)
    volume[1:5, 1:6, 1:7] = np.arange(120).reshape(4, 5, 6) + 10
    maps[0, 0, 0, 0], maps[0, 4, 2, 3] = 1, 0.5  # the highest place of all is outside
    affine = np.diag([8.0, 8.0, 8.0, 1.0])
    affine[:3, 3] = -16, -24, -32
    arrays = {"maps": maps, "volume": volume, "brain": volume > 0, "affine": affine}
    table = pd.DataFrame({"target": ["age", "age"], "direction": ["higher", "lower"], "scans": 3, "sets": "test"})
    numbers = {
        "block": 6,
        "cells_x": 5,
        "cells_y": 6,
        "cells_z": 5,
        "cell_mm": 32.0,
        "brain_share": 0.36,
        "compared": 3,
    }
    table = table.assign(**numbers, empty=[0.0, 1.0], inside_brain=[0.33, np.nan], similarity_untrained=[0.2, np.nan])
    table = table.assign(peak_x=[16.0, np.nan], peak_y=[-8.0, np.nan], peak_z=[-8.0, np.nan])
    figure = volume_gradcam.draw(table, arrays, "sfcn")
    planes = [axes for axes in figure.axes if axes.images]
    assert [axes.get_xlabel() for axes in planes[:3]] == ["x = 16 mm", "y = -8 mm", "z = -8 mm"]
    np.testing.assert_array_equal(planes[0].images[0].get_array(), volume[4].T)
    np.testing.assert_array_equal(planes[2].images[1].get_alpha(), 0.65 * maps[0, :, :, 3].T.astype(float))
    assert planes[1].images[0].get_extent() == [-20, 28, -36, 28]
    assert "all maps empty" in [text.get_text() for text in planes[4].texts]
    write_table(table, tmp_path / "targets.tsv", "volume_maps")
    np.savez(tmp_path / "maps.npz", **arrays)
    files = {"table": str(tmp_path / "targets.tsv"), "arrays": str(tmp_path / "maps.npz")}
    job = SimpleNamespace(
        input=SimpleNamespace(**files),
        wildcards=SimpleNamespace(method="sfcn"),
        output=SimpleNamespace(png=str(tmp_path / "f.png")),
    )
    volume_script.main(job)
    assert imread(tmp_path / "f.png").std() > 0.05 and len(pd.read_csv(tmp_path / "f.csv")) == 2
    with pytest.raises(StudyError, match="no target"):
        volume_gradcam.draw(table.iloc[:0], arrays, "sfcn")
