"""The benchmark of statistics runs at a tiny size, and both sides of each comparison compute the same."""

import numpy as np

from tests.benchmarks import statistics as benchmark


def test_both_sides_agree():
    sizes = "--people 160 --resamples 6 --features 5 --pairs 40 --permutations 4000 --rounds 2"
    permutations, fits = benchmark.main(sizes.split())
    assert permutations["test"].tolist() == ["sign flip", "unpaired"]
    error = 5 * np.sqrt(0.5 / 4000)
    assert ((permutations["p"] - permutations["p scipy"]).abs() < error).all()
    assert fits["AUC difference"].max() <= 1e-12
    assert (fits["mean AUC"] > 0.6).all()
    assert np.isfinite(fits["ratio"]).all()


def test_the_loop_gives_scores_to_the_held_out_alone():
    x, y, train = benchmark.draw_study(80, 4, 3, 20)
    scores = benchmark.one_by_one(x, y, train)
    assert ((scores != 0) == (train == 0)).all()
    assert (train.sum(1) == 60).all()
