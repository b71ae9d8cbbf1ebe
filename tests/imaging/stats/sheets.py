"""A spreadsheet as one is published: people and features side by side, put together from tables of two versions."""

from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.lib.imaging.stats.structures import ASEG, DESTRIEUX, SELDOM, cortical_feature

# what some versions shorten to &
SHORT = {region: region.replace("_and_", "&") for region in DESTRIEUX if "_and_" in region}


def write_sheet(path: Path, people: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    """Write a spreadsheet in the format of the PCNtoolkit demonstration's OpenNeuro table.

    Every region whose name versions write differently has two columns, one of them zero; the thalamus too. The last
    person repeats the first row's features under the same name with another age if ``people`` says so.

    Parameters
    ----------
    path : Path
    people : pandas.DataFrame
        ``sub_id``, ``age``, ``sex`` (0, 1), ``site``; a ``sub_id`` that repeats gets the same features.
    seed : int

    Returns
    -------
    pandas.DataFrame
        Features by their names here, index ``sub_id``, one row a name.
    """
    rng = np.random.default_rng(seed)
    names = people["sub_id"].drop_duplicates()
    first = people.drop_duplicates("sub_id")
    years, male = first["age"].to_numpy(float), first["sex"].to_numpy(float)
    shift = first["site"].astype("category").cat.codes.to_numpy(float)
    planted, columns = {}, {}
    for side in ("lh", "rh"):
        for region in DESTRIEUX:
            noise = rng.normal(0, 0.1, len(names))
            value = np.round(2.6 - 0.008 * years + rng.normal(0, 0.1) * shift + noise, 3)
            planted[cortical_feature(side, region, "thickness", "Destrieux")] = value
            short = SHORT.get(region, region)
            used = short if region.startswith("G_and_S") else region
            columns[f"{side}_{used}_thickness"] = value
            if short != region:
                other = f"{side}_{used}_thickness.1" if used == short else f"{side}_{short}_thickness"
                columns[other] = 0 * value
    for number, structure in ASEG.items():
        value = rng.normal(4000 + 400 * male - 10 * years, 200)
        value = np.round(value, 1) if number not in SELDOM else 0 * value
        planted[structure] = value if number not in SELDOM else np.nan
        columns[structure] = value
    columns |= {name: 0 * years for name in ("Left-Thalamus-Proper", "Right-Thalamus-Proper")}
    planted["icv"] = columns["EstimatedTotalIntraCranialVol"] = columns["eTIV"] = np.round(
        rng.normal(1.35e6 + 2e5 * male, 1e5), 3
    )
    sheet = pd.DataFrame(columns, index=names.to_numpy())
    people.join(sheet, on="sub_id").to_csv(path, index=False)
    return pd.DataFrame(planted, index=names.to_numpy())


def some_people(count: int, seed: int = 1) -> pd.DataFrame:
    """Draw people of three sites between 20 and 80."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "sub_id": [f"sub-x_{number:03d}" for number in range(count)],
            "age": rng.uniform(20, 80, count).round(1),
            "sex": rng.integers(0, 2, count),
            "site": rng.choice(["north", "south", "west"], count),
        }
    )
