r"""Several processes that share each batch, one for each GPU; in one process all of this changes nothing.

Every process has a copy of the network and takes a part of the rows of each batch through it. What the loss needs of
all rows it gets with :func:`gather`, and normalisation by the batch is that of the joint batch
(:func:`synchronise_norms`); afterwards the gradients are averaged (:func:`average_gradients`), and all copies take the
same step.

Why the result is that of one process with the joint batch: the backward pass of :func:`gather` and of the
normalisations adds up, over the processes, the gradients that reach what they gave to all. What autograd finds in
process p for its copy :math:`\theta_p` is therefore :math:`\partial (\sum_q L_q) / \partial \theta_p`, with
:math:`L_q` the loss of process q. As all copies are equal, the mean over p is

.. math:: \frac{1}{P} \sum_p \frac{\partial \sum_q L_q}{\partial \theta_p}
          = \frac{\partial}{\partial \theta} \frac{1}{P} \sum_q L_q

the gradient of the mean loss. Where every process computes the joint loss of all rows, that is its gradient, for
parameters in front of ``gather`` and for a head behind it alike; where each computes the mean loss of its own rows,
it is the gradient of the mean over all rows, since the parts are equally long. Nothing needs to be scaled.
"""

import numpy as np
import torch
from torch import distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from workflow_scripts.lib.pretrain.processes import launch as launch
from workflow_scripts.lib.pretrain.processes import start as start
from workflow_scripts.lib.study import seeds
from workflow_scripts.lib.study.errors import StudyError

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def world_size() -> int:
    """How many processes share each batch."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Which of the processes this is, counted from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_first() -> bool:
    """Whether this is the process that writes files."""
    return rank() == 0


def barrier() -> None:
    """Wait until all processes are here."""
    if world_size() > 1:
        distributed.barrier()


def share(rows: np.ndarray) -> np.ndarray:
    """Return this process's part of the rows of a batch; parts are equally long and in order.

    Raises
    ------
    StudyError
        If the rows cannot be divided equally.
    """
    part, rest = divmod(len(rows), world_size())
    if rest:
        raise StudyError(
            f"a batch of {len(rows)} images cannot be divided equally between {world_size()} processes. Set batch to a "
            f"multiple of {world_size()} that is no larger than the number of training scans, or use another number "
            "of GPUs."
        )
    return rows[rank() * part :][:part]


def local_generator(generator: torch.Generator) -> torch.Generator:
    """Return a generator whose draws differ between processes, made of one that is the same in all.

    For what is drawn for each image (augmentation). What is drawn once for the whole batch comes from
    ``generator`` itself. In one process they are the same object.
    """
    if world_size() == 1:
        return generator
    seed = torch.randint(2**62, (), generator=generator, device=generator.device).item()
    return torch.Generator(generator.device).manual_seed(seeds.derive_seed(seed, "process", rank()))


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, part: torch.Tensor) -> torch.Tensor:
        parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(world_size())]
        distributed.all_gather(parts, part.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> torch.Tensor:
        return _total(gradient).chunk(world_size())[rank()]


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx, own: torch.Tensor) -> torch.Tensor:
        return _total(own) / world_size()

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> torch.Tensor:
        return _total(gradient) / world_size()


def _total(tensor: torch.Tensor) -> torch.Tensor:
    """Sum over the processes, in a new tensor."""
    total = tensor.detach().clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total


def gather(part: torch.Tensor) -> torch.Tensor:
    """Put the parts of all processes one below the other, in the order of :func:`share`, with gradient.

    Parameters
    ----------
    part : torch.Tensor
        Rows of this process x anything; equally many in all processes.

    Returns
    -------
    torch.Tensor
        All rows x anything. See the module about its gradient.
    """
    return part if world_size() == 1 else _Gather.apply(part)


def average(numbers: dict[str, torch.Tensor | float], device: torch.device) -> dict[str, float]:
    """Average numbers over the processes; all must have the same names in the same order.

    They leave the device in one transfer, so that a GPU is waited for once.
    """
    values = [torch.as_tensor(value, dtype=torch.float64, device=device).detach() for value in numbers.values()]
    values = torch.stack(values)
    if world_size() > 1:
        values = _total(values) / world_size()
    return dict(zip(numbers, values.tolist(), strict=True))


def agreed(flag: bool) -> bool:
    """Whether the flag is set in any process; the answer is the same in all."""
    if world_size() == 1:
        return flag
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    return bool(_total(torch.tensor(float(flag), device=device)) > 0)


def require_same(number: float, what: str) -> None:
    """Refuse to go on (:class:`StudyError`) if a number differs between processes, which would then wait forever."""
    if world_size() == 1:
        return
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    found = gather(torch.tensor([float(number)], device=device)).tolist()
    if len(set(found)) > 1:
        raise StudyError(f"{what} is not the same in all processes; put it on a disk that all of them share")


@torch.no_grad()
def broadcast(model: nn.Module) -> None:
    """Give all processes the parameters and buffers of the first."""
    if world_size() == 1:
        return
    for tensor in model.state_dict().values():
        first = tensor.detach().clone(memory_format=torch.contiguous_format)
        distributed.broadcast(first, 0)
        tensor.copy_(first)


@torch.no_grad()
def average_gradients(model: nn.Module) -> None:
    """Replace gradients by their mean over the processes (see the module), in one transfer.

    A parameter without gradient in some processes counts as 0 there; without any it stays without.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    if world_size() == 1 or not parameters:
        return
    here = [p.grad is not None for p in parameters]
    for p, has in zip(parameters, here, strict=True):
        if not has:
            p.grad = torch.zeros_like(p)
    found = torch.tensor(here, dtype=torch.float32, device=parameters[0].device)
    total = _total(torch.cat([found, *(p.grad.flatten().float() for p in parameters)]))
    means = (total[len(parameters) :] / world_size()).split([p.numel() for p in parameters])
    for p, mean in zip(parameters, means, strict=True):
        p.grad.copy_(mean.view(p.shape))
    if not all(here):  # else there is nothing to read, for which a GPU would wait
        for p, anywhere in zip(parameters, total[: len(parameters)].tolist(), strict=True):
            p.grad = p.grad if anywhere else None


