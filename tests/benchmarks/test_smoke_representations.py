"""The benchmarks of training run, count right and write their document; how fast is no test's business."""

import math

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.benchmarks import plain_route, representations, sfcn_throughput, ssl_step
from workflow_scripts.lib.models.sfcn import SFCN
from workflow_scripts.lib.pretrain.augment import Augmentation

TRANSFORMS = ("rotation", "crop", "flip", "labels", "contrast", "bias", "blur", "spike", "noise")


@pytest.fixture(autouse=True)
def torch_as_it_was():
    threads, benchmark = torch.get_num_threads(), torch.backends.cudnn.benchmark
    deterministic = torch.are_deterministic_algorithms_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = benchmark
    torch.use_deterministic_algorithms(deterministic)
    torch.utils.deterministic.fill_uninitialized_memory = filled


def positive(*numbers: float) -> bool:
    return all(math.isfinite(number) and number > 0 for number in numbers)


@pytest.mark.parametrize("objective", ssl_step.METHODS)
def test_self_supervised_steps(objective, capsys):
    found = ssl_step.main(["--quick", "--device", "cpu", "--cores", "1", "--objective", objective])
    (part,) = found["found"]
    assert part["shape"] == (7, 10, 8)
    assert [row["route"] for row in part["steps"]] == ["library", "monai", "torchio"]
    assert all(positive(row["wall"], row["cpu"], row["ratio"], row["cpu_ratio"]) for row in part["steps"])
    assert math.isclose(sum(part["steps"][0]["shares"].values()), 1)
    assert {name: set(row) for name, row in part["stages"].items()} == {
        "library": {"load", "augment", "network"},
        **{name: {"load npy", "load nii.gz", "augment", "network"} for name in ("monai", "torchio")},
    }
    assert list(part["transforms"]) == [*TRANSFORMS]
    for numbers in (*part["stages"].values(), *part["transforms"].values()):
        assert positive(*numbers.values())
    assert "8 mm, patches of 7 x 10 x 8" in capsys.readouterr().out


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return plain_route.Study(tmp_path_factory.mktemp("study"), (12, 14, 10), 4, 4)


@pytest.mark.parametrize("library", plain_route.LIBRARIES)
def test_the_plain_route_applies_every_augmentation(study, library):
    always = Augmentation(**{**ssl_step.STRENGTHS, "probability": 1.0, "crop": 0.75, "flip": 1.0, "labels": 1.0})
    parts = plain_route.PARTS[library](always, study)
    torch.manual_seed(1)
    image = torch.from_numpy(plain_route.read(study.files["npy"][0]))[None]
    np.testing.assert_array_equal(image[0], plain_route.read(study.files["nii.gz"][0]))
    for name, part in parts.items():
        view = torch.as_tensor(part(image))
        assert view.shape == ((1, 9, 10, 8) if name == "crop" else image.shape), name
        assert view.isfinite().all(), name
        assert name == "crop" or not torch.equal(view, image), name


def test_both_routes_read_the_same_patches(study):
    source = ssl_step.PatchSource(study.shards, plain_route.PATCH, study.ids, torch.device("cpu"))
    for row, file in enumerate(study.files["npy"]):
        np.testing.assert_allclose(source.batch(np.array([row]))[0, 0], plain_route.read(file), rtol=1e-6)
    np.testing.assert_allclose(source.classes(np.arange(4)), np.tile(study.classes, (4, 1)))


def test_sfcn_throughput(capsys):
    found = sfcn_throughput.main(["--quick", "--device", "cpu", "--threads", "1"])
    rows = found["rows"]
    assert [row["route"] for row in rows] == [
        "eager float32",
        "library, float32",
        "library, float32, first block twice",
    ]
    for row in rows:
        assert positive(*(row[name] for name in ("wall", "cpu", "volumes_per_second", "ratio", "cpu_ratio", "tflops")))
        assert math.isclose(sum(row["shares"].values()), 1)
        assert "convolution" in row["shares"]
    assert rows[0]["ratio"] == rows[0]["cpu_ratio"] == 1
    assert "32 x 32 x 32" in capsys.readouterr().out


def test_work_is_what_torch_counts():
    grid = (32, 48, 34)
    with FlopCounterMode(display=False) as counter:
        SFCN(40)(torch.zeros(2, 1, *grid)).sum().backward()
    linear = 2 * 3 * 2 * 64 * 40
    assert counter.get_total_flops() == 2 * sfcn_throughput.step_flop(grid) + linear
    # three times the forward pass is 395 GFLOP; the first block's input needs no gradient
    first = 2 * 27 * 32 * 160 * 192 * 160
    assert round((sfcn_throughput.step_flop((160, 192, 160)) + first) / 1e9) == 395


def test_time_of_a_device_is_read_from_a_trace():
    def event(kind, name, start, long):
        return {"cat": kind, "name": name, "ts": start, "dur": long}

    events = [
        event("kernel", "sm90_xmma_fprop_implicit_gemm", 0, 100),
        event("gpu_memcpy", "Memcpy HtoD", 50, 100),  # on another stream: 50 of it while the kernel runs
        event("kernel", "bn_fw_tr_1C11", 60, 10),  # inside both
        event("kernel", "vectorized_elementwise_kernel", 200, 40),
        event("gpu_user_annotation", "step", 0, 1000),
        event("cpu_op", "aten::conv3d", 0, 1000),
        {"ph": "M", "name": "process_name"},
    ]
    busy, shares = sfcn_throughput.device_time(events)
    assert busy == pytest.approx(190e-6)
    assert shares == pytest.approx(
        {"convolution": 0.4, "copies": 0.4, "element by element, rest": 0.16, "normalisation": 0.04}
    )


