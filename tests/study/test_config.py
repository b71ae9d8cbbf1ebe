"""The config is checked before any job, and each fault is named with key, value and remedy."""

import copy
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from workflow_scripts.lib.study.config import (
    check_config,
    count_scans,
    load_config_schema,
    own_inputs,
    phantom_batches,
    phantom_cohorts,
    uses_phantom,
)
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
    assert uses_phantom(config) and own_inputs(config) == []


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
        ("qc.picture", "qc: unknown key 'picture'. Did you mean 'pictures'?"),
        ("phantom.population.peple", "phantom.population: unknown key 'peple'. Did you mean 'people'?"),
        ("pretrain.patch.epoch", "pretrain.patch: unknown key 'epoch'. Did you mean 'epochs'?"),
        ("grid.zzz", "grid: unknown key 'zzz'. Known keys: spacing_mm, estimate_spacing_mm, parameters."),
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
        ("qc.max_excluded_fraction", 1.5, "qc.max_excluded_fraction: found 1.5, expected at most 1."),
        ("cohort.scans_per_job", 0, "cohort.scans_per_job: found 0, expected at least 1."),
        ("grid.spacing_mm", 3, "grid.spacing_mm: found 3, expected one of 1, 2, 4, 8."),
        ("preprocess.backend", "fsl", "preprocess.backend: found 'fsl', expected one of embedded"),
        ("phantom.clinical.age_range", [1.0], "phantom.clinical.age_range: found [1.0], expected at least 2 items."),
        ("qc.checks.scale.min", 2, "qc.checks.scale: found min 2 and max 1.4, expected the smaller number for min."),
        ("stages", ["figure"], "stages.0: found 'figure', expected one of cohort, preprocess"),
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
    change(config, "qc.pictures", "low")
    change(config, "pretrain.image.batch", 0)
    message = faults_of(config)
    for part in (
        "seed: found -1",
        "'sead'",
        "'stges'",
        "qc.pictures: found 'low'",
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


def test_batches_and_cohorts_of_the_phantom_follow_from_the_config(config):
    config["cohort"]["scans_per_job"] = 26
    assert phantom_batches(config) == -(-count_scans(config) // 26)
    assert phantom_cohorts(config) == {"population", "clinical"}
    config["phantom"]["real_scans"] = [{"cohort": "real"}]
    assert "real" in phantom_cohorts(config)
    config["cohort"]["inputs"] = [{"name": "x", "kind": "participants", "path": "p.tsv"}]
    assert (count_scans(config), phantom_batches(config), phantom_cohorts(config)) == (0, 0, set())
    assert not uses_phantom(config) and own_inputs(config) == config["cohort"]["inputs"]


@pytest.fixture
def inputs(config, tmp_path):
    """Give a function that puts inputs into the config of a study that needs no ages."""
    config["stages"] = ["cohort"]
    (tmp_path / "p.tsv").touch()

    def put(*entries):
        config["cohort"]["inputs"] = list(entries)
        return config

    return put


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"kind": "bids", "path": "."}, "cohort.inputs.0: key 'name' is missing."),
        (
            {"name": "a b", "kind": "bids", "path": "."},
            "inputs.0.name: found 'a b', expected 'a b' does not match",
        ),
        (
            {"name": "a", "kind": "bid", "path": "."},
            "inputs.0.kind: found 'bid', expected one of participants, bids",
        ),
        ({"name": "a", "kind": "bids"}, "cohort.inputs.0: key 'path' is missing."),
        ({"name": "a", "kind": "tables", "path": "."}, "cohort.inputs.0: key 'tables' is missing."),
        (
            {"name": "a", "kind": "freesurfer", "path": ".", "streem": "long"},
            "cohort.inputs.0: unknown key 'streem'. Did you mean 'stream'?",
        ),
        (
            {"name": "a", "kind": "fastsurfer", "path": ".", "stream": "long"},
            "cohort.inputs.0: unknown key 'stream'. FastSurfer names subjects of both streams alike; leave it out.",
        ),
        (
            {"name": "a", "kind": "participants", "path": "config.yaml", "site": "x"},
            "cohort.inputs.0: unknown key 'site'. Known keys: name, kind, path.",
        ),
        ({"name": "a", "kind": "bids", "path": ".", "runs": "all"}, "runs: found 'all', expected one of first, last."),
        (
            {"name": "a", "kind": "bids", "path": ".", "filters": {"acq": [1]}},
            "filters.acq: found [1], expected",
        ),
        ({"name": "a", "kind": "volumes", "path": "no"}, "cohort.inputs: a: 'no' is not a folder. Correct the path."),
        ({"name": "a", "kind": "participants", "path": "no.tsv"}, "cohort.inputs: a: 'no.tsv' does not exist or is a"),
        ({"name": "a", "kind": "tables", "tables": ["no.csv"]}, "cohort.inputs: a: 'no.csv' does not exist or is a"),
        ({"name": "a", "kind": "tables", "tables": []}, "cohort.inputs.0.tables: found [], expected at least 1 items."),
        (
            {"name": "a", "kind": "brains", "path": ".", "participants": "tests"},
            "'tests' does not exist or is",
        ),
        (
            {"name": "a", "kind": "brains", "path": ".", "ids": "(?P<x>"},
            "ids: '(?P<x>' is not a regular expression",
        ),
        (
            {"name": "a", "kind": "brains", "path": ".", "ids": "(?P<session>.*)"},
            "has the groups: session; expected",
        ),
        ({"name": "a", "kind": "brains", "path": ".", "ids": "(.*)"}, "ids: '(.*)' has the groups: none; expected"),
    ],
)
def test_an_input_is_checked_by_its_kind(inputs, entry, message):
    assert message in faults_of(inputs(entry))