class _SynchronisedNorm(_BatchNorm):
    """Batch normalisation over the joint batch, for CPUs: torch's own accepts tensors on GPUs only."""

    def _check_input_dim(self, input: torch.Tensor) -> None:
        """Accept any: a class of fixed dimensions checked it when the network ran in one process."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(input)
        axes = [axis for axis in range(input.dim()) if axis != 1]
        shape = [-1 if axis == 1 else 1 for axis in range(input.dim())]
        values = input if input.dtype == torch.float64 else input.float()
        mean = _Mean.apply(values.mean(axes))
        centred = values - mean.view(shape)
        variance = _Mean.apply(centred.square().mean(axes))
        if self.track_running_stats:
            self._track(mean, variance, world_size() * input.numel() // input.shape[1])
        result = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            result = result * self.weight.view(shape) + self.bias.view(shape)
        return result.to(input.dtype)

    @torch.no_grad()
    def _track(self, mean: torch.Tensor, variance: torch.Tensor, count: int) -> None:
        self.num_batches_tracked.add_(1)
        share = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_((variance * count / (count - 1)).to(self.running_var.dtype), share)


def synchronise_norms(model: nn.Module) -> None:
    """Let all batch normalisations use the joint batch of all processes, until :func:`restore_norms`.

    Modules are changed in place and stay what they are to the optimiser and the state dict: the class alone
    is exchanged, on GPUs for torch's SyncBatchNorm. Behind :func:`gather`, where each process has the joint
    batch, it changes nothing but the running variance, by a share of 1 / rows or less.
    """
    if world_size() == 1:
        return
    for module in model.modules():
        if type(module) in NORMS:
            module.own_class = type(module)
            if distributed.get_backend() == "nccl":
                module.process_group = None
                module.__class__ = nn.SyncBatchNorm
            else:
                module.__class__ = _SynchronisedNorm


def restore_norms(model: nn.Module) -> None:
    """Undo :func:`synchronise_norms`."""
    for module in model.modules():
        own_class = module.__dict__.pop("own_class", None)
        if own_class is not None:
            module.__class__ = own_class
            module.__dict__.pop("process_group", None)
