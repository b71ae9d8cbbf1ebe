import csv
import importlib.util
import json
import logging
import zipfile

import jsonschema
import nibabel as nib
import numpy as np
import pytest
import torch
from monai import bundle as monai_bundle
from monai.bundle.properties import InferProperties, MetaProperties
from monai.utils import BundleProperty, BundlePropertyConfig

from tests.models.published import SMALL, trained, volumes
from workflow_scripts.lib.models import bundle, weights
from workflow_scripts.lib.models.aggregator import Aggregator
from workflow_scripts.lib.models.autoencoder import Autoencoder
from workflow_scripts.lib.models.encoder import PatchEncoder
from workflow_scripts.lib.models.sfcn import SFCN
from workflow_scripts.lib.models.unet import UNet
from workflow_scripts.lib.study import ids
from workflow_scripts.lib.study.errors import StudyError

# network, shape of an input, how it is scaled, shape of an output
CASES = {
    "PatchEncoder": (lambda: PatchEncoder(5), (1, 6, 7, 8), "stored", (5,)),
    "SFCN": (lambda: SFCN(3, SMALL), (1, 32, 40, 33), "mean", (3,)),
    "UNet": (lambda: UNet(1), (1, 8, 16, 8), "unit", (1, 8, 16, 8)),
    "Autoencoder": (lambda: Autoencoder((16, 18, 20), 4), (1, 16, 18, 20), "zscore", (1, 16, 18, 20)),
    "Aggregator": (lambda: Aggregator(4, 6), (4, 6), "stored", (6,)),
}

# exporting the others takes ten seconds or more each
NAMES = [name if name in ("PatchEncoder", "SFCN") else pytest.param(name, marks=pytest.mark.slow) for name in CASES]

# what MONAI's schema meta_schema_20240725 asks for, in our words
TENSOR = {
    "type": "object",
    "required": ["type", "format", "num_channels", "spatial_shape", "dtype", "value_range"],
    "properties": {
        **{name: {"type": "string"} for name in ("type", "format", "dtype")},
        "num_channels": {"type": "integer"},
        "spatial_shape": {"type": "array", "items": {"type": ["string", "integer"]}},
        "value_range": {"type": "array", "items": {"type": "number"}},
        "is_patch_data": {"type": "boolean"},
        "channel_def": {"type": "object"},
    },
}
TENSORS = {"type": "object", "minProperties": 1, "additionalProperties": TENSOR}
FORMAT = {"type": "object", "required": ["inputs", "outputs"], "properties": {"inputs": TENSORS, "outputs": TENSORS}}
WORDS = ("schema", "version", "monai_version", "pytorch_version", "numpy_version", "task", "description", "authors")
SCHEMA = {
    "type": "object",
    "required": [*WORDS, "copyright", "required_packages_version", "network_data_format"],
    "properties": {
        **{name: {"type": "string"} for name in (*WORDS, "copyright", "data_type", "intended_use")},
        **{name: {"type": "object"} for name in ("required_packages_version", "changelog", "eval_metrics")},
    },
    "patternProperties": {"^[_a-zA-Z0-9]+_data_format$": FORMAT},
}


