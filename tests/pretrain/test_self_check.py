import pytest
import torch
from torch.nn import functional

from workflow_scripts.lib.pretrain import self_check
from workflow_scripts.lib.study.errors import StudyError

CPU = torch.device("cpu")


def test_this_machine_is_right():
    self_check.check_convolutions(CPU)


@pytest.mark.parametrize("case", self_check.CASES)
def test_the_tolerance_is_neither_too_tight_nor_empty(case):
    """Rounding alone stays within it, and shows: a tolerance that nothing comes near would let much through."""
    found = self_check.errors(case, torch.contiguous_format, CPU)
    assert set(found) == {"result", "input gradient", "weight gradient"}
    assert all(0.02 < error <= 0.5 for error in found.values()), found


def last_channel_left_out(x, w, right, **options):
    keep = torch.ones(x.shape[1], dtype=x.dtype)
    keep[-1] = 0
    return right(x * keep.view(1, -1, 1, 1, 1), w, **options)


def border_not_padded(x, w, right, **options):
    y = right(x, w, **options)
    inner = torch.zeros_like(y)
    inner[:, :, 1:] = 1
    return y * inner


def a_tenth_too_large(x, w, right, **options):
    return 1.1 * right(x, w, **options)


def wrong_gradient(x, w, right, **options):
    y = right(x, w, **options)
    return 1.1 * y - (0.1 * y).detach()


def not_a_number(x, w, right, **options):
    return right(x, w, **options) * float("nan")


@pytest.mark.parametrize(
    "wrong", [last_channel_left_out, border_not_padded, a_tenth_too_large, wrong_gradient, not_a_number]
)
def test_wrong_kernels_are_refused(monkeypatch, wrong):
    right = functional.conv3d

    def conv3d(x, w, **options):
        return wrong(x, w, right, **options) if x.dtype == torch.bfloat16 else right(x, w, **options)

    monkeypatch.setattr(functional, "conv3d", conv3d)
    with pytest.raises(StudyError, match=rf"wrong on cpu.*torch {torch.__version__.split('+')[0]}.*precision"):
        self_check.check_convolutions(CPU)


def test_a_fault_of_one_layout_alone_is_found(monkeypatch):
    right = functional.conv3d

    def conv3d(x, w, **options):
        wrong = x.dtype == torch.bfloat16 and not x.is_contiguous()
        return right(x.flip(2), w, **options) if wrong else right(x, w, **options)

    monkeypatch.setattr(functional, "conv3d", conv3d)
    with pytest.raises(StudyError, match="channels_last_3d"):
        self_check.check_convolutions(CPU)


@pytest.mark.parametrize(
    ("version", "cudnn", "said"),
    [
        ("2.9.1+cu128", 91002, "several times slower"),
        ("2.9.0", 91499, "cuDNN 9.14.99"),
        ("2.9.1", 91500, None),
        ("2.8.0+cu128", 91002, "can be wrong"),
        ("2.8.0", 90701, None),
        ("2.8.0", 91300, None),
        ("2.10.0", 91002, None),
        ("2.13.0+cu130", 92000, None),
    ],
)
def test_versions_with_known_faults_are_named(version, cudnn, said):
    found = self_check.version_warnings(version, cudnn)
    assert found == [] if said is None else said in found[0]
