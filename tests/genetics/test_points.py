import numpy as np
import pandas as pd

from workflow_scripts.lib.genetics import points


def results(count=4000, seed=0):
    random = np.random.default_rng(seed)
    table = pd.DataFrame({"chrom": random.choice(["1", "2", "10", "22"], count), "pos": 0, "n": 80})
    table["pos"] = random.integers(1, 5_000_000, count)
    table["id"] = [f"v{row}" for row in range(count)]
    return table.assign(p=random.uniform(size=count)).sort_values("pos", ignore_index=True)


def test_expected_values_are_those_of_uniform_ranks():
    p = pd.Series([0.9, 0.001, 0.5])
    assert np.allclose(points.expected(p), -np.log10([2.5 / 3, 0.5 / 3, 1.5 / 3]))


def test_chromosomes_follow_each_other_by_number():
    table = results()
    x = points.genome_positions(table)
    order = table.assign(x=x).groupby("chrom")["x"].agg(["min", "max"])
    assert order.loc["1", "max"] < order.loc["2", "min"]
    assert order.loc["2", "max"] < order.loc["10", "min"]
    assert order.loc["10", "max"] < order.loc["22", "min"]
    assert x.min() == 0


def test_thinning_keeps_every_low_p_and_the_ranks_of_all():
    table = results()
    all_points = points.plot_points({"rnce": table}, 5e-8, 1e-3)
    thin = points.plot_points({"rnce": table}, 5e-8, 1e-3, most=100)
    low = table.loc[table["p"] < 0.01, "id"]
    assert set(low) <= set(thin["id"])
    assert len(thin) <= 100 + len(low)
    both = thin.merge(all_points, on="id")
    assert (both["expected_x"] == both["expected_y"]).all()
    assert set(thin.loc[thin["lead"], "id"]) == set(all_points.loc[all_points["lead"], "id"])
