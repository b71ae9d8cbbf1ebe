"""How long and how fast a network is trained: the schedule of a run, and the optimisers it may choose."""

import dataclasses
import math
from collections.abc import Iterable

import torch
from torch import nn

from workflow_scripts.lib.study.errors import StudyError

OPTIMIZERS = ("adamw", "sgd", "lars", "adam", "radam")
DECAYS = ("cosine", "beta", "epoch cosine", "none")
# the floor of the cosine by epochs, as a share of the peak
EPOCH_FLOOR = 0.2
# Barlow Twins' authors train biases and normalisations at 0.0048 where weights have 0.2
LARS_REST = 0.0048 / 0.2
# when to write a checkpoint changes no number
BOOKKEEPING = ("checkpoint_epochs", "checkpoint_minutes", "checkpoint_end")
# came later: left out of the identity while they have these values, so that what was trained before is still known
LATER = {"nesterov": False, "decay": "cosine", "beta": 0.5, "decay_all": False, "keep_last": False}


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How long and how fast a network is trained.

    Attributes
    ----------
    epochs : int
    batch : int
        Images in a batch, at most: fewer if there are not as many scans. Of all processes together.
    learning_rate : float
        The peak, reached after the warm-up; from there it falls as ``decay`` says.
    optimizer : {'adamw', 'sgd', 'lars', 'adam', 'radam'}
    weight_decay : float
        Decoupled from the gradient in AdamW, added to it (an L2 penalty) in all others.
    momentum : float
        Of SGD and LARS.
    warmup : float
        Share of all steps in which the rate rises linearly.
    clip : float
        Largest Euclidean norm of the gradient of all parameters together; 0 leaves it as it is.
    ema : float
        Decay of a moving average of the weights (see :class:`average.Average`), which is then what is
        validated and kept; 0 for none.
    compile : bool
        Whether torch compiles the networks.
    checkpoint_epochs : int
        A checkpoint every so many epochs.
    checkpoint_minutes : float
        And one every so many minutes; 0 for none.
    validate_epochs : int
        Validation every so many epochs, and after the last.
    patience : int or None
        Stop early: after a validation with none better in the last so many epochs. None (the usual) trains all
        ``epochs``. The learning rate follows its planned course up to there, so that epochs that are trained are the
        same with and without.
    nesterov : bool
        Whether SGD's momentum, which must then be above 0, is Nesterov's.
    decay : {'cosine', 'beta', 'epoch cosine', 'none'}
        Half a cosine over all steps down to 0; or the same rate for all steps of an epoch e (from 0): rate
        times ``beta`` to the power e, or half a cosine over the epochs down to a fifth of the rate (which the last
        epoch comes near but does not reach); or always the peak.
    beta : float
        Of decay 'beta'.
    decay_all : bool
        Whether biases and normalisations decay too, as torch's optimisers do when nobody sorts their parameters.
    keep_last : bool
        Whether the last batch of an epoch counts though it is not full, unless it holds a single image, of which
        batch normalisation could make no statistics.
    checkpoint_end : bool
        Whether the end of the training is a checkpoint; callers that keep the result at once need none.
    """

    epochs: int
    batch: int
    learning_rate: float
    optimizer: str = "adamw"
    weight_decay: float = 1e-4
    momentum: float = 0.9
    warmup: float = 0.1
    clip: float = 0.0
    ema: float = 0.0
    compile: bool = False
    checkpoint_epochs: int = 10
    checkpoint_minutes: float = 15.0
    validate_epochs: int = 1
    patience: int | None = None
    nesterov: bool = False
    decay: str = "cosine"
    beta: float = 0.5
    decay_all: bool = False
    keep_last: bool = False
    checkpoint_end: bool = True

    def __post_init__(self):
        if self.optimizer not in OPTIMIZERS:
            raise StudyError(f"optimizer '{self.optimizer}' is not known; choose one of {', '.join(OPTIMIZERS)}")
        if self.epochs < 1 or self.batch < 2 or self.checkpoint_epochs < 1 or self.validate_epochs < 1:
            raise StudyError(
                f"training needs at least 1 epoch, 2 images a batch, and a checkpoint and validation every 1 or more "
                f"epochs; found {self.epochs}, {self.batch}, {self.checkpoint_epochs}, {self.validate_epochs}"
            )
        if self.optimizer == "sgd" and self.nesterov and self.momentum <= 0:
            raise StudyError(
                f"nesterov needs a momentum above 0, found {self.momentum}. Set nesterov to false or raise the momentum"
            )
        if self.patience is not None and self.patience < 1:
            raise StudyError(
                f"patience is a number of epochs of at least 1, or null for no early stopping; found {self.patience}"
            )
        if not 0 <= self.ema < 1 or self.clip < 0 or self.checkpoint_minutes < 0:
            raise StudyError(
                f"clip and checkpoint_minutes must be 0 (off) or above, ema from 0 (off) to below 1; found "
                f"{self.clip}, {self.checkpoint_minutes}, {self.ema}"
            )
        if self.decay not in DECAYS or not 0 < self.beta <= 1:
            raise StudyError(
                f"decay must be one of {', '.join(DECAYS)} and beta above 0, at most 1; found '{self.decay}', "
                f"{self.beta}"
            )

    @property
    def identity(self) -> dict:
        """What of the schedule a result depends on."""
        said = {name: value for name, value in dataclasses.asdict(self).items() if name not in BOOKKEEPING}
        return {name: value for name, value in said.items() if name not in LATER or value != LATER[name]}

    def steps(self, scans: int) -> int:
        """Return how many steps an epoch of so many scans has."""
        batch = min(self.batch, scans)
        return scans // batch + (self.keep_last and scans % batch > 1)

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate of a step (counted from 0) of so many."""
        rising = max(1, round(self.warmup * steps))
        if self.decay != "cosine":
            return self.learning_rate * min(1.0, (step + 1) / rising) * self.epoch_factor(step * self.epochs // steps)
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))

    def epoch_factor(self, epoch: int) -> float:
        """Return the share of the peak that an epoch (counted from 0) has, where the rate falls by epochs."""
        if self.decay == "beta":
            return self.beta**epoch
        if self.decay == "epoch cosine":
            return EPOCH_FLOOR + (1 - EPOCH_FLOOR) * 0.5 * (1 + math.cos(math.pi * epoch / self.epochs))
        return 1.0

    def make_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Make the optimiser of what is trainable; biases and normalisations decay with ``decay_all`` only.

        The rate of a group is the schedule's times its ``scale``. On a GPU one kernel updates all parameters
        (fused); on a CPU, where that gains little, each is updated on its own.
        """
        parameters = [p for p in model.parameters() if p.requires_grad]
        flat_decay = self.weight_decay if self.decay_all else 0.0
        groups = [
            {"params": [p for p in parameters if p.dim() > 1], "weight_decay": self.weight_decay, "scale": 1.0},
            {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": flat_decay, "scale": 1.0},
        ]
        if self.optimizer == "lars":
            groups[1]["scale"] = LARS_REST
            return Lars(groups, self.learning_rate, self.momentum)
        fused = True if all(p.is_cuda for p in parameters) else None
        if self.optimizer in ("adam", "adamw"):
            kind = torch.optim.Adam if self.optimizer == "adam" else torch.optim.AdamW
            return kind(groups, lr=self.learning_rate, fused=fused)
        if self.optimizer == "radam":
            return torch.optim.RAdam(groups, lr=self.learning_rate)
        how = {"momentum": self.momentum, "nesterov": self.nesterov, "fused": fused}
        return torch.optim.SGD(groups, lr=self.learning_rate, **how)


class Lars(torch.optim.Optimizer):
    r"""SGD with momentum whose steps are in proportion to the weights: for batches of thousands.

    For weights w (two or more dimensions) with gradient g, decay :math:`\beta`, momentum m and rate r:

    .. math:: d = g + \beta w, \quad
              v \leftarrow m v + \eta \frac{\|w\|}{\|d\|} d, \quad
              w \leftarrow w - r v

    where the quotient is 1 if either norm is 0. Parameters of one dimension (biases, normalisations) have
    neither quotient nor decay: plain SGD with momentum.

    Parameters
    ----------
    groups : iterable of dict
        ``params`` and, if wanted, ``weight_decay``.
    lr : float
    momentum : float
    eta : float
        The trust coefficient.

    References
    ----------
    You et al., arXiv 1708.03888, algorithm 1; with the exceptions and the eta of Zbontar et al., Barlow
    Twins, ICML 2021, appendix.
    """

    def __init__(self, groups: Iterable[dict], lr: float, momentum: float, eta: float = 0.001):
        super().__init__(groups, {"lr": lr, "momentum": momentum, "eta": eta, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Change every parameter that has a gradient."""
        for group in self.param_groups:
            for weights in group["params"]:
                if weights.grad is None:
                    continue
                update = weights.grad
                if weights.dim() > 1:
                    update = update + group["weight_decay"] * weights
                    size, length = torch.linalg.vector_norm(weights), torch.linalg.vector_norm(update)
                    # chosen on the device: reading the norms here would make a GPU wait
                    trust = torch.where((size > 0) & (length > 0), group["eta"] * size / length, 1.0)
                    update = update * trust
                state = self.state[weights]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(weights)
                buffer = state["momentum_buffer"]
                buffer.mul_(group["momentum"]).add_(update)
                weights.sub_(buffer * group["lr"])
