"""The MeshNet backend: its files are checked, its grid is FreeSurfer's, and on a real head left is left."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from workflow_scripts.lib.imaging import packaged
from workflow_scripts.lib.imaging.backends import meshnet
from workflow_scripts.lib.imaging.backends.meshnet_files import Network, read_network
from workflow_scripts.lib.imaging.volumes import read_scan
from workflow_scripts.lib.study.errors import StudyError

MODEL = Path(__file__).resolve().parents[2] / "../shared/reference/models/model21_104class"
COLIN = Path("/usr/share/mricron/templates/ch2.nii.gz")
NAMES = ["BG", "ctx-lh-entorhinal", "Left-Hippocampus", "Right-Cerebral-White-Matter", "Left-Thalamus-Proper*"]


def make_network(folder: Path, channels: int = 3, elu: bool = False) -> dict:
    """Write a small network of three layers and return the config of it."""
    folder.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(3)
    plan = [(1, channels, 3, 1), (channels, channels, 3, 4), (channels, len(NAMES), 1, 1)]
    tensors, layers = {}, []
    for place, (before, after, kernel, dilation) in enumerate(plan):
        tensors[f"model.{2 * place}.weight"] = torch.randn(after, before, kernel, kernel, kernel, generator=generator)
        tensors[f"model.{2 * place}.bias"] = torch.randn(after, generator=generator)
        layers.append({"in_channels": before, "out_channels": after, "kernel_size": kernel, "dilation": dilation})
    save_file(tensors, folder / "model.pth")
    torch.save(tensors, folder / "state.pt")
    (folder / "model.json").write_text(json.dumps({"bnorm": False, "elu": elu, "layers": layers}))
    (folder / "labels.json").write_text(json.dumps({str(n): name for n, name in enumerate(NAMES)}))
    return {"weights": str(folder / "model.pth"), "labels": str(folder / "labels.json"), "layers": None}


def test_a_network_is_read_from_either_format(tmp_path):
    config = make_network(tmp_path)
    network = read_network(config)
    state = read_network(config | {"weights": str(tmp_path / "state.pt")})
    assert [layer.dilation for layer in network.layers] == [1, 4, 1]
    assert [tuple(layer.weight.shape) for layer in network.layers] == [
        (3, 1, 3, 3, 3),
        (3, 3, 3, 3, 3),
        (5, 3, 1, 1, 1),
    ]
    for one, other in zip(network.layers, state.layers, strict=True):
        assert torch.equal(one.weight, other.weight)
        assert torch.equal(one.bias, other.bias)
    assert len(network.version) == 12
    assert network.version != state.version  # of the file
    assert not network.elu
    assert network.features == {1: "lh_entorhinal_volume", 2: "Left-Hippocampus", 4: "Left-Thalamus"}
    assert network.cortex == [1]
    assert network.white == [3]


def test_a_replaced_file_is_noticed(tmp_path):
    config = make_network(tmp_path)
    first = read_network(config).version
    make_network(tmp_path, channels=4)
    assert read_network(config).version != first


def test_files_that_do_not_fit_are_refused(tmp_path):
    config = make_network(tmp_path)
    other = make_network(tmp_path / "other", channels=4)
    with pytest.raises(StudyError, match="layer 1 has 4x1x3x3x3, the description wants 3x1x3x3x3"):
        read_network(config | {"weights": other["weights"], "layers": str(tmp_path / "model.json")})
    plan = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "short.json").write_text(json.dumps(plan | {"layers": plan["layers"][:2]}))
    with pytest.raises(StudyError, match="layer 3 has 5x3x1x1x1, the description wants nothing"):
        read_network(config | {"layers": str(tmp_path / "short.json")})
    (tmp_path / "few.json").write_text('{"0": "BG"}')
    with pytest.raises(StudyError, match="found 1 labels, the network has 5"):
        read_network(config | {"labels": str(tmp_path / "few.json")})
    sideless = {str(n): name.replace("Left-", "") for n, name in enumerate(NAMES)}
    (tmp_path / "sideless.json").write_text(json.dumps(sideless))
    with pytest.raises(StudyError, match="no label is 'Left-Hippocampus'"):
        read_network(config | {"labels": str(tmp_path / "sideless.json")})
    (tmp_path / "norm.json").write_text(json.dumps(plan | {"bnorm": True}))
    with pytest.raises(StudyError, match="batch normalisation"):
        read_network(config | {"layers": str(tmp_path / "norm.json")})
    with pytest.raises(StudyError, match=r"preprocess\.meshnet\.weights: found nothing"):
        read_network({"weights": None, "labels": None})


@pytest.mark.parametrize("elu", [False, True])
def test_the_labels_are_those_of_a_plain_network(tmp_path, elu):
    network = read_network(make_network(tmp_path, elu=elu))
    data = np.random.default_rng(5).random((20, 24, 18), dtype=np.float32)
    modules = []
    for layer in network.layers:
        out, before, kernel = layer.weight.shape[:3]
        conv = torch.nn.Conv3d(before, out, kernel, padding="same", dilation=layer.dilation)
        conv.load_state_dict({"weight": layer.weight, "bias": layer.bias})
        modules += [conv, torch.nn.ELU() if elu else torch.nn.ReLU()]
    with torch.inference_mode():
        scores = torch.nn.Sequential(*modules[:-1])(torch.from_numpy(data)[None, None])
    found = meshnet.label(data, network)
    assert found.dtype == np.uint8
    assert len(np.unique(found)) > 2
    np.testing.assert_array_equal(found, scores.argmax(1)[0].numpy())


def test_the_conformed_grid_is_freesurfers():
    affine = nib.affines.from_matvec(np.diag([-2.0, 2.0, 2.0]), [90, -126, -72])
    data = np.zeros((91, 109, 91), np.float32)
    data[30:40, 50:60, 60:70] = 100
    conformed, grid = meshnet.conform_lia(nib.Nifti1Image(data, affine))
    assert conformed.shape == (256, 256, 256)
    assert nib.aff2axcodes(grid) == ("L", "I", "A")
    np.testing.assert_allclose(nib.affines.voxel_sizes(grid), 1)
    # the centre of the field of view comes to voxel 128, and what lies somewhere in the world stays there
    np.testing.assert_allclose(grid @ [128, 128, 128, 1], affine @ [45, 54, 45, 1])
    for image, place in ((data, affine), (conformed, grid)):
        centre = np.average(np.argwhere(image > 50), axis=0)
        np.testing.assert_allclose(nib.affines.apply_affine(place, centre), [21, -17, 57], atol=0.6)
    assert conformed.sum() == pytest.approx(data.sum() * 8, rel=0.01)


def test_the_field_of_the_brain_is_taken_from_the_whole_head():
    axes = np.meshgrid(*[np.linspace(-1, 1, 96)] * 3, indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    brain, head = radius < 0.6, radius < 0.9
    noise = 1 + 0.02 * np.random.default_rng(8).standard_normal(radius.shape)
    truth = np.where(brain, np.where(radius < 0.4, 110, 75), np.where(head, 50, 0)) * noise
    field = np.exp(0.5 * axes[0]).astype(np.float32)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    found = meshnet.correct_head((truth * field).astype(np.float32), affine, brain, (50, 50, 50))
    ratio = found[radius < 0.4] / truth[radius < 0.4]
    assert ratio.std() / ratio.mean() < 0.3 * (field[radius < 0.4].std() / field[radius < 0.4].mean())
    # skull and scalp are still there, corrected too as far as the brain tells
    shell = head & (radius > 0.7)
    assert (found[shell] > 0).all()
    ratio = found[shell] / truth[shell]
    assert ratio.std() / ratio.mean() < 0.8 * (field[shell].std() / field[shell].mean())


def test_intensities_are_clipped_to_quantiles():
    data = np.arange(1000, dtype=np.float32).reshape(10, 10, 10)
    scaled = meshnet.scale_intensity(data)
    assert scaled.min() == 0
    assert scaled.max() == 1
    assert (scaled == 0).sum() == (scaled == 1).sum() == 20
    with pytest.raises(StudyError, match="almost all voxels"):
        meshnet.scale_intensity(np.zeros((5, 5, 5), np.float32))


def test_only_the_largest_object_is_the_brain():
    mask = np.zeros((10, 10, 10), bool)
    mask[:4, :4, :4] = mask[8:, 8:, 8:] = True
    assert meshnet.largest_object(mask).sum() == 64
    with pytest.raises(StudyError, match="found no brain"):
        meshnet.largest_object(np.zeros((5, 5, 5), bool))


def test_labels_that_miss_a_part_of_the_brain_are_refused():
    names = ("BG", "Left-Hippocampus", "Right-Hippocampus", "Left-Thalamus", "Left-Cerebellum-Cortex", "Brain-Stem")
    counts = [0, 1500, 1500, 9000, 100_000, 20_000]
    meshnet.check_parts(np.repeat(np.arange(6, dtype=np.uint8), counts), names)
    counts[2] = 400
    with pytest.raises(StudyError, match=r"found 1\.9 ml of Hippocampus, less than any adult has \(2 ml\)"):
        meshnet.check_parts(np.repeat(np.arange(6, dtype=np.uint8), counts), names)


def test_a_box_around_the_brain_is_labelled_like_the_whole_volume(tmp_path, monkeypatch):
    """Where the pad is as wide as the network sees (here 1 + 4 voxels), a box changes nothing."""
    network = read_network(make_network(tmp_path))
    monkeypatch.setattr(meshnet, "SIDE", 64)
    data = np.random.default_rng(6).random((64, 64, 64), dtype=np.float32)
    brain = np.zeros(data.shape, bool)
    brain[24:40, 24:44, 20:38] = True
    whole = meshnet.label(meshnet.scale_intensity(data), network)
    parts = meshnet.segment(data, brain, network)
    inside = brain & (parts > 0)
    assert inside.sum() > 100
    np.testing.assert_array_equal(parts[inside], whole[inside])


@pytest.mark.slow
@pytest.mark.skipif(not MODEL.is_dir(), reason="the weights of the network are not on this machine")
@pytest.mark.skipif(not COLIN.exists(), reason="Colin27 comes with: apt-get install mricron-data")
def test_on_a_real_head_volumes_are_plausible_and_left_is_left(monkeypatch):
    config = {"weights": str(MODEL / "model.pth"), "labels": str(MODEL / "labels.json"), "layers": None}
    image = read_scan(COLIN)
    caught, segment = {}, meshnet.segment

    def spy(corrected: np.ndarray, brain: np.ndarray, network: Network) -> np.ndarray:
        caught.update(labels=segment(corrected, brain, network), network=network)
        return caught["labels"]

    monkeypatch.setattr(meshnet, "segment", spy)
    result = meshnet.run(image, "auto", {"meshnet": config, "n4_iterations": [50, 50, 50]})
    assert (result.tool, result.version) == ("MeshNet", "09e80b88aac5")
    # 68 cortical volumes and 33 of the 36 of aseg: no choroid plexus, no hypointensities
    assert len(result.features) == 101
    for side in ("Left", "Right"):
        assert 3500 < result.features[f"{side}-Hippocampus"] < 7500
        assert 8000 < result.features[f"{side}-Lateral-Ventricle"] < 20000
    cortex = sum(value for name, value in result.features.items() if name.endswith("_volume"))
    assert 400e3 < cortex < 700e3
    assert cortex == result.numbers["grey_ml"] * 1000
    assert 1.5e6 < result.icv < 2.1e6
    assert result.numbers["was_head"] == 1
    assert 0.15 < result.numbers["grey_white_contrast"] < 0.4
    assert nib.aff2axcodes(result.affine) == ("R", "A", "S")
    assert 105 < np.quantile(result.brain[result.brain > 0], 0.75) < 115
    check_sides(caught["labels"], caught["network"], image)


@pytest.mark.slow
@pytest.mark.skipif(not (MODEL / "model.pth").exists(), reason="the weights of the network are not on this machine")
def test_a_real_head_that_the_network_cannot_read_is_refused():
    """2 mm, with a coil so strong that the cerebellum is nearly black: half of it is found."""
    path = MODEL.parents[1] / "t1" / "xa30_T1w.nii.gz"
    if not path.exists():
        pytest.skip("the reference head (2 mm, strong coil bias) is not on this machine")
    config = {"weights": str(MODEL / "model.pth"), "labels": str(MODEL / "labels.json"), "layers": None}
    with pytest.raises(StudyError, match=r"the network found 6\d\.\d ml of Cerebellum, less than any adult has"):
        meshnet.run(read_scan(path), "auto", {"meshnet": config, "n4_iterations": [50, 50, 50]})


def check_sides(labels: np.ndarray, network: Network, image: nib.Nifti1Image) -> None:
    """Compare where structures lie with the atlas, whose space Colin27 is in."""
    _, grid = meshnet.conform_lia(image)
    atlas, names = packaged.atlas()
    codes = np.asarray(atlas.dataobj)
    for name in ("Left-Hippocampus", "Right-Hippocampus", "ctx-lh-precentral", "ctx-rh-precentral"):
        code = next(number for number, known in names.items() if known == name)
        expected = nib.affines.apply_affine(atlas.affine, np.argwhere(codes == code).mean(axis=0))
        found = np.argwhere(labels == network.names.index(name)).mean(axis=0)
        np.testing.assert_allclose(nib.affines.apply_affine(grid, found), expected, atol=12)
