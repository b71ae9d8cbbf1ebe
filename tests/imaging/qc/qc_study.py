"""A small study for the tests of quality control: tables of every stage, with faults put in by hand."""

import copy
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = yaml.safe_load((ROOT / "config.yaml").read_text())["qc"]
WANTED = [f"{side}_{part}_volume" for side in ("lh", "rh") for part in ("bankssts", "entorhinal", "insula")]


def settings(**changes):
    """Give the shipped config section with some checks or keys changed."""
    section = copy.deepcopy(SETTINGS)
    for key, value in changes.items():
        place = section["checks"] if key in section["checks"] else section
        place[key] = value
    return section


def study(count=6, **columns):
    """Give scans, (preprocessed, registered) and features of sound scans; ``columns`` overwrite by name and scan."""
    ids = [f"sub-{number + 1}_1" for number in range(count)]
    scans = pd.DataFrame(
        {
            "scan_id": ids,
            "participant_id": [name.removesuffix("_1") for name in ids],
            "session_id": "1",
            "cohort": "adni",
            "site": "Oslo",
            "age": np.linspace(50, 80, count),
            "sex": "F",
            "diagnosis": None,
            "t1w": [f"{name}.nii.gz" for name in ids],
            "image": "brain",
            "input": "adni",
            "kind": "t1w",
            "subject": None,
            "found": True,
            "reason": None,
            "split": "train",
            "batch": "000",
        }
    )
    made = pd.DataFrame(
        {
            "scan_id": ids,
            "passed": True,
            "reason": None,
            "tool": "embedded",
            "tool_version": "1",
            "volume": True,
            "brain_ml": 1200.0,
            "grey_white_contrast": 0.25,
            "contrast_to_noise": 1.8,
            "noise_percent": 3.0,
        }
    )
    placed = pd.DataFrame({"scan_id": ids, "passed": True, "reason": None, "overlap": 0.95, "scale": 1.0})
    features = pd.DataFrame({"scan_id": ids, "participant_id": scans["participant_id"], "icv": 1.4e6})
    for place, name in enumerate(WANTED):
        features[name] = 1000.0 + place
    tables = {"scans": scans, "made": made, "placed": placed, "features": features}
    for key, changes in columns.items():
        table, column = key.split("__")
        tables[table][column] = tables[table].get(column, np.nan)
        for number, value in changes.items():
            if isinstance(value, str | None):
                tables[table][column] = tables[table][column].astype(object)
            tables[table].loc[number, column] = value
    return scans, made, placed, features
