"""How well sites can be told: planted shifts are found, and neither training people nor covariates pass for them."""

import numpy as np
import pandas as pd

from workflow_scripts.lib.features.sites import FOLDS, assess_sites, choose_scans


def planted(shift, count=240, seed=3):
    rng = np.random.default_rng(seed)
    people = pd.DataFrame(
        {
            "participant_id": [f"p{number}" for number in range(count)],
            "split": "test",
            "site": np.repeat(["north", "south", "west"], count // 3),
            "age": rng.uniform(20, 80, count),
            "sex": rng.choice(["F", "M"], count),
        }
    )
    site = people["site"].map({"north": 0.0, "south": 1.0, "west": -1.0}).to_numpy()[:, None]
    return people, pd.DataFrame(shift * site + rng.standard_normal((count, 20)))


def assess(people, **tables):
    return assess_sites(tables, people, ["age", "sex"], 0.95, 1).set_index("features")


def test_a_shift_is_found_and_its_absence_too():
    people, shifted = planted(0.8)
    _, plain = planted(0.0)
    found = assess(people, measured=shifted, harmonised=plain)
    assert found.loc["measured", "accuracy"] > 0.9
    # nothing to find: chance lies in the interval
    for name in ("harmonised", "covariates"):
        assert found.loc[name, "lower"] < 1 / 3 < found.loc[name, "upper"]
    assert (found["chance"] == 1 / 3).all() and (found["people"] == 240).all() and (found["sites"] == 3).all()


def test_what_age_tells_about_the_site_is_said():
    people, values = planted(0.0)
    people["age"] += people["site"].map({"north": 0, "south": 200, "west": 400})
    assert assess(people, measured=values).loc["covariates", "accuracy"] > 0.95


def test_only_first_scans_of_people_outside_training_in_sites_of_some_size_count():
    people, _ = planted(0.0)
    people.loc[:9, "split"] = "train"
    people.loc[10, "age"] = np.nan
    people.loc[12, "participant_id"] = people.loc[11, "participant_id"]
    people.loc[11:12, "age"] = [50.0, 51.0]
    people.loc[13 : 13 + FOLDS - 2, "site"] = "tiny"
    covariates = people[["age"]].to_numpy(float)
    kept = choose_scans(people, covariates)
    assert kept.sum() == 240 - 10 - 1 - 1 - (FOLDS - 1)
    assert kept[11] and not kept[12]


def test_one_site_is_nothing_to_tell():
    people, values = planted(1.0)
    found = assess(people.assign(site="north"), measured=values)
    assert found["accuracy"].isna().all() and (found["sites"] == 1).all()
