import pickle

import pytest
import torch

from tests.models.own_encoders import Statistics
from tests.models.published import trained, volumes
from workflow_scripts.lib.models.encoder import PatchEncoder
from workflow_scripts.lib.models.external import check_encoder, load_encoder
from workflow_scripts.lib.study.errors import StudyError

GRID = (6, 7, 8)
HERE = "tests.models.own_encoders"


def script(module, path):
    with pytest.warns(DeprecationWarning):
        torch.jit.save(torch.jit.script(module), path)


def export(module, path):
    example = torch.rand(2, 1, *GRID)
    torch.export.save(torch.export.export(module, (example,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)), path)


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize(("suffix", "write"), [(".pt", script), (".ts", script), (".pt2", export)])
def test_a_file_gives_the_numbers_of_the_module_it_holds(tmp_path, suffix, write):
    module = Statistics(5)
    module(volumes(4, GRID))  # which moves the running statistics
    path = tmp_path / f"encoder{suffix}"
    write(module.eval(), path)
    encoder = load_encoder(str(path))
    assert check_encoder(encoder, GRID) == check_encoder(encoder, GRID, 5) == 5
    for count in (1, 3):
        torch.testing.assert_close(encoder.features(volumes(count, GRID)), module(volumes(count, GRID)))


@torch.no_grad()
def test_an_entry_point_gives_the_numbers_of_its_module():
    for arguments in (None, {"width": 4}):
        encoder = load_encoder(f"{HERE}:make_statistics", arguments)
        module = Statistics(**(arguments or {})).eval()
        torch.testing.assert_close(encoder(volumes(3, GRID)), module(volumes(3, GRID)))
    # a class is a callable that gives a module
    assert check_encoder(load_encoder(f"{HERE}:Statistics"), GRID) == 3


@torch.no_grad()
def test_encoders_of_the_package_serve_as_well(tmp_path):
    encoder = trained(PatchEncoder(6))
    export(encoder, tmp_path / "encoder.pt2")
    loaded = load_encoder(str(tmp_path / "encoder.pt2"))
    torch.testing.assert_close(loaded(volumes(3, GRID)), encoder(volumes(3, GRID)))


def test_it_stays_frozen_and_in_evaluation_mode():
    encoder = load_encoder(f"{HERE}:make_statistics").train()
    assert not encoder.module.training and not encoder.module.norm.training
    assert not any(p.requires_grad for p in encoder.parameters())


def test_numbers_come_as_float32():
    encoder = load_encoder(f"{HERE}:make_statistics")
    encoder.module.double()
    assert encoder(volumes(2, GRID).double()).dtype == torch.float32


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("fails", r"failed on a batch of 2 x 1 x 6 x 7 x 8 .*RuntimeError: mat1 and mat2"),
        ("list", "gave a list .* expected a float tensor of scans x width"),
        ("maps", "gave 2 x 1 x 6 x 7 x 8 numbers"),
        ("one vector", "gave 4 numbers"),
        ("fewer", "gave 1 x 4 numbers for a batch of 2 x 1"),
        ("empty", "gave 2 x 0 numbers"),
        ("integers", r"gave torch\.int64"),
        ("not finite", "not finite for scan 1 of a batch"),
        ("mixing", r"another vector when another scan is beside it.*module\.eval"),
    ],
)
def test_wrong_outputs_are_refused(kind, message):
    encoder = load_encoder(f"{HERE}:make_wrong", {"kind": kind})
    with pytest.raises(StudyError, match=message):
        check_encoder(encoder, GRID)


def test_another_width_is_refused():
    with pytest.raises(StudyError, match="vectors of length 3, expected 64"):
        check_encoder(load_encoder(f"{HERE}:make_statistics"), GRID, 64)


@pytest.mark.parametrize(
    ("source", "arguments", "message"),
    [
        ("tests.models.absent:make", None, "ModuleNotFoundError.*PYTHONPATH"),
        (f"{HERE}:absent", None, "AttributeError.*'absent'"),
        (f"{HERE}:CONSTANT", None, "is a int, expected a function"),
        (f"{HERE}:make_a_number", None, r"gave a int, expected a torch\.nn\.Module"),
        (f"{HERE}:fail", None, "FileNotFoundError: weights of the encoder"),
        (f"{HERE}:make_statistics", {"depth": 3}, r"arguments \{'depth': 3\}: TypeError"),
        ("encoder.onnx", None, r"neither a file ending in \.pt, \.ts, \.pt2 nor a Python function"),
        ("make_statistics", None, "neither a file"),
        ("absent.pt", None, "no such file"),
        ("absent.pt2", {"width": 3}, "is a file and takes no arguments; found width"),
    ],
)
def test_wrong_sources_are_refused(source, arguments, message):
    with pytest.raises(StudyError, match=message):
        load_encoder(source, arguments)


class Evil:
    """Leaves a trace if it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return exec, (f"open({str(self.trace)!r}, 'w').close()",)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("suffix", [".pt", ".ts", ".pt2"])
@pytest.mark.parametrize("kind", ["torch.save", "torch.save of 2019", "pickle", "noise"])
def test_pickles_are_refused_unrun(tmp_path, suffix, kind):
    path, trace = tmp_path / f"encoder{suffix}", tmp_path / "ran"
    if kind.startswith("torch"):
        torch.save({"model": Evil(trace)}, path, _use_new_zipfile_serialization=kind == "torch.save")
    else:
        path.write_bytes(pickle.dumps(Evil(trace)) if kind == "pickle" else bytes(range(256)) * 5)
    with pytest.raises(StudyError, match="Pickled networks are not read"):
        load_encoder(str(path))
    assert not trace.exists()
