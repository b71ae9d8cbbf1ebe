"""A look, before a GPU trains for days, at whether its half-precision 3D convolutions are right."""

import logging

import torch
from torch.nn import functional

from workflow_scripts.lib.study.errors import StudyError

logger = logging.getLogger(__name__)

# channels in, channels out, kernel, stride: the first convolution of a network, inner ones, one that halves, a head
CASES = ((1, 8, 3, 1), (16, 32, 3, 1), (32, 64, 3, 2), (64, 64, 1, 1))
GRID, BATCH = 12, 2
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last_3d": torch.channels_last_3d}
ROUNDING = 2.0**-8  # bfloat16 keeps 8 significant bits, so rounding to nearest is off by half of the last: 2^-8
# Most kernels sum in float32 and round once. Some (torch's own, without cuDNN) add the 27 taps of a kernel one after
# the other in bfloat16: the errors of 27 roundings add up to about the root of 27 of them, and the largest among
# thousands of results is some three times that.
ALLOWED = 16


def check_convolutions(device: torch.device) -> None:
    """Compare bfloat16 3D convolutions, forward and backward, with float32 on the CPU.

    Inputs are numbers that bfloat16 holds exactly, so that results differ by the rounding of results alone: at most
    :data:`ALLOWED` x 2^-8 (a sixteenth) of the magnitude, which is the number itself plus the root mean square of all.
    A wrong kernel is off by about the magnitude. Both layouts in memory are tried.

    Parameters
    ----------
    device : torch.device
        Where to convolve.

    Raises
    ------
    StudyError
        If a result is wrong.

    Notes
    -----
    Some faults show only on inputs of about 2^30 numbers and more (cuDNN 9.8 to 9.12, PyTorch issue 163539), too
    large for a check at every start: for those versions, and for those that are right but slow, a warning is logged.
    """
    if device.type == "cuda":
        for warning in version_warnings(torch.__version__, torch.backends.cudnn.version() or 0):
            logger.warning(warning)
    for case in CASES:
        for name, layout in LAYOUTS.items():
            worst = {part: round(error, 1) for part, error in errors(case, layout, device).items()}
            if not all(error <= 1 for error in worst.values()):
                raise StudyError(
                    f"3D convolutions in bfloat16 are wrong on {_name(device)}: {case[0]} to {case[1]} channels, "
                    f"kernel {case[2]}, stride {case[3]}, {name}, differ from float32 by so many times the tolerance: "
                    f"{worst}. This is torch {torch.__version__} with cuDNN {torch.backends.cudnn.version()}. Install "
                    "torch 2.10 or newer (cuDNN 9.15 or newer), or set pretrain.precision to float32."
                )


def errors(case: tuple[int, int, int, int], layout: torch.memory_format, device: torch.device) -> dict[str, float]:
    """Give the largest difference from float32 on the CPU, as a multiple of the tolerance.

    Parameters
    ----------
    case : tuple of int
        See :data:`CASES`.
    layout : torch.memory_format
    device : torch.device

    Returns
    -------
    dict of str to float
        For the result and the gradients of the input and the weights; right if none is above 1.
    """
    before, after, kernel, stride = case
    draws = torch.Generator().manual_seed(0)
    inputs = torch.randn(BATCH, before, GRID, GRID, GRID, generator=draws).bfloat16()
    weights = torch.randn(after, before, kernel, kernel, kernel, generator=draws).bfloat16()
    results = []
    for kind, place in ((torch.float32, torch.device("cpu")), (torch.bfloat16, device)):
        x, w = (t.to(place, kind).contiguous(memory_format=layout).requires_grad_() for t in (inputs, weights))
        y = functional.conv3d(x, w, stride=stride, padding=kernel // 2)
        gradient = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).bfloat16()
        y.backward(gradient.to(place, kind))
        results.append([t.detach().cpu().float() for t in (y, x.grad, w.grad)])
    return {
        part: ((got - right).abs() / (ALLOWED * ROUNDING * (right.abs() + right.square().mean().sqrt()))).max().item()
        for part, right, got in zip(("result", "input gradient", "weight gradient"), *results, strict=True)
    }


def version_warnings(version: str, cudnn: int) -> list[str]:
    """List what is known against a version of torch with a version of cuDNN.

    Parameters
    ----------
    version : str
        As ``torch.__version__`` has it.
    cudnn : int
        As ``torch.backends.cudnn.version()`` has it: 91002 is 9.10.2.

    References
    ----------
    PyTorch issues 163539 (wrong results), 166122 and 166643 (slow, much memory).
    """
    release = tuple(int(part) for part in version.split("+")[0].split(".")[:2])
    said = f"torch {version} with cuDNN {cudnn // 10000}.{cudnn // 100 % 100}.{cudnn % 100}"
    if release == (2, 9) and cudnn < 91500:
        return [
            f"{said}: 3D convolutions in half precision are several times slower and need up to 17 times the memory. "
            "Install torch 2.10 or newer, or nvidia-cudnn 9.15 or newer."
        ]
    if release < (2, 9) and 90800 <= cudnn < 91300:
        return [
            f"{said}: 3D convolutions in bfloat16 can be wrong where a batch of feature maps has about 2^30 numbers or "
            "more (8 volumes of 1 mm in the SFCN's first block). Install torch 2.10 or newer, or lower batch."
        ]
    return []


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
