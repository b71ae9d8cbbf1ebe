import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.genetics import bed, qc, qc_people, qc_variants, sources, tools
from workflow_scripts.lib.genetics import genotypes as importing
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
    "kinship_variants": 200_000,
    "kinship": None,
    "min_info": None,
    "info": None,
    "max_variant_missing": 0.03,
    "min_maf": 0.05,
    "min_hwe_p": 1e-10,
    "max_person_missing": 0.03,
}
PCS = {"count": 3, "prune_window": 50, "prune_step": 5, "prune_r2": 0.2, "min_maf": 0.05, "max_variants": 500_000}
GENETICS = {
    "genotypes": "",
    "chromosomes": None,
    "split": False,
    "sample": None,
    "build": "hg19",
    "exclude": [],
    "ancestry": None,
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


def genetics(prefix, **changes) -> dict:
    """Config section genetics for genotypes at a prefix; keys of its subsection qc may be among the changes."""
    qc_changes = {key: changes.pop(key) for key in list(changes) if key in QC}
    build = qc_changes.pop("build", "hg19")
    return GENETICS | {"genotypes": str(prefix), "build": build, "qc": QC | qc_changes} | changes


def control(settings: dict, people: pd.DataFrame, folder: Path) -> SimpleNamespace:
    """Run the rules of quality control one after the other, as the workflow does, below an empty folder."""
    names = ("work", "import", "common", "variants")
    work, imports, commons, variants = (folder / name for name in names)
    for name in (work, imports, commons, variants):
        name.mkdir()

    def scratch(name):
        (work / name).mkdir()
        return work / name

    steps = {}
    for part in sources.imported_parts(settings):
        given = (sources.source(settings, part), people, sources.read_chromosomes(settings, part), settings["qc"])
        steps[part] = importing.import_part(*given, imports / part, scratch(f"import_{part}"), Limits())
    parts = {part: imports / part for part in sources.parts(settings)}
    common = {}
    for part, prefix in parts.items() if not settings["qc"]["kinship"] else ():
        importing.pick_common(prefix, 200_000, "hg19", commons / part, scratch(f"common_{part}"), Limits())
        common[part] = commons / part
    x_part = sources.sex_part(settings)
    left, first = qc_people.filter_people(
        parts,
        common,
        imports / x_part if x_part else None,
        qc.sum_parts(steps.values()),
        settings,
        scratch("people"),
        Limits(),
    )
    tools.write_ids(left, folder / "filtered.txt")
    repeated, records, missing = qc_people.repeated_ids(parts), [], []
    for part, prefix in parts.items():
        given = (prefix, folder / "filtered.txt", settings["qc"], repeated, variants / part)
        record, counts = qc_variants.filter_variants(*given, scratch(f"variants_{part}"), Limits())
        records.append(record)
        missing.append(counts)
    most = settings["qc"]["max_person_missing"]
    left, last = qc.join_control(left, first.steps, [record.steps for record in records], missing, most)
    tools.write_ids(left, folder / "people.txt")
    removed = pd.concat([record.removed for record in (first, *records, last)], ignore_index=True)
    filtered = {part: variants / part for part in parts}
    return SimpleNamespace(parts=filtered, people=folder / "people.txt", steps=last.steps, removed=removed)


@pytest.fixture(scope="session")
def cleaned(plink, study, tmp_path_factory):
    """The phantom after quality control: ``prefix``, ``steps``, ``removed``; ``parts`` and ``people`` as rules give."""
    folder = tmp_path_factory.mktemp("qc")
    done = control(genetics(study.prefix), study.people, folder)
    flags = ["--keep", str(done.people), "--make-pgen", "pvar-cols="]
    tools.run(tools.find("plink2"), [*tools.genotype_arguments(done.parts["all"]), *flags], folder / "clean")
    return SimpleNamespace(prefix=folder / "clean", **vars(done))
