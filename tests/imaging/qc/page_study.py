"""A judged table with every sort of scan, and its page with small pictures."""

import numpy as np
import pandas as pd
from PIL import Image

from tests.imaging.qc.qc_study import SETTINGS
from workflow_scripts.lib.imaging.qc.page import write_page

SITES = ["Oslo", "Malmö", '<img src=x onerror="window.hacked=1">', "all"]
HOSTILE = "</script><script>window.hacked=1</script> & \"quotes\" 'single' \u2028 end"


def make_table(count: int) -> pd.DataFrame:
    """Judge by hand: scan 1 set aside by preprocess, 2 by a number, 3 flagged, 4 kept by hand, the others sound."""
    generator = np.random.default_rng(count)
    table = pd.DataFrame(
        {
            "scan_id": [f"sub-{number:05d}_1" for number in range(count)],
            "participant_id": [f"sub-{number:05d}" for number in range(count)],
            "included": True,
            "stage": pd.Series([None] * count, dtype=object),
            "reason": pd.Series([None] * count, dtype=object),
            "flags": pd.Series([None] * count, dtype=object),
            "override": pd.Series([None] * count, dtype=object),
            "override_reason": pd.Series([None] * count, dtype=object),
            "cohort": "adni",
            "site": [SITES[number % len(SITES)] for number in range(count)],
            "tool": "FreeSurfer",
            "tool_version": "7.4.1",
            "volume": True,
            "overlap": generator.uniform(0.9, 0.98, count),
            "noise_percent": generator.uniform(2, 5, count),
            "white_snr": generator.uniform(15, 25, count),
            "transform_00": 1.0,
        }
    )
    changes = {
        1: {"included": False, "stage": "preprocess", "reason": HOSTILE, "volume": False, "overlap": np.nan},
        2: {"included": False, "stage": "qc", "reason": "overlap is 0.50", "flags": "overlap", "overlap": 0.5},
        3: {"flags": "noise_percent;mixed_tools", "noise_percent": 15.0},
        4: {"flags": "overlap", "overlap": 0.8, "override": "include", "override_reason": "looked at it"},
    }
    for number, values in changes.items():
        for column, value in values.items() if number < count else ():
            table.loc[number, column] = value
    return table


def make_page(folder, count: int):
    """Write the page with one small picture for all scans that have a volume; returns the folder."""
    table = make_table(count)
    picture = folder / "source.jpg"
    Image.new("RGB", (71, 47), (90, 90, 90)).save(picture)
    pictures = dict.fromkeys(table.loc[table["volume"], "scan_id"], picture)
    write_page(table, pictures, folder, "Quality & <control>", SETTINGS["checks"])
    picture.unlink()
    return folder