def save(name, path):
    make, shape, _, _ = CASES[name]
    torch.manual_seed(3)
    network = trained(make())
    entry = {"tokens": list(shape)} if len(shape) == 2 else {"grid": list(shape[1:])}
    card = {
        "input": entry,
        "intensity": "white matter 110, zero outside the brain",
        "participants": ids.participant_hashes(["sub-1", "sub-2"]),
        "seed": 1,
        "metrics": {"loss": 0.5},
        "source": "a test",
    }
    weights.save_weights(network, path, card)
    return network


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Write a bundle when it is first asked for: name -> (network, folder)."""
    root, made = tmp_path_factory.mktemp("bundles"), {}

    def get(name):
        if name not in made:
            network = save(name, root / f"{name}.safetensors")
            bundle.write_bundle(root / f"{name}.safetensors", root / name, rule=CASES[name][2], authors="a test")
            made[name] = network, root / name
        return made[name]

    return get


def inputs(name, count):
    shape = CASES[name][1]
    return volumes(count, shape[1:]) if len(shape) == 4 else torch.randn(count, *shape)


def read(folder, name):
    return json.loads((folder / "configs" / name).read_text())


@pytest.mark.parametrize("name", NAMES)
def test_metadata_are_what_monai_asks_for(bundles, name):
    folder = bundles(name)[1]
    metadata = read(folder, "metadata.json")
    jsonschema.validate(metadata, SCHEMA)
    parser = monai_bundle.load_bundle_config(str(folder), "inference.json")
    wanted = [p for p in MetaProperties.values() if p[BundleProperty.REQUIRED]]
    assert wanted and all(p[BundlePropertyConfig.ID] in parser for p in wanted)
    assert metadata["brainrep"]["architecture"]["name"] == name
    assert "participants" not in metadata["brainrep"]
    shape, output = CASES[name][1], CASES[name][3]
    formats = metadata["network_data_format"]
    assert (formats["inputs"]["image"]["num_channels"], *formats["inputs"]["image"]["spatial_shape"]) == shape
    assert (formats["outputs"]["pred"]["num_channels"], *formats["outputs"]["pred"]["spatial_shape"]) == output


@pytest.mark.parametrize("name", NAMES)
def test_monai_finds_every_part_that_it_requires(bundles, name):
    parser = monai_bundle.load_bundle_config(str(bundles(name)[1]), "inference.json")
    wanted = [p[BundlePropertyConfig.ID] for p in InferProperties.values() if p[BundleProperty.REQUIRED]]
    assert {"network_def", "evaluator", "inferer", "dataset"} <= set(wanted)
    assert [part for part in wanted if part not in parser] == []


@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
def test_monai_loads_the_network_with_its_weights(bundles, name):
    network, folder = bundles(name)
    files = {"meta_file": str(folder / "configs/metadata.json"), "config_file": str(folder / "configs/inference.json")}
    monai_bundle.verify_net_in_out("network_def", **files, device="cpu")
    with pytest.warns(UserWarning, match="parsing config_file"):
        loaded = monai_bundle.load(name, bundle_dir=folder.parent, workflow_type="inference", device="cpu")
    images = inputs(name, 2)
    assert torch.equal(loaded.eval()(images), network(images))
    assert all(torch.equal(loaded.state_dict()[key], tensor) for key, tensor in network.state_dict().items())


@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
def test_programs_need_torch_alone_and_give_the_same_numbers(bundles, name):
    network, folder = bundles(name)
    program = torch.export.load(folder / "models/model.pt2").module()
    for count in (1, 2, 5):
        images = inputs(name, count)
        torch.testing.assert_close(program(images), network(images), rtol=1e-5, atol=1e-6)
    features = folder / "models/features.pt2"
    assert features.exists() == (name in ("SFCN", "UNet", "Autoencoder"))
    if features.exists():
        images = inputs(name, 3)
        program = torch.export.load(features).module()
        torch.testing.assert_close(program(images), network.features(images), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["SFCN", pytest.param("Aggregator", marks=pytest.mark.slow)])
def test_a_program_refuses_another_shape(bundles, name):
    program = torch.export.load(bundles(name)[1] / "models/model.pt2").module()
    shape = CASES[name][1]
    with pytest.raises(AssertionError, match="Guard failed"):
        program(torch.rand(2, *shape[:-1], shape[-1] + 32))


@torch.no_grad()
def test_brainrep_reads_its_own_weights_from_the_bundle(bundles):
    network, folder = bundles("SFCN")
    loaded, card = weights.load_any(folder / "models/model.safetensors")
    assert torch.equal(loaded(inputs("SFCN", 1)), network(inputs("SFCN", 1)))
    assert card["participants"] == ids.participant_hashes(["sub-1", "sub-2"])


@torch.no_grad()
@pytest.mark.filterwarnings("ignore")
def test_monai_makes_torchscript_of_it(bundles, tmp_path):
    network, folder = bundles("PatchEncoder")
    config = str(folder / "configs/inference.json")
    path = str(tmp_path / "model.ts")
    monai_bundle.ckpt_export(filepath=path, config_file=config, bundle_root=str(folder), use_trace=True)
    images = inputs("PatchEncoder", 3)
    torch.testing.assert_close(torch.jit.load(path)(images), network(images))


def expected_scaling(rule, image):
    """State each rule a second time, in numpy."""
    top = np.quantile(image[image > 0], 0.999)
    return {
        "stored": image,
        "unit": np.clip(image / top, 0, 1),
        "zscore": (image - image.mean()) / image.std(),
        "mean": image / image.mean(),
    }[rule]


def write_files(name, folder, count=2):
    """Write files as a user would have them; give what the network should get."""
    rule, rng, scaled = CASES[name][2], np.random.default_rng(5), []
    for number in range(count):
        if name == "Aggregator":
            scaled.append(rng.normal(size=CASES[name][1]).astype(np.float32))
            np.save(folder / f"scan{number}.npy", scaled[-1])
            continue
        image = np.clip(100 * rng.normal(size=CASES[name][1][1:]), 0, None).astype(np.float32)
        scaled.append(expected_scaling(rule, image)[None])
        # kept from right to left in the file, as much of the world does
        nib.save(nib.Nifti1Image(image[::-1], np.diag([-1, 1, 1, 1])), folder / f"scan{number}.nii.gz")
    return torch.from_numpy(np.stack(scaled)).float()


@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
def test_files_are_prepared_as_the_network_expects(bundles, tmp_path, name):
    network, folder = bundles(name)
    scaled = write_files(name, tmp_path)
    parser = monai_bundle.load_bundle_config(str(folder), "inference.json")
    parser["dataset_dir"] = str(tmp_path)
    batches = list(parser.get_parsed_content("dataloader"))
    images = torch.cat([batch["image"].as_tensor() for batch in batches])
    torch.testing.assert_close(images, scaled, rtol=1e-5, atol=1e-5)
    outputs = parser.get_parsed_content("inferer")(images, network)
    expected = network.features(scaled) if name in ("UNet", "Autoencoder") else network(scaled)
    assert outputs.ndim == 2
    torch.testing.assert_close(outputs, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(importlib.util.find_spec("ignite") is None, reason="pytorch-ignite is not installed")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_monai_runs_the_bundle_over_a_folder(bundles, tmp_path, name):
    network, folder = bundles(name)
    scaled = write_files(name, tmp_path)
    places = {"bundle_root": str(folder), "dataset_dir": str(tmp_path), "output_dir": str(tmp_path / "out")}
    workflow = monai_bundle.ConfigWorkflow(
        str(folder / "configs/inference.json"), workflow_type="inference", logging_file=False, **places
    )
    workflow.initialize()
    assert workflow.check_properties() == []
    workflow.run()
    rows = list(csv.reader((tmp_path / "out/predictions.csv").open()))
    assert [row[0].rpartition("/")[2][:5] for row in rows] == ["scan0", "scan1"]
    with torch.no_grad():
        expected = network.features(scaled) if name in ("UNet", "Autoencoder") else network(scaled)
    np.testing.assert_allclose(np.array([row[1:] for row in rows], float), expected, rtol=1e-4, atol=1e-4)
    logging.getLogger("monai").setLevel(logging.WARNING)


def test_same_weights_give_the_same_bytes_and_no_folder_of_this_machine(bundles, tmp_path):
    folder = bundles("SFCN")[1]
    bundle.write_bundle(folder.parent / "SFCN.safetensors", tmp_path / "SFCN", rule="mean", authors="a test")
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert [str(file) for file in files] == [
        "LICENSE",
        "configs/inference.json",
        "configs/metadata.json",
        "docs/README.md",
        *[f"models/{name}" for name in ("features.pt2", "model.json", "model.pt", "model.pt2", "model.safetensors")],
    ]
    for file in files:
        assert (folder / file).read_bytes() == (tmp_path / "SFCN" / file).read_bytes(), file
        parts = {"": (folder / file).read_bytes()}
        if zipfile.is_zipfile(folder / file):
            with zipfile.ZipFile(folder / file) as archive:
                parts = {name: archive.read(name) for name in archive.namelist()}
        for name, content in parts.items():
            # the modules' own names end in .py in what torch notes of where operations stand
            assert b".py" not in content and str(folder.parent).encode() not in content, (file, name)


def test_whole_volumes_do_not_travel_as_examples(bundles):
    folder = bundles("SFCN")[1]
    with zipfile.ZipFile(folder / "models/model.pt2") as archive:
        samples = [archive.getinfo(name).file_size for name in archive.namelist() if "sample_inputs" in name]
    assert samples and max(samples) < 10_000 < 2 * 32 * 40 * 33 * 4


def test_what_cannot_be_bundled_is_refused(tmp_path):
    save("PatchEncoder", tmp_path / "one.safetensors")
    with pytest.raises(StudyError, match="'percent' is unknown; there are stored, unit, zscore, mean"):
        bundle.write_bundle(tmp_path / "one.safetensors", tmp_path / "one", rule="percent")
    card = json.loads((tmp_path / "one.json").read_text())
    (tmp_path / "one.json").write_text(json.dumps(card | {"input": {"size": 3}}))
    with pytest.raises(StudyError, match="expected a 'grid' of three sizes"):
        bundle.write_bundle(tmp_path / "one.safetensors", tmp_path / "one")
    assert not (tmp_path / "one").exists()
