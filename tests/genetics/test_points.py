import numpy as np
import pandas as pd

from workflow_scripts.lib.genetics import points


def results(count=4000, seed=0):
    random = np.random.default_rng(seed)
    table = pd.DataFrame({"chrom": random.choice(["1", "2", "10", "22"], count), "pos": 0, "n": 80})
    table["pos"] = random.integers(1, 5_000_000, count)
    table["id"] = [f"v{row}" for row in range(count)]
    table = table.assign(p=random.uniform(size=count)).sort_values("pos", ignore_index=True)
    return table.assign(neg_log10_p=-np.log10(table["p"]))


def test_expected_values_are_those_of_uniform_ranks():
    strength = -np.log10([0.9, 0.001, 0.5, 0.5])
    assert np.allclose(points.expected(strength), -np.log10([3.5 / 4, 0.5 / 4, 1.5 / 4, 2.5 / 4]))


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
    all_points = points.plot_points("rnce", table, 5e-8, 1e-3, keep_below=0.01)
    thin = points.plot_points("rnce", table, 5e-8, 1e-3, keep_below=0.01, most=100)
    assert len(all_points) == len(table)
    low = table.loc[table["p"] < 0.01, "id"]
    assert set(low) <= set(thin["id"])
    for least, below in ((0.1, 1), (0.01, 0.1)):  # an even share of each decade
        here, before = (set(shown.query(f"{least} < p <= {below}")["id"]) for shown in (thin, all_points))
        assert min(50, len(before)) <= len(here) <= 100
    both = thin.merge(all_points, on="id")
    assert len(both) == len(thin)
    assert (both["expected_x"] == both["expected_y"]).all()
    assert set(thin.loc[thin["lead"], "id"]) == set(all_points.loc[all_points["lead"], "id"])


def test_untested_variants_and_p_values_at_the_floor_keep_their_place():
    table = results()
    table.loc[[3, 4, 5], ["p", "neg_log10_p"]] = [[np.nan, np.nan], [1e-307, 350.0], [1e-307, 412.0]]
    shown = points.plot_points("rnce", table, 5e-8, 1e-3).set_index("id")
    assert table["id"][3] not in shown.index
    strongest = shown["observed"].nlargest(2)
    assert strongest.index.tolist() == [table["id"][5], table["id"][4]]
    assert strongest.tolist() == [412, 350]
    assert shown.loc[strongest.index, "expected"].is_monotonic_decreasing
    assert shown.loc[table["id"][5], "lead"]
