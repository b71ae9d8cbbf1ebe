"""The config is checked before any job, and each fault is named with key, value and remedy."""

import copy
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from workflow_scripts.lib.study import config as study_config
from workflow_scripts.lib.study.config import check_config, check_tools, count_scans, load_config_schema, uses_phantom
from workflow_scripts.lib.study.errors import StudyError

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.fixture
def config(monkeypatch):
    """Give the shipped config, without the real head that a machine may lack."""
    monkeypatch.chdir(ROOT)
    settings = copy.deepcopy(SHIPPED)
    settings["phantom"]["real_scans"] = []
    return settings


def change(config, path, value):
    *parents, key = path.split(".")
    for parent in parents:
        config = config[parent]
    config[key] = value


def faults_of(config):
    with pytest.raises(StudyError) as error:
        check_config(config)
    return str(error.value)


def test_the_shipped_config_passes(config):
    check_config(config)
    assert uses_phantom(config)


def test_the_shipped_real_head_is_there_or_its_lack_is_explained(config):
    config["phantom"]["real_scans"] = SHIPPED["phantom"]["real_scans"]
    if Path(SHIPPED["phantom"]["real_scans"][0]["t1w"]).exists():
        check_config(config)
    else:
        assert "apt-get install mricron-data" in faults_of(config)


def test_the_schema_is_a_schema_and_describes_every_key():
    Draft202012Validator.check_schema(load_config_schema())

    def walk(schema, place):
        for key, rule in schema.get("properties", {}).items():
            assert rule.get("description"), f"{place}{key} is not described"
            walk(rule, f"{place}{key}.")
        if schema.get("type") == "object" and schema.get("properties"):
            assert schema.get("additionalProperties") is False, f"{place} takes unknown keys"

    walk(load_config_schema(), "")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("seeed", "config: unknown key 'seeed'. Did you mean 'seed'?"),
        ("preproces", "unknown key 'preproces'. Did you mean 'preprocess'?"),
        ("qc.min_overlapp", "qc: unknown key 'min_overlapp'. Did you mean 'min_overlap'?"),
        ("phantom.population.peple", "phantom.population: unknown key 'peple'. Did you mean 'people'?"),
        ("pretrain.patch.epoch", "pretrain.patch: unknown key 'epoch'. Did you mean 'epochs'?"),
        ("grid.zzz", "grid: unknown key 'zzz'. Known keys: spacing_mm, estimate_spacing_mm."),
    ],
)
def test_a_misspelt_key_gets_a_suggestion(config, path, message):
    change(config, path, 1)
    assert message in faults_of(config)


def test_only_the_strange_key_beside_keys_of_a_pattern_is_named(config):
    change(config, "phantom.genotypes.loci.chr99", {"name": "x", "position": 20000000, "share": 0.1})
    message = faults_of(config)
    assert "phantom.genotypes.loci: unknown key 'chr99'" in message
    assert "'17'" not in message


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("seed", "twenty", "seed: found 'twenty', expected a value of type integer."),
        ("cohort", None, "cohort: found None, expected a value of type object."),
        ("qc.min_overlap", 1.5, "qc.min_overlap: found 1.5, expected at most 1."),
        ("cohort.scans_per_job", 0, "cohort.scans_per_job: found 0, expected at least 1."),
        ("grid.spacing_mm", 3, "grid.spacing_mm: found 3, expected one of 1, 2, 4, 8."),
        ("preprocess.backend", "fsl", "preprocess.backend: found 'fsl', expected one of embedded"),
        ("qc.scale_range", [1.0], "qc.scale_range: found [1.0], expected at least 2 items."),
        ("qc.scale_range", [1.4, 0.7], "qc.scale_range: found [1.4, 0.7], expected the smaller number first."),
        ("stages", ["figure"], "stages.0: found 'figure', expected one of cohort, preprocess"),
        ("cohort.participants", "lost.tsv", "cohort.participants: 'lost.tsv' does not exist. Correct the path."),
        ("cohort.folder", "no/such/folder", "cohort.folder: 'no/such/folder' is not a folder."),
        ("representations", {"mine": "lost.tsv"}, "representations.mine: 'lost.tsv' does not exist."),
        ("representations", {"features": "config.yaml"}, "representations.features: the name is taken."),
        ("representations", {"My enc/oder": "config.yaml"}, "'My enc/oder' does not match"),
        ("phantom.faults", {"truncated": 99, "zero": 0, "four_dimensional": 0}, "phantom.faults: 99 scans are more"),
        ("phantom.heads", 10000, "phantom.heads: found 10000, expected at most"),
        ("phantom.clinical.second_visits", 400, "phantom.clinical.second_visits: found 400, expected at most"),
        (
            "phantom.population.age_range",
            [84, 44],
            "phantom.population.age_range: found [84, 44], expected the smaller",
        ),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(config, path, value, message):
    change(config, path, value)
    assert message in faults_of(config)


