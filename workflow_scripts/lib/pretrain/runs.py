"""Whole runs: train one location or the image level, and give weights, card and log."""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from workflow_scripts.lib.models import weights
from workflow_scripts.lib.pretrain import data, losses
from workflow_scripts.lib.pretrain.augment import Augmentation
from workflow_scripts.lib.pretrain.levels import ImageLevel, Method, PatchLevel, refresh_normalisation
from workflow_scripts.lib.pretrain.loop import Schedule, train
from workflow_scripts.lib.study import seeds
from workflow_scripts.lib.study.errors import StudyError

PRECISIONS = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What config section ``pretrain`` says about one method at one level.

    Attributes
    ----------
    seed : int
        Of the study.
    name : str
        Of the method, as the config calls it.
    level : {'patch', 'image'}
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
            ``resident_gb``, ``augmentation`` (patch level) and the entry named like the level.
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
            method=Method(temperature=section["temperature"], **section["method"]),
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

    def refuse_trivial(self, scans: int, d_a: int) -> None:
        """Refuse a batch in which R-NCE has nothing to learn (see :func:`losses.refuse_trivial`)."""
        if self.method.objective == "rnce":
            d_a = d_a if self.components is None else min(d_a, self.components)
            losses.refuse_trivial(min(self.schedule.batch, scans), self.representation, d_a, f"pretrain.{self.level}")


def chunk_members(patches: Sequence[str], chunk: str, per_job: int) -> list[str]:
    """List the locations of a chunk: chunk "01" with 9 a job has the tenth to the eighteenth."""
    members = list(patches)[int(chunk) * per_job : (int(chunk) + 1) * per_job]
    if not members:
        raise StudyError(f"chunk '{chunk}' with {per_job} locations a job is empty: there are {len(patches)}")
    return members


def use_device(threads: int) -> torch.device:
    """Choose CUDA if there is one, else the CPU with so many threads and reproducible kernels."""
    torch.set_num_threads(threads)
    if torch.cuda.is_available():
        torch.backends.cudnn.benchmark = True  # fixed shapes within a run
        return torch.device("cuda")
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a debugging aid that costs time
    return torch.device("cpu")


def _fingerprint(values: np.ndarray | None) -> str | None:
    return None if values is None else hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def train_patch(
    settings: Settings,
    patch: str,
    shards: Sequence[str | Path],
    scans: pd.DataFrame,
    auxiliary: np.ndarray | None,
    checkpoint: Path,
    output: Path,
) -> pd.DataFrame:
    """Train the encoder of one location and write its weights and card.

    Parameters
    ----------
    settings : Settings
    patch : str
        Name of the location.
    shards : sequence of path
        See :class:`data.PatchSource`.
    scans : pandas.DataFrame
        scan_id, participant_id of the training scans.
    auxiliary : numpy.ndarray or None
        Scans x d_a, see :func:`data.auxiliary_features`; needed by R-NCE.
    checkpoint, output : path
        ``output`` is the ``.safetensors`` file.

    Returns
    -------
    pandas.DataFrame
        The log: one row an epoch.
    """
    device = _device()
    if auxiliary is not None and not auxiliary.shape[1]:
        raise StudyError(f"no auxiliary feature is assigned to location {patch}; R-NCE needs one at least")
    settings.refuse_trivial(len(scans), 0 if auxiliary is None else auxiliary.shape[1])
    source = data.PatchSource(shards, patch, scans["scan_id"].tolist(), device, settings.resident_bytes)
    keys = (settings.seed, settings.name, "patch", patch)
    torch.manual_seed(seeds.derive_seed(*keys, "weights"))
    level = PatchLevel(
        settings.method,
        source,
        auxiliary,
        settings.augmentation,
        settings.representation,
        settings.precision,
        settings.components,
    )
    identity = {**settings.identity, "patches": source.fingerprint(), "auxiliary": _fingerprint(auxiliary)}
    rows = train(level, level.step, len(source), settings.schedule, keys, device, checkpoint, identity)
    refresh_normalisation(level.encoder, source, settings.schedule.batch)
    card = {
        "input": {"location": patch, "grid": list(source.shape), "volume": source.contract.to_json()},
        "intensity": f"{source.contract.intensity}; standardisation is part of the network",
        **_card(settings, scans, rows),
    }
    weights.save_weights(level.encoder, output, card)
    return pd.DataFrame(rows)


def train_image(
    settings: Settings,
    tokens: np.ndarray,
    scans: pd.DataFrame,
    auxiliary: np.ndarray | None,
    covered: np.ndarray | None,
    checkpoint: Path,
    output: Path,
) -> pd.DataFrame:
    """Train the aggregator on tokens and write its weights and card.

    Parameters
    ----------
    settings, scans, checkpoint, output
        See :func:`train_patch`.
    tokens : numpy.ndarray
        Scans x locations x width, float32.
    auxiliary : numpy.ndarray or None
        Scans x d_a: all features that some location covers.
    covered : numpy.ndarray or None
        Locations x d_a, bool.

    Returns
    -------
    pandas.DataFrame
        The log: one row an epoch.
    """
    device = _device()
    settings.refuse_trivial(len(scans), 0 if auxiliary is None else auxiliary.shape[1])
    keys = (settings.seed, settings.name, "image", "all")
    torch.manual_seed(seeds.derive_seed(*keys, "weights"))
    level = ImageLevel(settings.method, tokens, auxiliary, covered, device, settings.components)
    identity = {**settings.identity, "tokens": _fingerprint(tokens), "auxiliary": _fingerprint(auxiliary)}
    identity.update(covered=_fingerprint(covered), scans=scans["scan_id"].tolist())
    rows = train(level, level.step, len(tokens), settings.schedule, keys, device, checkpoint, identity)
    card = {
        "input": {"tokens": list(tokens.shape[1:])},
        "intensity": "tokens as the patch encoders give them; standardisation is part of the network",
        **_card(settings, scans, rows),
    }
    weights.save_weights(level.aggregator, output, card)
    return pd.DataFrame(rows)


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _card(settings: Settings, scans: pd.DataFrame, rows: list[dict]) -> dict:
    return {
        "participants": weights.participant_hashes(scans["participant_id"]),
        "scans": len(scans),
        "seed": settings.seed,
        "metrics": rows[-1],
        "source": f"trained by this workflow, method {settings.name}",
        "method": dataclasses.asdict(settings.method),
    }
