"""Several labels of a scan learned by one network, each with its own loss and weight; missing labels take no part.

The head of the network has one output for a continuous or binary target and one for each bin of a soft-bin target,
side by side in the order of the targets. Losses are computed in float32 or float64, outside autocast.

References
----------
Leonardsen et al. 2025 (six targets, weighted and masked loss); Peng et al., Med. Image Anal. 68 (2021) 101871 (bins).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch.nn import functional

from workflow_scripts.lib.pretrain.labels import PUBLISHED as PUBLISHED
from workflow_scripts.lib.pretrain.labels import Target as Target
from workflow_scripts.lib.pretrain.labels import encode as encode
from workflow_scripts.lib.pretrain.labels import metrics as metrics
from workflow_scripts.lib.pretrain.labels import restore as restore
from workflow_scripts.lib.study.errors import StudyError


def head_width(targets: Sequence[Target]) -> int:
    """Count the outputs that a network needs: 6 with the published targets, 40 with the published bins alone."""
    return sum(target.outputs for target in targets)


def head_slices(targets: Sequence[Target]) -> dict[str, slice]:
    """Map each target's name to its outputs; :class:`StudyError` if two have one name."""
    names = [target.name for target in targets]
    if len(set(names)) < len(names):
        raise StudyError(f"targets must have different names; found {', '.join(names)}")
    ends = np.cumsum([target.outputs for target in targets]).tolist()
    return {target.name: slice(end - target.outputs, end) for target, end in zip(targets, ends, strict=True)}


def soft_labels(values: torch.Tensor, target: Target) -> torch.Tensor:
    """Spread values over bins: the mass that a normal distribution around each has between the edges of each bin.

    Parameters
    ----------
    values : torch.Tensor
        Scans, in units of the label.
    target : Target
        Of kind bins.

    Returns
    -------
    torch.Tensor
        Scans x bins, not negative. Rows sum to 1, or to less where the range cuts them off (see
        ``renormalise``); with ``sigma`` 0 a value outside the range has the bin next to it.

    References
    ----------
    Peng et al. 2021, section 2.3.
    """
    edges = torch.as_tensor(target.edges, dtype=values.dtype, device=values.device)
    if target.sigma == 0:
        own = torch.searchsorted(edges[1:-1].contiguous(), values.contiguous(), right=True)
        return functional.one_hot(own, target.outputs).to(values.dtype)
    soft = torch.special.ndtr((edges - values[:, None]) / target.sigma).diff(dim=1)
    return soft / soft.sum(dim=1, keepdim=True).clamp(min=1e-12) if target.renormalise else soft


def _squared_error(outputs: torch.Tensor, values: torch.Tensor, _: Target) -> torch.Tensor:
    return (outputs[:, 0] - values).square()


def _cross_entropy(outputs: torch.Tensor, values: torch.Tensor, _: Target) -> torch.Tensor:
    return functional.binary_cross_entropy_with_logits(outputs[:, 0], values, reduction="none")


def _divergence(outputs: torch.Tensor, values: torch.Tensor, target: Target) -> torch.Tensor:
    return functional.kl_div(outputs.log_softmax(1), soft_labels(values, target), reduction="none").sum(1)


ROW_LOSSES = {"continuous": _squared_error, "binary": _cross_entropy, "bins": _divergence}


def loss(
    logits: torch.Tensor, values: torch.Tensor, targets: Sequence[Target]
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    r"""Weighted sum of the targets' losses, each the mean over the scans that have the label.

    .. math:: L = \sum_t w_t \frac{\sum_i m_{it} l_t(o_{it}, y_{it})}{\max(1, \sum_i m_{it})}

    with m = 1 where a label is known and 0 where it is missing. A target that no scan of the batch has a label
    for adds exactly 0, and so does its gradient.

    Parameters
    ----------
    logits : torch.Tensor
        Scans x :func:`head_width`. With several processes, of all of them.
    values : torch.Tensor
        Scans x targets, from :func:`encode`; NaN where missing.
    targets : sequence of Target

    Returns
    -------
    torch.Tensor
        A scalar, with a gradient even if no label is known.
    dict of str to torch.Tensor
        ``loss_{name}``, detached, without the weight; 0 for a target without labels.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    total, report = logits.new_zeros(()), {}
    known = ~values.isnan()
    filled = values.to(logits.dtype).nan_to_num(nan=0.0)  # a missing number must not reach the gradient
    for column, (target, outputs) in enumerate(zip(targets, head_slices(targets).values(), strict=True)):
        rows = ROW_LOSSES[target.kind](logits[:, outputs], filled[:, column], target)
        mean = (rows * known[:, column]).sum() / known[:, column].sum().clamp(min=1)
        total = total + target.weight * mean
        report[f"loss_{target.name}"] = mean.detach()
    return total, report


def criterion(logits: torch.Tensor, values: torch.Tensor, targets: Sequence[Target]) -> float:
    """Compute what chooses the epoch, on all scans of the validation set at once: the lower, the better.

    The mean of the weighted, masked losses over the targets that some scan has a label for.

    Raises
    ------
    StudyError
        If no scan has a label for a target of weight above 0: any epoch would do.
    """
    labelled = (~values.isnan()).any(0).tolist()
    used = sum(some and target.weight > 0 for some, target in zip(labelled, targets, strict=True))
    if not used:
        raise StudyError(
            f"none of the {len(values)} scans that choose the epoch has a label for "
            f"{', '.join(target.name for target in targets)}. Fill in labels, or raise pretrain.validation_share."
        )
    return loss(logits, values, targets)[0].item() / used


def predict(
    logits: torch.Tensor, targets: Sequence[Target], statistics: Mapping[str, Mapping[str, float]]
) -> np.ndarray:
    """Turn the outputs of a network into labels.

    Parameters
    ----------
    logits : torch.Tensor
        Scans x :func:`head_width`.
    targets : sequence of Target
    statistics : mapping
        From :func:`encode` on the training scans.

    Returns
    -------
    numpy.ndarray
        float64, scans x targets: in the label's units; binary, the probability of 1; bins, the expectation
        over their centres.
    """
    parts = []
    for target, outputs in zip(targets, head_slices(targets).values(), strict=True):
        part = logits[:, outputs].detach().double().cpu()
        if target.kind == "bins":
            parts.append(part.softmax(1) @ torch.from_numpy(target.centres))
        else:
            parts.append(part[:, 0].sigmoid() if target.kind == "binary" else part[:, 0])
    return restore(torch.stack(parts, dim=1).numpy(), targets, statistics)
