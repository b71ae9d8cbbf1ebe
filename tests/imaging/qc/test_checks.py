"""Limits in words, and the shipped limits against their schema."""

import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.imaging.qc.qc_study import ROOT, SETTINGS
from workflow_scripts.lib.imaging.qc.checks import NEEDED, WORDS, Check, make_checks

SCHEMA = yaml.safe_load((ROOT / "workflow_scripts/schemas/config/qc.schema.yaml").read_text())


def test_config_schema_and_library_name_the_same_checks():
    assert list(SCHEMA["properties"]["checks"]["properties"]) == list(WORDS) == list(SETTINGS["checks"])
    assert set(NEEDED) < set(WORDS)


def test_the_schemas_defaults_are_the_shipped_limits():
    for name, rule in SCHEMA["properties"]["checks"]["properties"].items():
        assert rule["default"] == {"min": None, "max": None} | SETTINGS["checks"][name]
    for name in ("outliers", "mixed_tools", "overrides"):
        assert SCHEMA["properties"][name]["default"] == SETTINGS[name]


def test_checks_without_a_limit_or_an_effect_are_left_out():
    made = make_checks(
        {
            "overlap": {"min": 0.8, "does": "exclude"},
            "scale": {"min": None, "max": None, "does": "exclude"},
            "euler": {"min": -200, "does": "nothing"},
        }
    )
    assert made == [Check("overlap", 0.8, None, "exclude")]


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (Check("overlap", 0.85, None, "exclude"), "at least 0.85"),
        (Check("noise_percent", None, 10, "flag"), "at most 10"),
        (Check("cortex_ml", 200, 900, "exclude"), "200 to 900 ml"),
    ],
)
def test_limits_in_words(check, words):
    assert check.expected() == words


@given(value=st.floats(-1e6, 1e6), low=st.floats(-1e3, 1e3).map(lambda x: round(x, 3)))
def test_the_number_that_is_said_lies_outside_the_limits_like_the_true_one(value, low):
    check = Check("scale", low, None, "flag")
    if value < low - 1e-8:
        said = float(check.say(value).split(" is ")[1].split(",")[0])
        assert check.outside(pd.Series([said])).all()
