import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.genetics import bed, qc
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.phantom import genotypes

SETTINGS = {
    "offset_sd_years": 5.0,
    "loci": {
        "17": {"name": "MAPT", "position": 44_100_000, "share": 0.55},
        "11": {"name": "IRAG1", "position": 10_650_000, "share": 0.15},
        "6": {"name": "chr6", "position": 45_000_000, "share": 0.08},
    },
    "background_variants": 60,
    "minor_ancestry_share": 0.15,
    "split_generations": 500,
    "autosome_megabases": 3.0,
    "autosome_variants": 330,
    "x_megabases": 40.0,
    "x_variants": 4500,
    "sibling_pairs": 4,
    "parent_child_pairs": 3,
    "duplicate_people": 1,
    "sex_errors": 3,
    "low_call_people": 2,
    "low_call_variants": 40,
    "hwe_variants": 20,
    "duplicate_variants": 15,
    "missing_rate": 0.0005,
}
QC = {
    "build": "hg19",
    "check_sex": True,
    "sex_f_female": 0.2,
    "sex_f_male": 0.8,
    "max_kinship": 0.0884,
    "max_variant_missing": 0.03,
    "min_maf": 0.05,
    "min_hwe_p": 1e-10,
    "max_person_missing": 0.03,
}


def make_people(count: int, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    ids = [f"{index:03d}" for index in range(count)]  # digits only: must stay text
    return pd.DataFrame(
        {"participant_id": ids, "sex": random.choice(["F", "M"], count), "age": random.uniform(45, 85, count)}
    )


@pytest.fixture(scope="session")
def plink():
    for names in (("plink2",), ("plink1.9", "plink")):
        if not any(shutil.which(name) for name in names):
            pytest.skip(f"{names[0]} is not installed (apt-get install plink2 plink1.9)")


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """A phantom of 110 people, written once: ``prefix``, ``people`` and the truth."""
    people = make_people(110)
    phantom = genotypes.simulate(people, SETTINGS, 5)
    prefix = tmp_path_factory.mktemp("genotypes") / "raw"
    bed.write_bed(phantom.genotypes, prefix)
    return SimpleNamespace(prefix=prefix, people=people, phantom=phantom)


@pytest.fixture(scope="session")
def cleaned(plink, study, tmp_path_factory):
    """The phantom after quality control: ``prefix``, ``steps``, ``removed``."""
    folder = tmp_path_factory.mktemp("qc")
    steps, removed = qc.quality_control(
        study.prefix, study.people, QC, folder / "clean", tmp_path_factory.mktemp("work"), Limits()
    )
    return SimpleNamespace(prefix=folder / "clean", steps=steps, removed=removed)
