"""Heads: what turns the vector of a backbone into a logit a class."""

from functools import partial

import torch
from torch import nn

from workflow_scripts.lib.study.errors import StudyError

HEADS = ("Linear", "NonLinear", "Conv", "ConvSkip", "MLP")
DEFAULTS = {"filters": 16, "kernel": 2, "ratio": 0.5, "dropout": 0.5}
# what the published code gave these heads whatever it was asked for
FIXED = {"kernel": 2, "ratio": 0.5, "dropout": 0.5}
OVERRIDDEN = ("Conv", "ConvSkip", "MLP")
SLOPE = 0.01
# a head with more parameters an image than this can learn any labels by heart
PARAMETERS_PER_IMAGE = 1000


def make_head(
    name: str,
    features: int,
    classes: int = 2,
    *,
    filters: int | None = 16,
    kernel: int | None = 2,
    ratio: float | None = 0.5,
    dropout: float | None = 0.5,
    faithful: bool = False,
    match: str = "ConvSkip",
) -> nn.Module:
    """Build a head with fresh weights.

    Parameters
    ----------
    name : str
        ``Linear``: one layer. ``NonLinear``: a hidden layer of ``features * ratio``. ``Conv``: a convolution along the
        vector, then a hidden layer of ``ratio`` times its outputs. ``ConvSkip``: the same, and a linear layer around
        the convolution. ``MLP``: a hidden layer as wide as makes the head as large as ``match``.
    features : int
        Length of the vectors.
    classes : int
        Number of logits.
    filters, kernel : int, optional
        Of the convolution. None: the default.
    ratio : float, optional
        Width of the hidden layer, as a share of what comes in.
    dropout : float, optional
        Share of the numbers that is dropped after each LeakyReLU while training.
    faithful : bool
        Do as the published code did: Conv and ConvSkip (and the MLP that matches them) have kernel 2, ratio 0.5 and
        dropout 0.5, whatever is asked for.
    match : str
        ``Conv`` or ``ConvSkip``: whose number of parameters an MLP has, as nearly as a whole width allows.

    Returns
    -------
    torch.nn.Module
        Batch x features -> batch x classes. Its property ``settings`` holds the arguments as asked for.

    Raises
    ------
    StudyError
        If the name or an argument is impossible.

    References
    ----------
    Frees et al., Towards Optimal Convolutional Transfer Learning Architectures, section on heads.
    """
    if name not in HEADS:
        raise StudyError(f"head '{name}' is unknown; there are {', '.join(HEADS)}")
    given = {"filters": filters, "kernel": kernel, "ratio": ratio, "dropout": dropout}
    asked = {key: DEFAULTS[key] if value is None else value for key, value in given.items()}
    used = {**asked, **FIXED} if faithful and name in OVERRIDDEN else asked
    _check(name, features, classes, used, match)
    head = BUILDERS[name](features, classes, match=match, **used)
    head.settings = {"name": name, "features": features, "classes": classes, **asked, "faithful": faithful}
    if name == "MLP":
        head.settings["match"] = match
    return head


def _check(name: str, features: int, classes: int, used: dict, match: str) -> None:
    reasons = {
        f"features {features}: expected 1 or more": features < 1,
        f"classes {classes}: expected 2 or more": classes < 2,
        f"filters {used['filters']}: expected 1 or more": used["filters"] < 1,
        f"kernel {used['kernel']}: expected 1 to {features} (the length of the vector)": (
            not 1 <= used["kernel"] <= features and name in OVERRIDDEN
        ),
        f"ratio {used['ratio']}: expected a number above 0": not used["ratio"] > 0,
        f"dropout {used['dropout']}: expected 0 to below 1": not 0 <= used["dropout"] < 1,
        f"match '{match}': expected Conv or ConvSkip": match not in ("Conv", "ConvSkip"),
    }
    for reason, wrong in reasons.items():
        if wrong:
            raise StudyError(f"head {name}: {reason}")


class Plain(nn.Sequential):
    """Layers one after the other: Linear, NonLinear and MLP."""