def test_inputs_have_names_of_their_own(inputs):
    entry = {"name": "a", "kind": "volumes", "path": "tests"}
    assert "cohort.inputs: the name 'a' stands 2 times." in faults_of(inputs(entry, dict(entry)))
    assert "cohort.inputs: there are none" in faults_of(inputs())


def test_keys_of_earlier_versions_say_what_replaced_them(config):
    config["cohort"] |= {"participants": "p.tsv", "folder": "scans", "pattern": "*.nii"}
    message = faults_of(config)
    assert "cohort: unknown key 'participants'. Write inputs: [{name: mine, kind: participants, path: " in message
    assert "cohort: unknown key 'folder'. Write inputs: [{name: mine, kind: volumes, path: folder}]." in message
    assert "cohort: unknown key 'pattern'. It belongs to an input now" in message


def test_defaults_of_an_input_are_those_of_its_kind(inputs):
    config = inputs(
        {"name": "a", "kind": "bids", "path": "."},
        {"name": "b", "kind": "freesurfer", "path": "."},
        {"name": "c", "kind": "brains", "path": ".", "pattern": "*.mgz"},
        {"name": "d", "kind": "volumes", "path": "."},
    )
    check_config(config)
    assert [
        {key: value for key, value in entry.items() if key not in ("name", "kind", "path")}
        for entry in config["cohort"]["inputs"]
    ] == [
        {"runs": "first", "filters": {}},
        {"stream": "cross"},
        {"pattern": "*.mgz"},
        {"pattern": "*.nii*"},
    ]


def test_later_stages_need_ages(inputs, tmp_path):
    config = inputs({"name": "a", "kind": "bids", "path": str(tmp_path)})
    check_config(config)
    config["stages"] = ["features"]
    assert "cohort.inputs: none of them says how old anyone is" in faults_of(copy.deepcopy(config))
    (tmp_path / "participants.tsv").touch()
    check_config(config)
    config = inputs({"name": "a", "kind": "brains", "path": str(tmp_path), "participants": str(tmp_path / "p.tsv")})
    config["stages"] = ["features"]
    check_config(config)


def test_the_phantom_is_not_longitudinal(config):
    if "longitudinal" not in load_config_schema()["properties"]["preprocess"]["properties"]:
        pytest.skip("the config has no longitudinal stream")
    config["preprocess"]["longitudinal"] = True
    assert "preprocess.longitudinal: found True, but the embedded study is made visit by visit." in faults_of(config)


def test_annotations_of_the_embedded_study_go_with_its_genotypes_alone(config):
    check_config(config)
    assert config["genetics"]["genes"]["table"] == "results/phantom/annotations/genes.tsv"
    config["genetics"]["genotypes"] = "mine/genotypes"
    config["genetics"]["genes"]["table"] = "mine/genes.tsv"
    check_config(config)
    assert config["genetics"]["genes"]["table"] == "mine/genes.tsv"
    assert config["genetics"]["peaks"]["folder"] is None
    assert config["genetics"]["expression"]["table"] is None


def test_a_study_of_genes_alone_needs_no_scans(config):
    config["cohort"]["inputs"] = []
    config["stages"] = ["genetics"]
    assert "cohort.inputs: there are none" in faults_of(copy.deepcopy(config))
    config["genetics"]["phenotypes"] = "traits.tsv"
    check_config(copy.deepcopy(config))
    config["stages"] = ["genetics", "probe"]
    assert "cohort.inputs: there are none" in faults_of(config)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fit_on": "test", "debias": "delange"}, "brainage.debias: delange is defined by the line of the training"),
        ({"neuropathology": "gone.tsv"}, "brainage.neuropathology: 'gone.tsv' does not exist"),
        ({"cards": {"a": {"card": "gone.json", "representation": "features"}}}, "brainage.cards.a.card: 'gone.json'"),
        ({"cards": {"a": {"card": "results/a.json", "representation": "x"}}}, "brainage.cards.a.representation: 'x'"),
    ],
)
def test_faults_of_brain_age_are_named(config, change, said):
    config["brainage"].update(change)
    assert said in faults_of(config)


@pytest.mark.parametrize(
    ("backend", "name", "known"),
    [
        ("embedded", "published", "volumes, meshnet, aseg"),
        ("meshnet", "volumes", "meshnet"),
        ("fastsurfer", "published", "dkt, dkt_volumes, aseg"),
    ],
)
def test_features_that_the_backend_does_not_give_are_refused(config, backend, name, known):
    config["preprocess"]["backend"], config["features"]["list"] = backend, name
    said = faults_of(config)
    assert f"found '{name}', which backend {backend} does not give" in said
    assert f"Choose one of {known}, or" in said


def test_guided_pretraining_needs_features_of_the_cortex(config):
    config["features"]["list"] = "aseg"
    assert "pretrain.methods.rnce is guided by features of every location" in faults_of(config)
    config["stages"] = ["features"]
    check_config(config)


def test_pretraining_may_be_guided_where_there_are_features(config):
    config["features"]["list"] = "aseg"
    config["pretrain"]["use"] = ["rnce_aseg", "simclr"]
    check_config(config)
