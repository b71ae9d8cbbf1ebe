"""What the config says of methods and own encoders is taken apart and checked before any job."""

import copy
from pathlib import Path

import pytest
import yaml

from workflow_scripts.lib.study.config import check_config
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.methods import OWN_AUGMENTATION, method_settings, method_volume

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.fixture
def config(monkeypatch):
    monkeypatch.chdir(ROOT)
    settings = copy.deepcopy(SHIPPED)
    settings["phantom"]["real_scans"] = []
    return settings


def faults(config):
    with pytest.raises(StudyError) as error:
        check_config(config)
    return str(error.value)


@pytest.mark.parametrize(
    ("entry", "volume"),
    [
        ({"objective": "rnce"}, None),
        ({"objective": "random", "input": "patches"}, None),
        ({"objective": "simclr", "input": "volume"}, "cube"),
        ({"objective": "genesis"}, "cube"),
        ({"objective": "lssl"}, "cube"),
        ({"objective": "multitask"}, "whole"),
    ],
)
def test_what_a_method_reads(entry, volume):
    assert method_volume(entry) == volume


def test_a_methods_own_keys_stand_above_the_sections(config):
    config["pretrain"]["methods"]["barlow"] |= {"patch": {"epochs": 3}, "augmentation": {"noise": 0.5}}
    check_config(config)
    section = config["pretrain"]
    mine = method_settings(section, "barlow", "patch")
    assert mine["patch"] == section["patch"] | {"epochs": 3}
    assert mine["augmentation"] == section["augmentation"] | {"noise": 0.5}
    assert not {"patch", "augmentation"} & set(mine["method"])
    assert method_settings(section, "simclr", "patch")["patch"] == section["patch"]
    assert "augmentation" not in method_settings(section, "barlow", "image")


@pytest.mark.parametrize("name", ["genesis", "lssl", "sfcn"])
def test_published_augmentations_are_not_those_of_the_patches(config, name):
    check_config(config)
    objective = config["pretrain"]["methods"][name]["objective"]
    assert method_settings(config["pretrain"], name, "volume")["augmentation"] == OWN_AUGMENTATION[objective]


@pytest.mark.parametrize(
    ("name", "entry", "message"),
    [
        (
            "x",
            {"objective": "genesis", "input": "patches"},
            "x: input: found 'patches', but genesis reads whole volumes",
        ),
        ("x", {"objective": "multitask"}, "x: key 'targets' is missing or empty"),
        (
            "x",
            {"objective": "multitask", "targets": {"iq": {"kind": "continuous"}}},
            "x: targets.iq: column: 'iq' is no column of the participants table",
        ),
        (
            "x",
            {"objective": "multitask", "targets": {"sex": {"kind": "binary"}}},
            "x: targets.sex: key 'positive' is missing",
        ),
        (
            "x",
            {"objective": "multitask", "targets": {"age": {"kind": "bins", "low": 90}}},
            "x: targets.age: low and high: found 90 and 82",
        ),
        ("x", {"objective": "rnce", "volume": {"epochs": 3}}, "x: volume: this method reads patches"),
        ("x", {"objective": "lssl", "patch": {"epochs": 3}}, "x: patch: this method reads whole volumes"),
        ("x", {"objective": "rnce", "auxiliary": "thickness"}, "found 'thickness', but features.list is 'volumes'"),
        ("x", {"objective": "lssl", "augmentation": {"contrast": 1.2}}, "x: augmentation: found 'contrast', but both"),
        ("x", {"objective": "byol"}, "expected one of rnce, simclr"),
        ("x", {"objective": "rnce", "patch": {"epoch": 3}}, "unknown key 'epoch'. Did you mean 'epochs'?"),
    ],
)
def test_methods_that_cannot_be_trained_are_named(config, name, entry, message):
    config["pretrain"]["methods"][name] = entry
    config["pretrain"]["use"] = [name]
    assert message in faults(config)


def test_only_methods_that_something_trains_are_checked(config):
    config["pretrain"]["methods"]["x"] = {"objective": "multitask"}
    check_config(config)


@pytest.mark.parametrize("key", ["use", "ablations"])
def test_methods_that_are_not_defined_are_named(config, key):
    config["pretrain"][key] = ["rnce", "moco"]
    assert f"pretrain.{key}: 'moco' is not defined. Known: rnce, simclr" in faults(config)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("nowhere.tsv", "'nowhere.tsv' does not exist"),
        ({"volume": "whole"}, "found 0 of weights, sfcn"),
        ({"weights": "README.md", "torchscript": "README.md"}, "found 2 of weights, sfcn"),
        ({"torchscript": "nowhere.pt"}, "torchscript: 'nowhere.pt' does not exist"),
        ({"torchscript": "README.md", "intensity": "log"}, "expected one of stored, unit, zscore, mean"),
    ],
)
def test_own_encoders_that_cannot_be_used_are_named(config, entry, message):
    config["representations"]["mine"] = entry
    assert message in faults(config)


def test_own_encoders_have_defaults(config):
    config["representations"]["mine"] = {"entry_point": "package.module:make"}
    check_config(config)
    assert config["representations"]["mine"] == {
        "entry_point": "package.module:make",
        "arguments": {},
        "volume": "whole",
        "intensity": "stored",
        "flip": False,
    }


def test_names_that_are_taken_are_refused(config):
    config["representations"]["rnce"] = "README.md"
    assert "representations.rnce: the name is taken" in faults(config)
