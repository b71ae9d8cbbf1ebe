"""Mean held-out scores against pandas and by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.evaluate.grids import mean_grid
from workflow_scripts.lib.evaluate.heldout import mean_scores, ranks_within
from workflow_scripts.lib.study.errors import StudyError


def draw(seed=0, resamples=6, scans=9):
    rng = np.random.default_rng(seed)
    grid = rng.normal(size=(resamples, scans)).round(1)
    held_out = rng.random((resamples, scans)) < 0.5
    row, column = np.nonzero(held_out)
    ids = np.array([f"s{k}" for k in range(scans)])
    people = np.array([f"p{k // 2}" for k in range(scans)])
    table = pd.DataFrame({"resample": row * 3, "scan_id": ids[column], "participant_id": people[column]})
    return grid, held_out, table.assign(y=(column % 2).astype(float), score=grid[row, column])


def test_by_hand():
    table = pd.DataFrame(
        {
            "resample": [0, 0, 0, 1, 1],
            "scan_id": ["a", "b", "c", "a", "b"],
            "participant_id": ["p", "q", "q", "p", "q"],
            "y": [1.0, 0, 0, 1, 0],
            "score": [3.0, 1, 1, 5, 7],
        }
    )
    found = mean_scores(table).set_index("scan_id")
    # resample 0: midranks 3, 1.5, 1.5 of 3; resample 1: 1, 2 of 2
    assert found["score"].to_dict() == pytest.approx({"a": (2.5 / 3 + 0.25) / 2, "b": (1 / 3 + 0.75) / 2, "c": 1 / 3})
    assert found["y"].to_dict() == {"a": 1, "b": 0, "c": 0}
    assert mean_scores(table, "raw")["score"].tolist() == [4, 4, 1]
    assert list(mean_scores(table, "logit").columns) == ["scan_id", "participant_id", "y", "score"]


@pytest.mark.parametrize("scale", ["rank", "logit", "raw"])
@pytest.mark.parametrize("seed", range(3))
def test_table_and_grid_agree_in_any_order_of_rows(scale, seed):
    grid, held_out, table = draw(seed)
    found = mean_scores(table.sample(frac=1, random_state=seed), scale).set_index("scan_id")["score"]
    expected = mean_grid(grid, held_out, scale)
    ids = [f"s{k}" for k in np.flatnonzero(held_out.any(0))]
    np.testing.assert_allclose(found[ids], expected[held_out.any(0)], rtol=1e-12)
    assert np.isnan(expected[~held_out.any(0)]).all()


def test_ranks_are_those_of_scipy():
    rng = np.random.default_rng(2)
    groups, values = rng.integers(0, 5, 60), rng.integers(0, 6, 60).astype(float)
    found = ranks_within(groups, values)
    for group in range(5):
        part = groups == group
        np.testing.assert_allclose(found[part], (stats.rankdata(values[part]) - 0.5) / part.sum())


def test_the_scale_of_one_resample_does_not_matter_to_ranks():
    _, _, table = draw()
    other = table.assign(score=table["score"].where(table["resample"] != 3, 100 * table["score"] + 7))
    pd.testing.assert_frame_equal(mean_scores(table), mean_scores(other))


def test_two_tasks_or_representations_at_once_are_refused():
    _, _, table = draw()
    with pytest.raises(StudyError, match="stands twice in resample"):
        mean_scores(pd.concat([table, table]))
    with pytest.raises(StudyError, match="expected one of each"):
        mean_scores(pd.concat([table, table.assign(y=1 - table["y"], resample=table["resample"] + 50)]))
    with pytest.raises(ValueError, match="'odds'"):
        mean_scores(table, "odds")
