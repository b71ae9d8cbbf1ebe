import importlib.util
import pickle
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.models import published
from tests.models.published import SMALL, PublishedSFCN, trained, volumes
from workflow_scripts.lib.models import tensor_files
from workflow_scripts.lib.models.imported import import_sfcn
from workflow_scripts.lib.study.errors import StudyError

SEX = (28, 58, 128, 256, 256, 64)


class Evil:
    """Leaves a trace if it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return exec, (f"open({str(self.trace)!r}, 'w').close()",)


def ukb_state(channels=SMALL, outputs=40, window=(2, 3, 2)):
    network = trained(PublishedSFCN(channels, outputs, window))
    return network, network.state_dict()


def parallel(state):
    return {f"module.{name}": tensor for name, tensor in state.items()}


@torch.no_grad()
@pytest.mark.parametrize(
    ("channels", "outputs"),
    [(published.CHANNELS, 40), (SEX, 2), (SMALL, 1), (SMALL, 93)],
    ids=["age", "sex", "1", "93"],
)
@pytest.mark.parametrize("rename", [parallel, dict], ids=["parallel", "single"])
def test_uk_biobank_weights_give_the_numbers_of_the_published_network(tmp_path, channels, outputs, rename):
    network, state = ukb_state(channels, outputs, (1, 1, 1))
    torch.save(rename(state), tmp_path / "weights.p")
    loaded, description = import_sfcn(tmp_path / "weights.p")
    images = volumes(1, (32, 32, 32))
    torch.testing.assert_close(loaded(images), network(images), rtol=1e-5, atol=1e-5)
    assert not loaded.training
    assert description == {
        "file": "weights.p",
        "naming": "UK Biobank SFCN (torch)",
        "tensors": len(state),
        "outputs": outputs,
        "channels": list(channels),
        "eps": 1e-5,
    }


@torch.no_grad()
def test_the_fixed_window_of_the_published_network_is_our_average(tmp_path):
    network, state = ukb_state()
    torch.save(state, tmp_path / "weights.pt")
    images = volumes(2, (64, 96, 64))
    torch.testing.assert_close(import_sfcn(tmp_path / "weights.pt")[0](images), network(images), rtol=1e-5, atol=1e-5)


def test_the_format_of_2019_and_safetensors_hold_the_same(tmp_path):
    _, state = ukb_state()
    torch.save(parallel(state), tmp_path / "old.p", _use_new_zipfile_serialization=False)
    save_file(parallel(state), tmp_path / "new.safetensors")
    old, new = import_sfcn(tmp_path / "old.p")[0], import_sfcn(tmp_path / "new.safetensors")[0]
    for name, tensor in old.state_dict().items():
        assert torch.equal(tensor, new.state_dict()[name]), name


@torch.no_grad()
@pytest.mark.parametrize("naming", published.KERAS_NAMES)
@pytest.mark.parametrize("suffix", [":0", ""])
def test_keras_weights_give_the_numbers_that_keras_would(tmp_path, naming, suffix):
    layers, grid = published.keras_arrays(), (33, 40, 35)
    np.savez(tmp_path / "weights.npz", **published.keras_tensors(layers, published.KERAS_NAMES[naming], suffix))
    model, description = import_sfcn(tmp_path / "weights.npz")
    images = volumes(2, grid)
    expected = published.keras_forward(layers, images[:, 0].numpy())
    np.testing.assert_allclose(model(images).numpy(), expected, rtol=1e-5, atol=1e-5)
    assert (description["eps"], description["outputs"], description["channels"]) == (1e-3, 3, list(SMALL))
    assert model.architecture["eps"] == 1e-3
    assert ("without names" in description["naming"]) == naming.startswith("plain")


@torch.no_grad()
def test_the_port_of_pyment_gives_the_same(tmp_path):
    layers, images = published.keras_arrays(), volumes(1, (32, 32, 32))
    torch.save(published.port_tensors(layers), tmp_path / "port.pth")
    model, description = import_sfcn(tmp_path / "port.pth")
    expected = published.keras_forward(layers, images[:, 0].numpy())
    np.testing.assert_allclose(model(images).numpy(), expected, rtol=1e-5, atol=1e-5)
    assert description["naming"] == "pyment's port to torch" and description["eps"] == 1e-3


def test_keras_names_in_safetensors_too(tmp_path):
    arrays = published.keras_tensors(published.keras_arrays(), published.KERAS_NAMES["pyment"])
    np.savez(tmp_path / "weights.npz", **arrays)
    save_file({name: torch.from_numpy(array) for name, array in arrays.items()}, tmp_path / "weights.safetensors")
    one, other = import_sfcn(tmp_path / "weights.npz")[0], import_sfcn(tmp_path / "weights.safetensors")[0]
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items())


def test_a_last_layer_that_keras_holds_as_a_convolution(tmp_path):
    layers = published.keras_arrays()
    arrays = published.keras_tensors(layers, published.KERAS_NAMES["pyment"])
    np.savez(tmp_path / "dense.npz", **arrays)
    arrays["sfcn-reg_predictions/kernel:0"] = layers[-1]["kernel"][None, None, None]
    np.savez(tmp_path / "convolution.npz", **arrays)
    one, other = import_sfcn(tmp_path / "dense.npz")[0], import_sfcn(tmp_path / "convolution.npz")[0]
    assert torch.equal(one.head.weight, other.head.weight)


@pytest.mark.skipif(importlib.util.find_spec("h5py") is None, reason="h5py is not installed")
@pytest.mark.parametrize("naming", published.KERAS_NAMES)
@pytest.mark.parametrize("whole", [False, True])
def test_hdf5_files_of_keras(tmp_path, naming, whole):
    import h5py

    names = published.KERAS_NAMES[naming]
    arrays = published.keras_tensors(published.keras_arrays(), names)
    np.savez(tmp_path / "weights.npz", **arrays)
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        for name, array in arrays.items():
            layer = name.rpartition("/")[0]
            file[f"{'model_weights/' if whole else ''}{layer}/{name}"] = array
        if whole:
            file["optimizer_weights/Adam/conv3d/kernel/m:0"] = np.zeros(3)
    one, other = import_sfcn(tmp_path / "weights.npz")[0], import_sfcn(tmp_path / "weights.h5")[0]
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items())


def test_hdf5_without_h5py_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(StudyError, match=r"need h5py.*pip install h5py.*\.npz"):
        import_sfcn(tmp_path / "weights.h5")


def faults():
    """Name what is done to a state dict of the published names, and what the message must say."""
    wide = torch.zeros(9, 3, 3, 3, 3)
    return {
        "missing": (lambda s: s.pop("feature_extractor.conv_2.0.bias"), r"'blocks\.2\.conv\.bias' .* is missing"),
        "missing statistics": (
            lambda s: s.pop("feature_extractor.conv_5.1.running_var"),
            r"blocks\.5\.norm\.running_var",
        ),
        "missing kernel": (lambda s: s.pop("feature_extractor.conv_4.0.weight"), r"blocks\.4\.conv\.weight"),
        "missing head": (lambda s: s.pop("classifier.conv_6.weight"), r"head\.weight.* is missing"),
        "left over": (lambda s: s.update({"extra.weight": wide}), r"'extra\.weight' is left over"),
        "left over parameter": (
            lambda s: s.update({"feature_extractor.conv_0.0.alpha": wide}),
            r"'feature_extractor\.conv_0\.0\.alpha' is left over",
        ),
        "left over in a known layer": (
            lambda s: s.update({"feature_extractor.conv_0.0.running_mean": wide}),
            r"'feature_extractor\.conv_0\.0\.running_mean' is left over",
        ),
        "shape": (lambda s: s.update({"feature_extractor.conv_3.0.weight": wide}), r"conv_3\.0\.weight' is \(9, 3"),
        "not finite": (
            lambda s: s["feature_extractor.conv_1.1.bias"].fill_(torch.nan),
            r"conv_1\.1\.bias' .*not finite",
        ),
        "doubled": (
            lambda s: s.update({"module.classifier.conv_6.bias": s["classifier.conv_6.bias"]}),
            r"'module\.classifier\.conv_6\.bias' is there twice",
        ),
        "no tensor": (lambda s: s.clear(), "there are no tensors"),
        "not a tensor": (lambda s: s.update(epoch=3), r"'epoch' is a int, expected a tensor"),
        "checkpoint": (lambda s: s.update(state_dict=dict(s)), r"'state_dict' is a dict"),
    }


@pytest.mark.parametrize("fault", faults())
def test_whatever_does_not_fit_is_refused_by_name(tmp_path, fault):
    change, message = faults()[fault]
    _, state = ukb_state()
    state = {name: tensor.clone() for name, tensor in state.items()}
    change(state)
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(StudyError, match=message):
        import_sfcn(tmp_path / "weights.pt")


def test_keras_blocks_may_not_trade_places(tmp_path):
    arrays = published.keras_tensors(published.keras_arrays(), published.KERAS_NAMES["pyment"])
    one, two = (f"sfcn-reg_block-{number}_conv/kernel:0" for number in (1, 2))
    arrays[one], arrays[two] = arrays[two], arrays[one]
    np.savez(tmp_path / "weights.npz", **arrays)
    with pytest.raises(StudyError, match=r"'sfcn-reg_block-1_conv/\w+' is"):
        import_sfcn(tmp_path / "weights.npz")


def test_several_last_layers_are_refused(tmp_path):
    arrays = published.keras_tensors(published.keras_arrays(), published.KERAS_NAMES["pyment"])
    arrays["sfcn-reg_predictions_sex/kernel:0"] = arrays["sfcn-reg_predictions/kernel:0"]
    np.savez(tmp_path / "weights.npz", **arrays)
    with pytest.raises(StudyError, match="'sfcn-reg_predictions_sex/kernel' is left over"):
        import_sfcn(tmp_path / "weights.npz")


def test_two_networks_in_one_file_are_refused(tmp_path):
    names = published.KERAS_NAMES["pyment"]
    arrays = published.keras_tensors(published.keras_arrays(), names)
    arrays |= {f"other/{name}": array for name, array in arrays.items()}
    np.savez(tmp_path / "weights.npz", **arrays)
    with pytest.raises(StudyError, match=r"are both .*expected one network only"):
        import_sfcn(tmp_path / "weights.npz")


def test_another_network_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 3).state_dict(), tmp_path / "weights.pt")
    with pytest.raises(
        StudyError, match=r"no SFCN of a known program; the first tensor is 'bias'. Known are UK Biobank"
    ):
        import_sfcn(tmp_path / "weights.pt")


@pytest.mark.parametrize("suffix", [".pkl", ".onnx", "", ".pb"])
def test_other_formats_are_refused(tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(pickle.dumps({}))
    with pytest.raises(StudyError, match=r"are read from \.pt, \.pth, \.p, \.safetensors, \.npz"):
        import_sfcn(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StudyError, match=r"absent\.pt: no such file"):
        import_sfcn(tmp_path / "absent.pt")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".p", ".npz", ".safetensors"])
@pytest.mark.parametrize("kind", ["object", "raw pickle", "noise", "empty"])
def test_pickled_objects_and_noise_are_refused_unrun(tmp_path, suffix, kind):
    path, trace = tmp_path / f"weights{suffix}", tmp_path / "ran"
    evil = {"feature_extractor.conv_0.0.weight": Evil(trace)}
    if kind == "object" and suffix == ".npz":
        np.savez(path, **{"conv3d/kernel": np.array([Evil(trace)], object)})
    elif kind == "object":
        torch.save(evil, path)
    else:
        path.write_bytes({"raw pickle": pickle.dumps(evil), "noise": bytes(range(256)) * 9, "empty": b""}[kind])
    with pytest.raises(StudyError, match=r"weights\.\w+ (cannot be read as|holds a)"):
        import_sfcn(path)
    assert not trace.exists()


def test_a_pickled_network_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "network.pt")
    with pytest.raises(StudyError, match="Save the network's tensors alone"):
        tensor_files.read_tensors(tmp_path / "network.pt")


def test_a_list_of_tensors_is_refused(tmp_path):
    torch.save([torch.zeros(2)], tmp_path / "list.pt")
    with pytest.raises(StudyError, match="holds a list, expected tensors by name"):
        tensor_files.read_tensors(tmp_path / "list.pt")
