"""The scripts of regional features: one site is left as it is, subsets are parts of the whole."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.features import assess_sites, harmonise, select_features
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError

NAMES = ["lh_bankssts_thickness", "Left-Caudate", "Left-Amygdala"]


@pytest.fixture
def study(tmp_path):
    """Tables of 30 people of one site, without intracranial volume."""
    rng, ids = np.random.default_rng(1), [f"p{number:02d}" for number in range(30)]
    scans = pd.DataFrame({"scan_id": [f"{name}_1" for name in ids], "participant_id": ids, "session_id": "1"})
    scans = scans.assign(cohort="ours", site="here", scanner=None, age=rng.uniform(20, 80, 30), sex="F")
    scans = scans.assign(split=["train"] * 15 + ["test"] * 15, kind="tables", image="auto", input="ours", batch="000")
    scans = scans.assign(found=True, t1w=None, subject=ids, reason=None)
    features = scans[["scan_id", "participant_id"]].assign(icv=np.nan)
    features[NAMES] = rng.normal(5, 1, (30, 3))
    included = scans[["scan_id", "participant_id"]].iloc[1:].assign(volume=False)
    # columns that the study has beside these
    optional = {name: None for name in tables.load_schema("scans")["properties"] if name not in scans}
    scans = scans.assign(**optional)
    for name, table in (("scans", scans), ("features", features), ("included", included)):
        table.to_csv(tmp_path / f"{name}.tsv", sep="\t", index=False)
    return tmp_path


def run(script, study, inputs, outputs, params, **more):
    def paths(names):
        return SimpleNamespace(**{key: str(study / f"{name}") for key, name in names.items()})

    class Given(SimpleNamespace):
        __getitem__ = SimpleNamespace.__getattribute__

    given = Given(**vars(paths(inputs)))
    script.main(SimpleNamespace(input=given, output=paths(outputs), params=SimpleNamespace(**params), **more))


def harmonised(study):
    files = {"features": "features.tsv", "scans": "scans.tsv"}
    settings = {"harmonise": {"covariates": ["age", "sex"], "unseen_sites": "keep"}}
    run(harmonise, study, files, {"features": "harmonised.tsv", "model": "combat.json"}, settings)


def test_one_site_is_left_as_it_is(study):
    harmonised(study)
    before, after = (tables.read_table(study / f"{name}.tsv", "features") for name in ("features", "harmonised"))
    pd.testing.assert_frame_equal(before, after)
    files = {"measured": "features.tsv", "harmonised": "harmonised.tsv", "scans": "scans.tsv"}
    settings = {"covariates": ["age"], "level": 0.95, "seed": 1}
    run(assess_sites, study, files, {"sites": "sites.tsv"}, settings)
    found = tables.read_table(study / "sites.tsv", "site_accuracy")
    assert found["accuracy"].isna().all() and (found["people"] == 15).all()


def select(study, names):
    files = {"features": "features.tsv", "included": "included.tsv"}
    wildcards = SimpleNamespace(subset="part")
    run(select_features, study, files, {"representation": "part.tsv"}, {"list": names}, wildcards=wildcards)
    return tables.read_table(study / "part.tsv", "representation")


def test_a_subset_holds_its_features_of_the_included_scans(study):
    table = select(study, NAMES[1:])
    assert list(table.columns) == ["scan_id", "participant_id", *NAMES[1:]] and len(table) == 29
    whole = tables.read_table(study / "features.tsv", "features").set_index("scan_id")
    # tables keep ten digits
    assert table["Left-Caudate"].tolist() == pytest.approx(
        whole.loc[table["scan_id"], "Left-Caudate"].tolist(), rel=1e-9
    )


def test_a_subset_beyond_the_study_is_refused(study):
    with pytest.raises(StudyError, match="subsets: part: list: 'CSF' and 0 more are not among"):
        select(study, ["CSF", "Left-Caudate"])
