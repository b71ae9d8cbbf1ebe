"""What the config says about finetuning a network: the settings to choose from, and what all of them share."""

import dataclasses
import itertools

import torch

from workflow_scripts.lib.pretrain.augment import Augmentation
from workflow_scripts.lib.pretrain.loop import Schedule
from workflow_scripts.lib.pretrain.settings import PRECISIONS
from workflow_scripts.lib.pretrain.volumes import SHIFT
from workflow_scripts.lib.study.errors import StudyError

# keys of the section that are the schedule's under the same name
SCHEDULE = ("epochs", "batch", "optimizer", "weight_decay", "momentum", "warmup", "clip", "checkpoint_epochs")


@dataclasses.dataclass(frozen=True)
class Setting:
    """One of the settings between which validation chooses.

    Attributes
    ----------
    number : int
        Its place in the order of the config, from 0.
    learning_rate, dropout : float
    """

    number: int
    learning_rate: float
    dropout: float

    @property
    def parameters(self) -> str:
        """What tables call it; random draws go by this name, so that a setting added to the config changes no other."""
        return f"learning_rate={self.learning_rate:g} dropout={self.dropout:g}"


@dataclasses.dataclass(frozen=True)
class Options:
    """What one model's fits share.

    Attributes
    ----------
    seed : int
        Of the study.
    model : str
        Of ``finetune.models``.
    schedule : Schedule
        Its learning rate is replaced by that of each setting.
    learning_rates, dropouts : tuple of float
        Every pair is a setting.
    precision : {'float32', 'bfloat16'}
    shift : int
        Training volumes are moved by up to so many voxels along each axis, see :func:`level.shift`.
    augmentation : Augmentation
        Of training volumes, before they are moved; the usual changes nothing.
    fits_at_once : int
        Processes that fit at the same time on one device. Changes no number.
    code : str
        Hash of the code, so that nothing of other code is gone on with.
    """

    seed: int
    model: str
    schedule: Schedule
    learning_rates: tuple[float, ...]
    dropouts: tuple[float, ...]
    precision: str = "float32"
    shift: int = SHIFT
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
    fits_at_once: int = 1
    code: str = ""

    def __post_init__(self):
        if self.precision not in PRECISIONS:
            raise StudyError(f"finetune.network.precision is '{self.precision}'; choose from {', '.join(PRECISIONS)}")
        if self.fits_at_once < 1 or self.shift < 0:
            raise StudyError(
                f"finetune.network: fits_at_once must be 1 or more and shift 0 or more; found {self.fits_at_once} and "
                f"{self.shift}"
            )
        if not self.learning_rates or not self.dropouts:
            raise StudyError("finetune.network: learning_rate and dropout need at least one value each")
        for setting in self.settings:
            if not setting.learning_rate > 0 or not 0 <= setting.dropout < 1:
                raise StudyError(
                    f"finetune.network: a learning rate is above 0 and a dropout from 0 to below 1; found "
                    f"{setting.parameters}"
                )

    @classmethod
    def from_config(cls, section: dict, model: str, seed: int, code: str = "") -> "Options":
        """Take the config apart.

        Parameters
        ----------
        section : dict
            Of ``finetune.network``: epochs, batch, optimizer, weight_decay, learning_rate (a list), dropout (a list),
            precision, fits_at_once, early_stopping (epochs or None), checkpoint_epochs; if wanted shift,
            augmentation, momentum, warmup, clip.
        model, seed, code
            See the attributes.

        Raises
        ------
        StudyError
            If a value is impossible.
        """
        rates = tuple(float(rate) for rate in section["learning_rate"])
        shared = {key: section[key] for key in SCHEDULE if key in section}
        return cls(
            seed=seed,
            model=model,
            schedule=Schedule(learning_rate=max(rates, default=1.0), patience=section.get("early_stopping"), **shared),
            learning_rates=rates,
            dropouts=tuple(float(share) for share in section["dropout"]),
            precision=section.get("precision", "float32"),
            shift=section.get("shift", SHIFT),
            augmentation=Augmentation(**(section.get("augmentation") or {})),
            fits_at_once=section.get("fits_at_once", 1),
            code=code,
        )

    @property
    def settings(self) -> list[Setting]:
        """List the settings: all dropouts with the first learning rate, then with the next."""
        pairs = itertools.product(self.learning_rates, self.dropouts)
        return [Setting(number, *pair) for number, pair in enumerate(pairs)]

    def schedule_of(self, setting: Setting) -> Schedule:
        """Give the schedule of a setting's fits."""
        return dataclasses.replace(self.schedule, learning_rate=setting.learning_rate)

    @property
    def identity(self) -> dict:
        """What a fit depends on beside its setting and its data."""
        schedule = {name: value for name, value in self.schedule.identity.items() if name != "learning_rate"}
        same = {"seed": self.seed, "model": self.model, "precision": self.precision, "shift": self.shift}
        return {**same, "schedule": schedule, "augmentation": dataclasses.asdict(self.augmentation), "code": self.code}

    @property
    def autocast(self) -> dict:
        """Options of ``torch.autocast`` beside the device's type."""
        return {"dtype": torch.bfloat16, "enabled": self.precision == "bfloat16"}
