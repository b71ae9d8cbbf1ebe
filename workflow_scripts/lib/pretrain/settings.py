"""What the config says about one training: how a network learns, for how long, and on what."""

import dataclasses

import torch

from workflow_scripts.lib.pretrain import losses
from workflow_scripts.lib.pretrain.augment import Augmentation
from workflow_scripts.lib.pretrain.loop import Schedule
from workflow_scripts.lib.pretrain.multitask import Target
from workflow_scripts.lib.study.errors import StudyError

PRECISIONS = ("float32", "bfloat16")
# objectives of two views of an image, whose networks read patches or whole volumes
CONTRASTIVE = ("rnce", "simclr", "barlow")
OBJECTIVES = (*CONTRASTIVE, "genesis", "lssl", "multitask", "random")
# how intensities reach a network that reads whole volumes: the U-Net rebuilds numbers between 0 and 1, and scans of a
# pair must not differ by their scale
RULES = {"genesis": "unit", "lssl": "zscore"}


@dataclasses.dataclass(frozen=True)
class Method:
    """A way to train; a config may have several of the same objective.

    Attributes
    ----------
    objective : str
        One of :data:`OBJECTIVES`.
    temperature : float
        Of the contrastive term (rnce, simclr).
    projector : bool
        Whether the loss sees the representation through a head that is thrown away. SimCLR and Barlow
        Twins have one as published by their authors; the R-NCE paper applies its loss to the representation.
    auxiliary : str or tuple of str
        rnce only: which regional features guide it, see :func:`data.select_auxiliary`.
    reconstruction, weight, ridge
        rnce only: ``scale``, ``weight`` and ``ridge`` of :func:`losses.r_nce`.
    redundancy : float
        barlow only, see :func:`losses.barlow_twins`.
    direction, min_years : float
        lssl only: weight of the cosine, and the least years between the scans of a pair.
    width : int or None
        Size of the network, None for the published one: channels of the first convolution (genesis, multitask) or
        length of the latent vector (lssl).
    targets : tuple of Target
        multitask only.
    input : str or None
        As the config has it; what is read is decided before.
    """

    objective: str
    temperature: float = 0.2
    projector: bool = False
    auxiliary: str | tuple[str, ...] = "all"
    reconstruction: str = "per_entry"
    weight: float = 1.0
    ridge: float = 1e-4
    redundancy: float = 0.0051
    direction: float = 1.0
    min_years: float = 1.0
    width: int | None = None
    targets: tuple[Target, ...] = ()
    input: str | None = None

    def __post_init__(self):
        if self.objective not in OBJECTIVES:
            raise StudyError(f"objective '{self.objective}' is not known; choose one of {', '.join(OBJECTIVES)}")
        if self.temperature <= 0 or self.ridge <= 0:
            raise StudyError(f"temperature and ridge must be above 0; found {self.temperature} and {self.ridge}")

    @classmethod
    def from_config(cls, entry: dict, temperature: float) -> "Method":
        """Make a method of an entry of ``pretrain.methods``."""
        entry = dict(entry)
        targets = tuple(Target.from_config(name, rule) for name, rule in entry.pop("targets", {}).items())
        if isinstance(entry.get("auxiliary"), list):
            entry["auxiliary"] = tuple(entry["auxiliary"])
        return cls(temperature=temperature, targets=targets, **entry)

    @property
    def guided(self) -> bool:
        """Whether auxiliary features take part."""
        return self.objective == "rnce" and self.auxiliary != "none"

    @property
    def size(self) -> dict[str, int]:
        """The ``width`` of a network's constructor, nothing for the published one."""
        return {} if self.width is None else {"width": self.width}

    @property
    def rule(self) -> str:
        """How intensities of whole volumes reach the network, see :class:`data.PatchSource`."""
        return RULES.get(self.objective, "stored")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What config section ``pretrain`` says about one method at one level.

    Attributes
    ----------
    seed : int
        Of the study.
    name : str
        Of the method, as the config calls it.
    level : {'patch', 'image', 'volume'}
    method : Method
    schedule : Schedule
    components : int or None
        See :func:`losses.leading_components`.
    augmentation : Augmentation
        Unused at image level.
    representation : int
    precision : {'float32', 'bfloat16'}
        Of the convolutions; the aggregator is always in float32.
    resident_bytes : int
        See :class:`data.PatchSource`.
    code : str
        Hash of the code, so that no checkpoint of other code is resumed.
    """

    seed: int
    name: str
    level: str
    method: Method
    schedule: Schedule
    components: int | None = None
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
    representation: int = 64
    precision: str = "float32"
    resident_bytes: int = 2 * 10**9
    code: str = ""

    @classmethod
    def from_config(cls, section: dict, level: str, name: str, seed: int, code: str = "") -> "Settings":
        """Take the config apart.

        Parameters
        ----------
        section : dict
            ``method`` (the entry of this method), ``temperature``, ``representation``, ``precision``,
            ``resident_gb``, ``augmentation`` (not at image level) and the entry named like the level.
        level, name, seed, code
            See the attributes.

        Raises
        ------
        StudyError
            If the precision is not known or a part refuses its values.
        """
        if section["precision"] not in PRECISIONS:
            raise StudyError(f"pretrain.precision is '{section['precision']}'; choose from {', '.join(PRECISIONS)}")
        schedule = dict(section[level])
        return cls(
            seed=seed,
            name=name,
            level=level,
            method=Method.from_config(section["method"], section["temperature"]),
            components=schedule.pop("components", None),
            schedule=Schedule(**schedule),
            augmentation=Augmentation(**section.get("augmentation", {})),
            representation=section["representation"],
            precision=section["precision"],
            resident_bytes=int(section["resident_gb"] * 1e9),
            code=code,
        )

    @property
    def identity(self) -> dict:
        """What a checkpoint depends on beside its data; where data are kept changes no number."""
        said = dataclasses.asdict(self)
        said.pop("resident_bytes")
        return said

    @property
    def autocast(self) -> dict:
        """Options of ``torch.autocast`` beside the device's type."""
        return {"dtype": torch.bfloat16, "enabled": self.precision == "bfloat16"}

    def refuse_trivial(self, scans: int, d_a: int) -> None:
        """Refuse a batch in which R-NCE has nothing to learn (see :func:`losses.refuse_trivial`)."""
        if self.method.guided and d_a:
            d_a = d_a if self.components is None else min(d_a, self.components)
            losses.refuse_trivial(min(self.schedule.batch, scans), self.representation, d_a, f"pretrain.{self.level}")