class Convolved(nn.Module):
    """A convolution along the vector, a linear layer around it if wanted, a hidden layer.

    The places of a pooled vector have no order: neighbours under the kernel are whatever channels stand side by side.
    """

    def __init__(
        self, features: int, classes: int, filters: int, kernel: int, ratio: float, dropout: float, skip: bool
    ) -> None:
        super().__init__()
        wide = filters * (features - kernel + 1)
        convolution = _kaiming(nn.Conv1d(1, filters, kernel, bias=False))
        self.conv = nn.Sequential(
            convolution, nn.BatchNorm1d(filters), nn.LeakyReLU(SLOPE), nn.Dropout(dropout), nn.Flatten(1)
        )
        # published with torch's own initialisation, as is the last bias beside it
        around = (nn.Linear(features, wide, bias=False), nn.BatchNorm1d(wide), nn.ReLU())
        self.skip = nn.Sequential(*around) if skip else None
        self.hidden = nn.Sequential(*_hidden(wide, max(1, int(wide * ratio)), dropout))
        self.last = _last(max(1, int(wide * ratio)), classes, zero_bias=not skip)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Batch x features -> batch x classes."""
        x = self.conv(vectors.unsqueeze(1))
        if self.skip is not None:
            x = x + self.skip(vectors)
        return self.last(self.hidden(x))


def _linear(features: int, classes: int, **_: object) -> nn.Module:
    return Plain(_last(features, classes))


def _nonlinear(features: int, classes: int, ratio: float, dropout: float, **_: object) -> nn.Module:
    wide = max(1, int(features * ratio))
    return Plain(*_hidden(features, wide, dropout), _last(wide, classes))


def _convolved(features: int, classes: int, skip: bool, match: str, **used: float) -> nn.Module:
    return Convolved(features, classes, skip=skip, **used)


def _mlp(features: int, classes: int, match: str, **used: float) -> nn.Module:
    wide = matched_width(match, features, classes, used["filters"], used["kernel"], used["ratio"])
    return Plain(*_hidden(features, wide, used["dropout"]), _last(wide, classes))


def matched_width(match: str, features: int, classes: int, filters: int, kernel: int, ratio: float) -> int:
    """Give the width of the hidden layer that brings an MLP nearest to the parameters of Conv or ConvSkip."""
    wide = filters * (features - kernel + 1)
    hidden = max(1, int(wide * ratio))
    wanted = filters * (kernel + 2) + wide * hidden + 2 * hidden + hidden * classes + classes
    if match == "ConvSkip":
        wanted += features * wide + 2 * wide
    # a hidden unit costs its weights in, two of normalisation, its weights out
    return max(1, round((wanted - classes) / (features + 2 + classes)))


def _hidden(before: int, after: int, dropout: float) -> tuple[nn.Module, ...]:
    # normalisation follows, which makes a bias idle
    layer = _kaiming(nn.Linear(before, after, bias=False))
    return layer, nn.BatchNorm1d(after), nn.LeakyReLU(SLOPE), nn.Dropout(dropout)


def _last(before: int, classes: int, zero_bias: bool = True) -> nn.Linear:
    layer = _kaiming(nn.Linear(before, classes))
    if zero_bias:
        nn.init.zeros_(layer.bias)
    return layer


def _kaiming(layer: nn.Module) -> nn.Module:
    nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
    return layer


BUILDERS = {
    "Linear": _linear,
    "NonLinear": _nonlinear,
    "Conv": partial(_convolved, skip=False),
    "ConvSkip": partial(_convolved, skip=True),
    "MLP": _mlp,
}


def count_parameters(module: nn.Module, trainable: bool = False) -> int:
    """Count the numbers that a module has, or only those that training may change."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad or not trainable)


def weigh(parameters: int, images: int) -> str | None:
    """Say so if a head is too large for the images that train it.

    Parameters
    ----------
    parameters : int
        Of the head.
    images : int
        That train it.

    Returns
    -------
    str or None
        A warning if there are more than 1,000 parameters an image.
    """
    if parameters <= PARAMETERS_PER_IMAGE * images:
        return None
    return (
        f"the head has {parameters:,} parameters for {images:,} training images ({parameters // max(images, 1):,} an "
        "image): it can learn any labels by heart. Compare it with MLP, which is as large, and with Linear, before "
        "what it gains is put down to its design."
    )