def test_a_missing_key_is_named(config):
    del config["qc"]["pictures"]
    del config["harmonise"]
    message = faults_of(config)
    assert "qc: key 'pictures' is missing" in message
    assert "top level: key 'harmonise' is missing" in message


def test_all_faults_come_in_one_message(config):
    change(config, "seed", -1)
    change(config, "sead", 1)
    change(config, "stges", 1)
    change(config, "qc.min_contrast", "low")
    change(config, "pretrain.image.batch", 0)
    message = faults_of(config)
    for part in (
        "seed: found -1",
        "'sead'",
        "'stges'",
        "qc.min_contrast: found 'low'",
        "pretrain.image.batch: found 0",
    ):
        assert part in message
    assert len(message.splitlines()) == 5


def test_defaults_are_filled_in_and_not_shared(config):
    other = copy.deepcopy(config)
    for settings in (config, other):
        del (
            settings["genetics"]["qc"],
            settings["brainage"]["buckets"],
            settings["pretrain"]["methods"]["simclr"]["projector"],
        )
        check_config(settings)
    assert config["genetics"]["qc"]["min_hwe_p"] == 1e-10
    assert config["pretrain"]["methods"]["simclr"]["projector"] is False
    config["genetics"]["qc"]["min_maf"] = 0.4
    config["brainage"]["buckets"].append(99)
    assert other["genetics"]["qc"]["min_maf"] != 0.4
    third = copy.deepcopy(SHIPPED) | {"brainage": {}, "genetics": {"genotypes": "x"}}
    third["phantom"]["real_scans"] = []
    check_config(third)
    assert 99 not in third["brainage"]["buckets"]
    assert third["genetics"]["qc"]["min_maf"] != 0.4


def test_scans_of_the_phantom_are_counted(config):
    config["phantom"]["real_scans"] = SHIPPED["phantom"]["real_scans"]
    size = SHIPPED["phantom"]
    made = sum(size[name][key] for name in ("population", "clinical") for key in ("people", "second_visits"))
    assert count_scans(config) == made + len(size["real_scans"])


def test_scans_of_a_table_are_counted(config, tmp_path):
    table = tmp_path / "participants.tsv"
    table.write_text("participant_id\tsession_id\na\t1\nb\t1\n\nc\t1\n")
    config["cohort"]["participants"] = str(table)
    assert count_scans(config) == 3


def test_only_volumes_of_a_folder_are_counted(config, tmp_path):
    for name in ("a.nii", "b.nii.gz", "b.nii.json", "c.nii.gz.part", "notes.txt"):
        (tmp_path / name).touch()
    config["cohort"]["folder"] = str(tmp_path)
    assert count_scans(config) == 2


def test_a_folder_has_no_labels_for_later_stages(config, tmp_path):
    config["cohort"]["folder"] = str(tmp_path)
    assert "cohort.folder: a folder has no ages" in faults_of(copy.deepcopy(config))
    config["stages"] = ["cohort", "preprocess", "register", "patches"]
    check_config(config)


def test_a_study_with_genetics_needs_plink(config, monkeypatch):
    found = {"plink2": "/bin/plink2", "plink": "/bin/plink"}
    monkeypatch.setattr(study_config.shutil, "which", found.get)
    check_tools(config)
    del found["plink"]
    with pytest.raises(StudyError, match=r"plink1\.9 is not on the path.*apt-get install"):
        check_tools(config)
    found.clear()
    check_tools(config | {"stages": ["cohort", "probe"]})
