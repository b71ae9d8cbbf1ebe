"""ComBat: equal to the reference on training data, and right for scans that it was not estimated on."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from neuroCombat import neuroCombat

from workflow_scripts.lib.features import combat
from workflow_scripts.lib.study.errors import StudyError

REFERENCE = Path(__file__).resolve().parents[2] / "../shared/reference/combat"


def cohort(seed=1, count=90):
    """People of three sites, whose features depend on age, sex and site; in table order, site by site mixed."""
    random = np.random.default_rng(seed)
    people = pd.DataFrame(
        {
            "participant_id": [f"p{number:03d}" for number in range(count)],
            "site": random.choice(["north", "south", "west"], count),
            "age": random.uniform(45, 85, count),
            "sex": random.choice(["F", "M"], count),
            "split": "train",
        }
    )
    site = people["site"].map({"north": 0.0, "south": 2.0, "west": -1.0}).to_numpy()[:, None]
    spread = people["site"].map({"north": 1.0, "south": 1.5, "west": 0.6}).to_numpy()[:, None]
    slopes = np.linspace(-0.1, 0.1, 8)
    values = 10 + people[["age"]].to_numpy() * slopes + (people[["sex"]].to_numpy() == "M") * 0.5
    values = values + site + spread * random.standard_normal((count, 8))
    return people, pd.DataFrame(values, columns=[f"f{number}" for number in range(8)])


def fitted(people, values, covariates=("age", "sex")):
    matrix = combat.design(people, list(covariates))
    return combat.estimate(values, people["site"], matrix), matrix


def r_output(name):
    """Read a table of the R outputs as scans x features."""
    path = REFERENCE / name
    if not path.exists():
        pytest.skip(f"the R outputs of neuroCombat are not on this machine ({path.parent})")
    return pd.read_csv(path).T.reset_index(drop=True)


@pytest.mark.parametrize(
    ("expected", "pheno"),
    [
        ("testdata_combat_parametric_adjusted_r.csv", [1.0, 2.0] * 5),
        ("testdata_combat_parametric_unadjusted_r.csv", None),
    ],
)
def test_equal_to_the_r_package(expected, pheno):
    values = r_output("testdata.csv")
    batches = pd.Series(["1"] * 5 + ["2"] * 5)
    covariates = np.array(pheno)[:, None] if pheno else np.empty((10, 0))
    model = combat.estimate(values, batches, covariates)
    adjusted, untouched = combat.apply(model, values, batches, covariates)
    assert untouched == []
    np.testing.assert_allclose(adjusted, r_output(expected), rtol=0, atol=1e-10)


@pytest.mark.parametrize("covariates", [["age", "sex"], ["age"], []])
def test_equal_to_neurocombat_on_its_training_data(covariates):
    people, values = cohort()
    model, matrix = fitted(people, values, covariates)
    adjusted, _ = combat.apply(model, values, people["site"], matrix)
    frame = pd.DataFrame({"site": people["site"], **{name: matrix[:, i] for i, name in enumerate(covariates)}})
    with contextlib.redirect_stdout(io.StringIO()):
        expected = neuroCombat(values.to_numpy().T, frame, "site", continuous_cols=covariates)["data"].T
    # neuroCombat rounds its design matrix to float32; ours is not rounded
    np.testing.assert_allclose(adjusted, expected, rtol=0, atol=1e-6)


def test_the_estimates_survive_json():
    people, values = cohort()
    model, matrix = fitted(people, values)
    again = json.loads(json.dumps(model))
    first, second = (combat.apply(one, values, people["site"], matrix)[0] for one in (model, again))
    pd.testing.assert_frame_equal(first, second)


def test_sites_come_together_and_the_slope_of_age_stays():
    people, values = cohort(count=300)
    model, matrix = fitted(people, values)
    adjusted, _ = combat.apply(model, values, people["site"], matrix)

    def fit(table):
        columns = [
            np.ones(300),
            people["age"],
            people["sex"] == "M",
            people["site"] == "south",
            people["site"] == "west",
        ]
        return np.linalg.lstsq(np.column_stack(columns).astype(float), table.to_numpy(), rcond=None)[0]

    before, after = fit(values), fit(adjusted)
    assert np.abs(before[3]).mean() > 1.5
    assert np.abs(after[3:]).max() < 0.2
    np.testing.assert_allclose(after[1], np.linspace(-0.1, 0.1, 8), atol=0.02)


def test_a_new_scan_is_adjusted_with_its_own_covariates():
    people, values = cohort()
    model, _ = fitted(people, values)
    new, site = values.iloc[[4, 4]].reset_index(drop=True), people["site"].iloc[[4, 4]]
    covariates = np.array([[50.0, 0.0], [80.0, 0.0]])
    adjusted, _ = combat.apply(model, new, site, covariates)
    # by the formula: what changes between two people of equal features is the covariates' part, times one less the
    # scale that the site's variance is divided by
    row = model["batches"].index(site.iloc[0])
    shrink = 1 / np.sqrt(np.array(model["delta"])[row])
    expected = (1 - shrink) * ((covariates[1] - covariates[0]) @ np.array(model["beta"]))
    np.testing.assert_allclose(adjusted.iloc[1] - adjusted.iloc[0], expected, atol=1e-12)
    assert np.abs(expected).max() > 0.05


def test_a_scan_is_adjusted_the_same_alone_and_among_others():
    people, values = cohort()
    model, matrix = fitted(people, values)
    together, _ = combat.apply(model, values, people["site"], matrix)
    for row in (0, 17):
        alone, _ = combat.apply(model, values.iloc[[row]], people["site"].iloc[[row]], matrix[[row]])
        pd.testing.assert_frame_equal(alone, together.iloc[[row]])


def test_unseen_sites_and_scans_without_covariates_stay_as_they_are():
    people, values = cohort()
    model, matrix = fitted(people, values)
    matrix[3, 0] = np.nan
    sites = people["site"].where(people.index != 7, "east")
    adjusted, untouched = combat.apply(model, values, sites, matrix, "keep")
    assert untouched == sorted({"east", people["site"][3]})
    same = (adjusted == values).all(axis=1)
    assert same[same].index.tolist() == [3, 7]
    assert adjusted.notna().all(axis=None)


def test_unseen_sites_are_refused_on_request():
    people, values = cohort()
    model, matrix = fitted(people, values)
    sites = people["site"].where(people.index != 7, "east")
    with pytest.raises(StudyError, match=r"sites east .*Known sites: north, south, west\..*unseen_sites to keep"):
        combat.apply(model, values, sites, matrix, "refuse")


def test_only_unseen_sites_can_be_given():
    people, values = cohort()
    model, matrix = fitted(people, values)
    adjusted, untouched = combat.apply(model, values, pd.Series("east", index=values.index), matrix)
    assert untouched == ["east"]
    pd.testing.assert_frame_equal(adjusted, values)


def test_a_feature_without_variance_stays_and_breaks_nothing():
    people, values = cohort()
    with_constant = values.assign(flat=3.0)
    model, matrix = fitted(people, with_constant)
    adjusted, _ = combat.apply(model, with_constant, people["site"], matrix)
    assert "flat" not in model["features"]
    assert (adjusted["flat"] == 3.0).all()
    alone, matrix = fitted(people, values)
    pd.testing.assert_frame_equal(adjusted[values.columns], combat.apply(alone, values, people["site"], matrix)[0])


def test_training_uses_first_visits_of_training_participants():
    people, _ = cohort(count=30)
    people.loc[5:9, "split"] = "test"
    people.loc[2, "age"] = np.nan
    second = people.iloc[[0, 1, 2]].assign(age=80.0)
    people = pd.concat([people, second], ignore_index=True)
    train = combat.choose_training(people, combat.design(people, ["age", "sex"]))
    chosen = people[train]
    assert (chosen["split"] == "train").all()
    assert not chosen["participant_id"].duplicated().any()
    # the third participant's first visit lacks an age: the second one stands for it
    assert set(np.flatnonzero(~train)) == {2, 5, 6, 7, 8, 9, 30, 31}


def test_sites_of_two_are_left_out_and_one_site_is_no_batch():
    people, _ = cohort(count=40)
    people["site"] = ["north"] * 20 + ["south"] * 18 + ["west"] * 2
    train = combat.choose_training(people, np.empty((40, 0)))
    assert set(people.loc[train, "site"]) == {"north", "south"}
    people.loc[20:37, "split"] = "test"
    with pytest.raises(StudyError, match=r"training scans by site: .*'north': 20.*two sites with 3 or more"):
        combat.choose_training(people, np.empty((40, 0)))


def test_design_codes_sex_and_keeps_gaps():
    people = pd.DataFrame({"age": [70.0, np.nan, 60.0], "sex": ["F", "M", None]})
    matrix = combat.design(people, ["sex", "age"])
    np.testing.assert_array_equal(matrix, [[0, 70], [1, np.nan], [np.nan, 60]])
    assert combat.design(people, []).shape == (3, 0)


@pytest.mark.parametrize("name", ["agee", "diagnosis"])
def test_a_covariate_that_is_no_column_of_numbers_is_refused(name):
    people = pd.DataFrame({"age": [70.0], "sex": ["F"], "diagnosis": ["CN"]})
    with pytest.raises(StudyError, match=f"found '{name}', expected sex or a column of numbers: age"):
        combat.design(people, [name])
