"""One fit: a sample and a setting in, validation and test scores out; kept on disk as soon as it is done."""

import contextlib
import dataclasses
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from workflow_scripts.lib.finetune import starts
from workflow_scripts.lib.finetune.level import FitLevel, auc_of
from workflow_scripts.lib.finetune.options import Options, Setting
from workflow_scripts.lib.finetune.resident import ResidentSource
from workflow_scripts.lib.finetune.samples import Sample
from workflow_scripts.lib.pretrain import watch
from workflow_scripts.lib.pretrain.checkpoint import identity_hash
from workflow_scripts.lib.pretrain.loop import Diverged, train
from workflow_scripts.lib.pretrain.runs import use_device
from workflow_scripts.lib.study import seeds
from workflow_scripts.lib.study.files import read_json, write_json

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Fit:
    """What one fit is.

    Attributes
    ----------
    sample : Sample
    setting : Setting
    key : str
        Hash of all that its result depends on; its files have this name.
    """

    sample: Sample
    setting: Setting
    key: str = ""

    @property
    def name(self) -> str:
        """For logs and messages."""
        return f"{self.sample.name}, {self.setting.parameters}"


@dataclasses.dataclass(frozen=True)
class Shared:
    """What all fits of a job share, in whichever process.

    Attributes
    ----------
    options : Options
    start : starts.Start
    sources : tuple of ResidentSource
    folder : path
        Of checkpoints and records; may be deleted at any time.
    """

    options: Options
    start: starts.Start
    sources: tuple[ResidentSource, ...]
    folder: Path

    def rows(self, sample: Sample) -> dict[str, np.ndarray]:
        """Find the scans of each set in the sources."""
        place = {scan: row for row, scan in enumerate(self.sources[0].scan_ids)}
        return {name: np.array([place[scan] for scan in scans]) for name, scans in sample.scans.items()}

    def key(self, sample: Sample, setting: Setting) -> str:
        """Hash all that a fit depends on; neither the job it is in nor the other fits are among it."""
        rows = self.rows(sample)
        said = {**self.options.identity, **self.start.identity, "parameters": setting.parameters}
        said.update(sample=[sample.task, sample.n, sample.repeat])
        for name, members in rows.items():
            said[name] = [source.digest(members) for source in self.sources]
            said[f"labels_{name}"] = sample.labels[name].tolist()
        return identity_hash(json.loads(json.dumps(said)))


def kept(shared: Shared, fit: Fit) -> dict | None:
    """Read the record of a fit that was done before, in this job or one that was killed; None without one."""
    try:
        return read_json(shared.folder / f"{fit.key}.json")
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def run_fit(shared: Shared, fit: Fit) -> dict:
    """Do a fit, from its checkpoint if there is one, and keep its record.

    Parameters
    ----------
    shared : Shared
    fit : Fit

    Returns
    -------
    dict
        ``epochs`` (that whose weights were kept, counted from 1), ``trained`` (epochs), ``validation_auc``,
        ``validation_loss``, ``test_auc``, ``scores`` (log odds of the test scans in the order of the sample),
        ``reason`` and ``seconds``. A fit that diverged has a reason and neither epochs nor scores.
    """
    checkpoint, begun = shared.folder / f"{fit.key}.safetensors", time.monotonic()
    try:
        record = {**_fit(shared, fit, checkpoint), "reason": ""}
    except Diverged as error:
        # the others go on: which settings diverge is what validation is for
        logger.warning("%s: %s", fit.name, error)
        record = failed(str(error))
    record["seconds"] = time.monotonic() - begun
    write_json(shared.folder / f"{fit.key}.json", record)
    checkpoint.unlink(missing_ok=True)
    return record


def use_one_thread() -> None:
    """Set up the device in a process of its own: one thread of a CPU, so that numbers are those of any other."""
    use_device(1)


def failed(reason: str) -> dict:
    """Make the record of a fit that gave nothing."""
    numbers = dict.fromkeys(("epochs", "trained", "validation_auc", "validation_loss", "test_auc"))
    return {**numbers, "scores": [], "reason": " ".join(reason.split()), "seconds": 0.0}


def _fit(shared: Shared, fit: Fit, checkpoint: Path) -> dict:
    options, sample, setting = shared.options, fit.sample, fit.setting
    keys = (options.seed, options.model, sample.task, f"n{sample.n}", f"repeat{sample.repeat}", setting.parameters)
    torch.manual_seed(seeds.derive_seed(*keys, "weights"))
    rows = shared.rows(sample)
    network = shared.start.make(setting.dropout)
    if not shared.start.pretrained:
        starts.set_intensity(network, shared.sources, rows["train"])
    level = FitLevel(options, network, shared.sources, rows, sample.labels)
    count, schedule = len(rows["train"]), options.schedule_of(setting)
    with _quiet():
        log = train(
            level,
            level.step,
            count,
            schedule,
            keys,
            level.device,
            checkpoint,
            {"fit": fit.key},
            validate=level.validate,
        )
    level.eval()
    chosen = next(row for row in log if row["chosen"])
    scores = level.score("test")
    auc = auc_of(sample.labels["test"], scores)
    return {
        "epochs": chosen["epoch"],
        "trained": log[-1]["epoch"],
        "validation_auc": chosen["valid_auc"],
        "validation_loss": chosen["valid_loss"],
        "test_auc": auc if np.isfinite(auc) else None,
        "scores": scores.tolist(),
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep a line for every epoch of hundreds of fits out of the log."""
    before = watch.logger.level
    watch.logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        watch.logger.setLevel(before)
