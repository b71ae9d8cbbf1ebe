"""Outlying features: found where planted, not where age or site explain them."""

import numpy as np
import pandas as pd
import pytest

from tests.imaging.qc.qc_study import ROOT
from workflow_scripts.lib.imaging.qc.outliers import count_outliers, fit_on_age, robust_scores

SETTINGS = {"z": 5.0, "min_scans": 20}
IXI = ROOT / "../shared/reference/tables/ixi_fs_dk_thickness.csv.gz"


def cohort(scans=200, features=12, seed=0):
    """Give features that fall with age, at two sites with different levels, and nothing outlying."""
    generator = np.random.default_rng(seed)
    age = pd.Series(generator.uniform(40, 90, scans))
    site = pd.Series(np.where(np.arange(scans) % 2 == 0, "a", "b"))
    values = generator.normal(0, 1, (scans, features)) - 0.2 * age.to_numpy()[:, None]
    values += np.where(site == "b", 50.0, 0.0)[:, None]
    table = pd.DataFrame(values, columns=[f"f{number}" for number in range(features)])
    return table, age, site, pd.Series("x", index=table.index)


def test_nothing_is_outlying_in_sound_data_of_two_sites_and_many_ages():
    assert count_outliers(*cohort(), SETTINGS).eq(0).all()


def test_planted_outliers_are_counted():
    table, *rest = cohort()
    table.iloc[17, :5] += 9
    table.iloc[90, 3] -= 9
    found = count_outliers(table, *rest, SETTINGS)
    assert found[17] == 5 and found[90] == 1
    assert found.drop([17, 90]).eq(0).all()


def test_many_bad_scans_do_not_hide_each_other():
    table, *rest = cohort()
    bad = table.index[::5]  # every fifth scan
    table.loc[bad] += 30
    found = count_outliers(table, *rest, SETTINGS)
    assert found[bad].eq(12).all()
    assert found.drop(bad).eq(0).all()


def test_the_line_on_age_is_the_one_planted_despite_outliers():
    generator = np.random.default_rng(3)
    years = generator.uniform(40, 90, 300)
    values = (3.0 - 0.01 * years + generator.normal(0, 0.05, 300))[:, None]
    values[:60] += 2
    line = fit_on_age(values, years)
    assert np.polyfit(years, line[:, 0], 1)[0] == pytest.approx(-0.01, abs=0.0005)


def test_a_small_site_is_compared_with_all_scans():
    table, age, site, tool = cohort()
    site[:] = "a"
    table.loc[:] = cohort()[0] - np.where(cohort()[2] == "b", 50.0, 0.0)[:, None]
    site.iloc[:5] = "tiny"
    table.iloc[2, 0] += 20
    found = count_outliers(table, age, site, tool, SETTINGS)
    assert found[2] == 1 and found.drop(2).eq(0).all()


def test_tools_are_not_compared_with_each_other():
    table, age, site, tool = cohort()
    table += np.where(np.arange(200) < 40, 300.0, 0.0)[:, None]
    tool.iloc[:40] = "y"
    assert count_outliers(table, age, site, tool, SETTINGS).eq(0).all()
    assert count_outliers(table, age, site, pd.Series("x", index=table.index), SETTINGS).max() == 12


def test_too_few_scans_give_no_judgement():
    table, age, site, tool = cohort(9)
    assert count_outliers(table, age, site, tool, SETTINGS).isna().all()


def test_missing_values_constant_features_and_missing_ages_do_no_harm():
    table, age, site, tool = cohort()
    table["vessel"] = 0.0
    table.loc[3, "vessel"] = 40.0
    table["absent"] = np.nan
    table.loc[:150, "f0"] = np.nan
    table.loc[9] = np.nan
    age[::3] = np.nan  # whose features then spread with age
    found = count_outliers(table, age, site, tool, SETTINGS)
    assert np.isnan(found[9])
    assert found.drop(9).eq(0).all()
    assert robust_scores(table, age, site, tool, 20)[["vessel", "absent"]].isna().all(axis=None)


def test_nobody_has_an_age():
    table, age, site, tool = cohort()
    table.iloc[4, 0] += 60
    assert count_outliers(table, age * np.nan, site, tool, SETTINGS)[4] == 1


def test_the_order_of_the_scans_does_not_matter():
    table, *rest = cohort()
    table.iloc[17, :5] += 9
    order = np.random.default_rng(1).permutation(len(table))
    pd.testing.assert_series_equal(
        count_outliers(table, *rest, SETTINGS),
        count_outliers(table.iloc[order], *[part.iloc[order] for part in rest], SETTINGS).sort_index(),
    )


def test_real_people_are_rarely_outlying_and_a_collapsed_surface_always_is():
    if not IXI.exists():
        pytest.skip("the table of real thickness is not on this machine")
    table = pd.read_csv(IXI)
    names = [name for name in table if name.endswith("_thickness") and "MeanThickness" not in name]
    values = table[names].copy()
    collapsed = 100
    values.loc[collapsed] *= 0.4
    found = count_outliers(values, table["age"], table["site"].astype(str), pd.Series("FS", table.index), SETTINGS)
    assert found[collapsed] > 40
    assert (found > 10).mean() < 0.01
