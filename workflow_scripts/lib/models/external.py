"""A user's own encoder: a TorchScript file, an exported program, or a Python function that makes a module.

All three are code that runs with the rights of the user who names them: TorchScript and exported programs hold
operations and may hold pickled constants, and a Python function does what it likes. Name only what you would run
as a program; nothing here makes a foreign file safe. Files that hold a pickled module (``torch.save`` of a whole
network) are not read at all: export the network, or give a function that builds it and reads its weights.
"""

import importlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from workflow_scripts.lib.study.errors import StudyError

ENTRY_POINT = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
SCRIPTED = (".pt", ".ts")
EXPORTED = (".pt2",)


class ExternalEncoder(nn.Module):
    """Wrap a user's module so that it serves as the package's own encoders do.

    Parameters
    ----------
    module : torch.nn.Module
        Gives batch x width for batch x 1 x D x H x W.
    source : str
        Where it came from, for messages.
    """

    def __init__(self, module: nn.Module, source: str) -> None:
        super().__init__()
        self.module = module
        self.source = source
        for parameter in self.parameters():
            parameter.requires_grad_(False)

    def train(self, mode: bool = True) -> "ExternalEncoder":
        """Stay as it was given: exported programs cannot be switched, and the encoder is applied, not trained."""
        return self

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Encode volumes.

        Parameters
        ----------
        volumes : torch.Tensor
            Batch x 1 x D x H x W, float32.

        Returns
        -------
        torch.Tensor
            Batch x width, float32.

        Raises
        ------
        StudyError
            If the module fails, or gives anything but one finite vector for each scan.
        """
        shape = " x ".join(map(str, volumes.shape))
        try:
            vectors = self.module(volumes)
        # the user's code may raise anything
        except Exception as error:
            raise StudyError(
                f"encoder {self.source} failed on a batch of {shape} (scans x 1 x grid): {_first_line(error)}. It "
                "must take any number of scans of that grid."
            ) from error
        if not isinstance(vectors, torch.Tensor):
            raise StudyError(f"encoder {self.source} gave a {type(vectors).__name__} for a batch of {shape}, {WANTED}")
        if vectors.ndim != 2 or len(vectors) != len(volumes) or not vectors.shape[1]:
            found = " x ".join(map(str, vectors.shape))
            raise StudyError(f"encoder {self.source} gave {found} numbers for a batch of {shape}, {WANTED}")
        if not vectors.is_floating_point():
            raise StudyError(f"encoder {self.source} gave {vectors.dtype} for a batch of {shape}, {WANTED}")
        vectors = vectors.to(torch.float32)
        if not torch.isfinite(vectors).all():
            row = int((~torch.isfinite(vectors)).any(dim=1).nonzero()[0])
            raise StudyError(
                f"encoder {self.source} gave numbers that are not finite for scan {row} of a batch of {shape}. See "
                "that its intensities are those the encoder expects."
            )
        return vectors

    # the vector is the representation
    features = forward


WANTED = "expected a float tensor of scans x width"


def load_encoder(source: str, arguments: Mapping | None = None) -> ExternalEncoder:
    """Load a user's encoder.

    Parameters
    ----------
    source : str
        ``FILE.pt`` or ``FILE.ts`` (TorchScript), ``FILE.pt2`` (``torch.export``), or ``package.module:function``,
        a callable that gives a ``torch.nn.Module`` and can be imported from where the study runs.
    arguments : mapping, optional
        Keyword arguments of that function; files take none.

    Returns
    -------
    ExternalEncoder
        In evaluation mode, on the CPU, without gradients. Check it with :func:`check_encoder`.

    Raises
    ------
    StudyError
        If the source is of none of these kinds, cannot be loaded, or gives no module.

    Notes
    -----
    The source is code that the user vouches for; see the module's description.
    """
    suffix = Path(source).suffix
    if suffix in (*SCRIPTED, *EXPORTED):
        if arguments:
            raise StudyError(f"encoder {source} is a file and takes no arguments; found {', '.join(arguments)}")
        return ExternalEncoder(_load_file(Path(source)), source)
    if ENTRY_POINT.fullmatch(source):
        return ExternalEncoder(_call(source, dict(arguments or {})), source)
    raise StudyError(
        f"encoder '{source}' is neither a file ending in {', '.join((*SCRIPTED, *EXPORTED))} nor a Python function "
        "named as package.module:function"
    )


def check_encoder(encoder: ExternalEncoder, grid: Sequence[int], width: int | None = None) -> int:
    """Try an encoder on the grid of the study before any scan is read.

    Parameters
    ----------
    encoder : ExternalEncoder
        See :func:`load_encoder`.
    grid : sequence of 3 int
        Voxels along each axis.
    width : int, optional
        The length that its vectors must have.

    Returns
    -------
    int
        The length of its vectors.

    Raises
    ------
    StudyError
        If a batch of two scans fails, or if the vector of a scan depends on the scan beside it, as it does where
        batch normalisation is left in training mode.
    """
    device = next((tensor.device for tensor in encoder.state_dict().values()), torch.device("cpu"))
    ramp = torch.linspace(0, 1, grid[0] * grid[1] * grid[2], device=device).reshape(1, 1, *grid)
    with torch.no_grad():
        both = encoder(torch.cat([ramp, 1 - ramp.square()]))
        alone = encoder(ramp)
    if width is not None and both.shape[1] != width:
        raise StudyError(f"the encoder gives vectors of length {both.shape[1]}, expected {width}")
    if (both[0] - alone[0]).abs().max() > 1e-2 * alone.abs().max().clamp(min=1e-6):
        raise StudyError(
            "the encoder gives a scan another vector when another scan is beside it, so its numbers would depend on "
            "the batches. Put it into evaluation mode (module.eval()) before it is exported or returned."
        )
    return both.shape[1]


def _load_file(path: Path) -> nn.Module:
    if not path.is_file():
        raise StudyError(f"encoder {path}: no such file")
    try:
        if path.suffix in EXPORTED:
            return torch.export.load(path).module()
        return torch.jit.load(path, map_location="cpu").eval()
    # a file of another kind fails in many ways
    except Exception as error:
        kind = "program of torch.export" if path.suffix in EXPORTED else "TorchScript file"
        raise StudyError(
            f"encoder {path} is no {kind} that this torch ({torch.__version__}) can load: {_first_line(error)}. "
            "Pickled networks are not read: export the network, or name a Python function that builds it."
        ) from error


def _call(source: str, arguments: dict) -> nn.Module:
    name, function = source.split(":")
    try:
        make = getattr(importlib.import_module(name), function)
    except (ImportError, AttributeError) as error:
        raise StudyError(
            f"encoder {source}: {_first_line(error)}. Install the package, or put its folder on PYTHONPATH."
        ) from error
    if not callable(make):
        raise StudyError(f"encoder {source} is a {type(make).__name__}, expected a function that gives a module")
    try:
        module = make(**arguments)
    # the user's code may raise anything
    except Exception as error:
        raise StudyError(f"encoder {source} failed with arguments {arguments}: {_first_line(error)}") from error
    if not isinstance(module, nn.Module):
        raise StudyError(f"encoder {source} gave a {type(module).__name__}, expected a torch.nn.Module")
    return module.eval()


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