@pytest.mark.parametrize(
    ("name", "peak"),
    [("NVIDIA H200", 989), ("NVIDIA H100 80GB HBM3", 989), ("NVIDIA H100 PCIe", 756), ("Unknown", None)],
)
def test_peaks_are_found_by_name(monkeypatch, name, peak):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    assert sfcn_throughput.peak_tflops(torch.device("cuda"), "bfloat16") == peak
    assert sfcn_throughput.peak_tflops(torch.device("cpu"), "bfloat16") is None


def test_a_batch_too_large_is_halved(monkeypatch):
    def measure(size, steps, grid):
        if size > 4:
            raise torch.OutOfMemoryError("too large")
        return {"wall": 1.0}

    monkeypatch.setattr(sfcn_throughput, "measure", measure)
    assert sfcn_throughput.fitting(lambda size: size, 16, 1, (1, 1, 1)) == {"wall": 1.0, "batch": 4}


def results():
    """What the benchmarks give, made up."""
    row = {"wall": 1.0, "cpu": 1.0, "ratio": 1.0, "cpu_ratio": 1.0, "busy": 0.97, "shares": {"convolution": 1.0}}
    steps = [{"route": "library", **row}]
    steps += [
        {**row, "route": name, "ratio": ratio, "cpu_ratio": 4.0} for name, ratio in (("monai", 12), ("torchio", 11))
    ]
    stage = {"load": 0.1, "augment": 0.9, "network": 9.0}
    stages = {"library": stage} | {
        name: {"load npy": 1.0, "augment": 9.0, "network": 9.0} for name in ssl_step.LIBRARIES
    }
    patch = {"spacing": 1, "shape": (7, 10, 8), "crop": 0.9, "batch": 4, "steps": steps, "stages": stages}
    patch["transforms"] = {"flip": {"library": 1.0, "monai": 2.0, "torchio": 3.0}}
    ssl = {"device": "cuda", "cores": 1, "workers": 1, "found": [patch]}
    volume = {**row, "route": "library, bfloat16", "batch": 16, "volumes_per_second": 123.4, "ratio": 4.5}
    volume |= {"tflops": 47.4, "of_peak": 0.048, "memory": 20.0}
    sfcn = {"grid": (160, 192, 160), "device": "cuda", "threads": 1, "rows": [volume]}
    return {"ssl simclr": ssl, "ssl rnce": None, "sfcn cuda": sfcn}


def test_document_of_a_gpu_and_of_a_failure():
    text = representations.document(results(), ["- GPU: some"])
    cells = {line.split(" | ")[0]: line.split(" | ")[2] for line in text.splitlines() if line.startswith("| ")}
    assert cells["| SSL step on a GPU, SimCLR"] == "1 mm: 11.0 |"
    assert cells["| SSL step on a GPU, R-NCE"] == "failed |"
    assert cells["| GPU busy while training patches, SimCLR"] == "1 mm: 97.0% |"
    assert cells["| SFCN on a GPU, volumes/s"].startswith("123.4 (160 x 192 x 160, 16 a batch; library, bfloat16)")
    assert cells["| SFCN on a GPU beside eager float32"] == "4.50 |"
    assert "47.40 TFLOP/s, 4.8%" in cells["| SFCN on a GPU, arithmetic"]
    assert cells["| SSL step, wall time on 2 CPU cores"].startswith("not measured")
    assert representations.bounds(results()["ssl simclr"]) == [
        "- 1 mm: batches and views are made 10 times as fast, but the network is 90% of the library's step. With views "
        "for nothing the stages, without what workers cost, would be 2.1 times as fast."
    ]


def test_one_command_writes_the_document(tmp_path, monkeypatch, capsys):
    reading = [
        {"what": "one patch", "cache": cache, "route": route, "seconds": 0.1, "ratio": ratio}
        | {"cpu_seconds": 0.1, "cpu_ratio": ratio + 1}
        for cache, plus in (("warm", 0), ("cold", -5))
        for route, ratio in (("store, 8-bit", 30.0 + plus), ("store", 9.0), ("store, read ahead", 12.0 + plus))
    ]
    # read_store and memory have their own test
    monkeypatch.setattr(representations.read_store, "main", lambda arguments: reading)
    monkeypatch.setattr(representations.memory, "run", lambda *sizes: 1 / 0)
    monkeypatch.setattr(representations.ssl_step, "main", lambda arguments: results()["ssl simclr"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    representations.main(["--quick", "--output", str(tmp_path / "benchmarks.md")])
    text = (tmp_path / "benchmarks.md").read_text()
    assert f"torch: {torch.__version__}" in text
    assert "| SSL step on a GPU, SimCLR | 10 | not measured: needs a GPU |" in text
    assert "| SSL step, cpu time, by voxel size | 3 | 1 mm: 4.0 |" in text
    assert "one patch: 30 and 25 (cpu time 31 and 26)" in text
    assert "one patch: 12 and 9 (cpu time 13 and 10)" in text
    assert "| Peak memory of an epoch | flat to 100,000 scans | failed |" in text
    assert "division by zero" in capsys.readouterr().err
