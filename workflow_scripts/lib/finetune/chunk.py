"""All fits of a job: nine settings for each sample, chosen by validation, scored on test scans."""

import dataclasses
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from workflow_scripts.lib.evaluate.curve_linear import FITS, SCORES
from workflow_scripts.lib.finetune import packed
from workflow_scripts.lib.finetune.fits import Fit, Shared, failed, kept, run_fit, use_one_thread
from workflow_scripts.lib.finetune.options import Options
from workflow_scripts.lib.finetune.resident import ResidentSource
from workflow_scripts.lib.finetune.samples import Sample, participants, scan_ids, take_samples
from workflow_scripts.lib.finetune.starts import Start

logger = logging.getLogger(__name__)


def fit_chunk(
    samples: pd.DataFrame,
    options: Options,
    start: Start,
    shards: Sequence[str | Path],
    checkpoints: Path,
    device: torch.device,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Finetune a network on each sample with each setting and score the test scans with the best of them.

    The epoch is chosen by the AUC of the validation scans (between equals by their cross entropy, then the earlier),
    and so is the setting (then the first). Volumes are loaded once. Fits that an interrupted job has finished are read
    from ``checkpoints``, and the one in progress goes on where it was. On a CPU each fit has one thread. So numbers
    depend neither on which samples are given together, nor on their order, nor on ``fits_at_once``.

    Parameters
    ----------
    samples : pandas.DataFrame
        Schema ``curve_samples``: one or more samples, of binary tasks.
    options : Options
    start : Start
    shards : sequence of path
        Folders of the store with the arrays that ``start`` reads.
    checkpoints : path
        Folder; the caller removes it once the results are written.
    device : torch.device

    Returns
    -------
    fits : pandas.DataFrame
        Schema ``curve_fits``; where a fit failed, validation_auc is missing and ``reason`` says why.
    scores : pandas.DataFrame
        Schema ``curve_scores``: log odds of the test scans by the chosen fit; none of a sample whose fits all failed.

    Raises
    ------
    LeakageError
        If a participant stands in two sets of a sample, or trained the weights.
    StudyError
        If the samples, the volumes or the weights do not fit together.
    """
    drawn = take_samples(samples)
    start.refuse_seen(participants(drawn))
    begun = time.monotonic()
    sources = tuple(ResidentSource(shards, name, scan_ids(drawn), device, start.rule) for name in start.arrays)
    start.check_sources(sources)
    size = sum(source.megabytes for source in sources)
    logger.info("%d scans on %s, %.0f MB, %.1f s", len(sources[0]), device, size, time.monotonic() - begun)
    if device.type == "cpu" and options.fits_at_once > 1:
        packed.check_shared_memory(size * 1e6, options.fits_at_once)
    shared = Shared(options, start, sources, Path(checkpoints))
    shared.folder.mkdir(parents=True, exist_ok=True)
    fits = [Fit(sample, setting, shared.key(sample, setting)) for sample in drawn for setting in options.settings]
    return _tables(options, drawn, _records(shared, fits))


def _records(shared: Shared, fits: list[Fit]) -> dict[tuple[str, int], dict]:
    """Do what is not done yet; return the record of every fit."""
    found = [failed(fit.sample.lacks) if fit.sample.lacks else kept(shared, fit) for fit in fits]
    todo = [number for number, record in enumerate(found) if record is None]
    if len(todo) < len(fits):
        logger.info("%d of %d fits were done before or are impossible", len(fits) - len(todo), len(fits))
    begun = time.monotonic()

    def done(place: int, record: dict) -> None:
        number = todo[place]
        found[number] = record
        count = sum(one is not None for one in found)
        auc = record["validation_auc"]
        said = f"failed: {record['reason']}" if auc is None else f"validation AUC {auc:.3f}, epoch {record['epochs']}"
        rate = (time.monotonic() - begun) / (count - len(fits) + len(todo))
        line = "%s %s: fit %d of %d, %.1f s (%.1f s a fit so far), %s"
        logger.info(line, shared.options.model, fits[number].name, count, len(fits), record["seconds"], rate, said)

    # other processes need no cards, which may name tens of thousands of participants
    lean = dataclasses.replace(shared, start=dataclasses.replace(shared.start, cards={}))
    items, together = [fits[number] for number in todo], shared.options.fits_at_once
    packed.work_off(use_one_thread, run_fit, lean, items, together, done)
    return {(fit.sample.name, fit.setting.number): record for fit, record in zip(fits, found, strict=True)}


def choose(records: Sequence[dict]) -> int | None:
    """Return the place of the best record by validation AUC, then loss, then order; None if all failed."""
    there = [place for place, record in enumerate(records) if record["validation_auc"] is not None]
    if not there:
        return None
    return min(there, key=lambda place: (-records[place]["validation_auc"], records[place]["validation_loss"], place))


def _tables(options: Options, drawn: Sequence[Sample], records: dict) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lay the records out in both tables."""
    rows, scored = [], [pd.DataFrame(columns=SCORES)]
    for sample in drawn:
        mine = [records[sample.name, setting.number] for setting in options.settings]
        best = choose(mine)
        same = {"task": sample.task, "model": options.model, "n": sample.n, "repeat": sample.repeat}
        for setting, record in zip(options.settings, mine, strict=True):
            numbers = {name: record[name] for name in ("validation_auc", "test_auc")}
            numbers.update(epochs=record["trained"], reason=record["reason"] or None)
            chosen = setting.number == best
            rows.append(
                {**same, "setting": setting.number, "parameters": setting.parameters, **numbers, "chosen": chosen}
            )
        if best is None:
            logger.warning("%s %s is missing: no setting is left (%s)", options.model, sample.name, mine[0]["reason"])
            continue
        who = {"scan_id": sample.scans["test"], "participant_id": sample.people["test"]}
        y, score = sample.labels["test"].astype(np.float64), np.array(mine[best]["scores"])
        scored.append(pd.DataFrame({**same, **who, "y": y, "score": score}))
    fits = pd.DataFrame(rows, columns=FITS).astype({"epochs": "Int64", "validation_auc": float, "test_auc": float})
    return fits, pd.concat(scored[1:] or scored, ignore_index=True)
