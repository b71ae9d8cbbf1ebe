"""Fits of a grid: a cell, a split and a seed in; measures, scores and curves out, kept on disk as soon as done."""

import contextlib
import copy
import json
import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from workflow_scripts.lib.evaluate.image_scores import MEASURES, measure
from workflow_scripts.lib.models import heads, unfreezing, weights
from workflow_scripts.lib.models.classifier import Classifier
from workflow_scripts.lib.pretrain import watch
from workflow_scripts.lib.pretrain.loop import Diverged, train
from workflow_scripts.lib.radiology.cache import Frozen
from workflow_scripts.lib.radiology.cells import KEYS
from workflow_scripts.lib.radiology.job import Fit, Job, all_names
from workflow_scripts.lib.radiology.level import CellLevel, Task, schedule_of
from workflow_scripts.lib.radiology.plan import check_structures, without_numbers
from workflow_scripts.lib.radiology.splits import SETS, leaked_share
from workflow_scripts.lib.study import ids, seeds
from workflow_scripts.lib.study.files import write_json

logger = logging.getLogger(__name__)

SCORED = ("validation", "test")
HEAD_KEYS = ("filters", "kernel", "ratio", "dropout", "faithful")
CURVES = ("epoch", "learning_rate", "loss", "valid_auc", "valid_accuracy", "valid_loss", "chosen")
PLACE = ("cell", "split", "seed")
COUNTS = (
    "images_train",
    "images_validation",
    "images_test",
    "patients_test",
    "parameters",
    "trainable",
    "chosen_epoch",
)
MEASURED = tuple(f"{name}_{key}" for name in SETS for key in MEASURES)
FITS = ("grid", "cell", *KEYS, "split", "seed", *COUNTS, "cached", "leaks", *MEASURED, "reason")
SCORES = (*PLACE, "set", "image_id", "y", "positive", "score", "predicted")
CURVE_COLUMNS = (*PLACE, *CURVES)
# the same whichever cells are together, though a column may be empty
TYPES = {
    **dict.fromkeys(("filters", "kernel", *COUNTS), "Int64"),
    **dict.fromkeys(("ratio", "dropout", "momentum", "beta", "leaks", *MEASURED), "float64"),
    **dict.fromkeys(("nesterov", "cached"), "boolean"),
    **dict.fromkeys(("preprocessing", "reason"), "object"),
}


def run_fit(job: Job, fit: Fit) -> dict:
    """Do a fit, from its checkpoint if there is one, and keep its record.

    Returns
    -------
    dict
        ``row`` (numbers of schema ``grid_fits``), ``scores`` (set -> lists of score and predicted class), ``curves``
        and ``reason``. A fit that diverged has a reason and no measures.
    """
    checkpoint, begun = job.folder / f"{fit.key}.checkpoint.safetensors", time.monotonic()
    try:
        record = {**_fit(job, fit, checkpoint), "reason": None}
    except Diverged as error:
        logger.warning("%s: %s", fit.name, error)
        record = {"row": {}, "scores": {}, "curves": [], "reason": " ".join(str(error).split())}
    record["seconds"] = time.monotonic() - begun
    write_json(job.folder / f"{fit.key}.json", record)
    checkpoint.unlink(missing_ok=True)
    return record


def make_level(job: Job, fit: Fit) -> CellLevel:
    """Build the classifier of a fit with a fresh head, and all that it learns from."""
    cell = fit.cell
    data, backbone = job.datasets[cell["dataset"]], job.backbone(cell["weights"], cell["backbone"])
    keys = fit_keys(job, fit)
    torch.manual_seed(seeds.derive_seed(*keys, "weights"))
    head = {key: cell[key] for key in HEAD_KEYS if cell[key] is not None}
    classifier = Classifier(copy.deepcopy(backbone), {"name": cell["head"], "classes": data.classes, **head})
    classifier.to(job.device)
    plan = unfreezing.plan(classifier.backbone, cell["structure"])
    unfreezing.apply(classifier, plan, cell["batch_norm"])
    first = plan.first if cell["batch_norm"] == "frozen" else 0
    frozen = Frozen(
        job.pictures(cell["dataset"]),
        backbone,
        first,
        job.rule(cell),
        cell["epochs"] if cell["augment"] else 0,
        job.cache,
        (cell["weights"], cell["backbone"]),
        cell["precision"],
    )
    rows = job.rows(cell["dataset"], cell["grouping"], fit.split)
    task = Task(data.y, rows, data.classes, data.positive, cell["balance"], cell["augment"], keys)
    return CellLevel(classifier, frozen, task)


def fit_keys(job: Job, fit: Fit) -> tuple:
    """Name the draws of a fit: by its settings, so that the same settings in another grid draw the same."""
    settings = json.dumps({key: fit.cell[key] for key in KEYS}, sort_keys=True)
    return (job.options.seed, "fit_cells", settings, f"split{fit.split}", f"seed{fit.seed}")


def _fit(job: Job, fit: Fit, checkpoint: Path) -> dict:
    level, cell = make_level(job, fit), fit.cell
    rows = level.task.rows
    with _quiet():
        log = train(
            level,
            level.step,
            len(rows["train"]),
            schedule_of(cell),
            level.task.keys,
            level.device,
            checkpoint,
            {"fit": fit.key},
            validate=level.validate,
            tell=level.tell,
        )
    level.eval()
    found = {name: level.probabilities(name) for name in SETS}
    measures = {name: measure(level.task.y[rows[name]], found[name], level.task.positive) for name in SETS}
    groups = job.groups(cell["dataset"])
    row = {
        **{f"images_{name}": len(rows[name]) for name in SETS},
        "patients_test": len(set(groups[rows["test"]])),
        "parameters": heads.count_parameters(level.classifier.head),
        "trainable": heads.count_parameters(level.classifier, trainable=True),
        "chosen_epoch": next(one["epoch"] for one in log if one["chosen"]),
        "cached": level.frozen.cached,
        "leaks": leaked_share(rows, groups),
        **{f"{name}_{key}": measures[name][key] for name in SETS for key in MEASURES},
    }
    if job.options.keep_weights:
        _keep_weights(job, fit, level, row)
    positive = level.task.positive
    scores = {name: [found[name][:, positive].tolist(), found[name].argmax(1).tolist()] for name in SCORED}
    return {"row": row, "scores": scores, "curves": [{name: one[name] for name in CURVES} for one in log]}


def _keep_weights(job: Job, fit: Fit, level: CellLevel, row: dict) -> None:
    data, rows = job.datasets[fit.cell["dataset"]], level.task.rows
    learned = np.concatenate([rows["train"], rows["validation"]])
    seen = ids.participant_hashes(all_names(data, learned))
    card = {
        "input": {"size": data.size, "channels": 3, "dataset": data.name},
        "intensity": f"pixels 0 to 255, prepared by rule {level.frozen.rule}",
        "preprocessing": level.frozen.rule,
        "participants": sorted({*seen, *job.card(*_pair(fit.cell))["participants"]}),
        "seed": job.options.seed,
        "metrics": {key: value for key, value in row.items() if key.startswith(("validation_", "chosen"))},
        "source": f"trained by this workflow, grid {job.options.grid}",
        "cell": fit.cell,
        "split": fit.split,
        "fit_seed": fit.seed,
    }
    weights.save_weights(level.classifier, job.weights_file(fit), card)


def _pair(cell: Mapping) -> tuple[str, str]:
    return cell["weights"], cell["backbone"]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep a line for every epoch of hundreds of fits out of the log."""
    before = watch.logger.level
    watch.logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        watch.logger.setLevel(before)


def fit_cells(
    job: Job, cells: Sequence[dict], splits: int, repeats: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, Path]]:
    """Do all fits of a job: each cell in each split with each seed.

    Fits that an interrupted job has finished are read from its folder, and the one in progress goes on where it was.
    Numbers depend neither on which cells are given together nor on their order: on a CPU to the last bit, on a GPU up
    to rounding.

    Parameters
    ----------
    job : Job
    cells : sequence of dict
        See :func:`cells.chunk_cells`.
    splits, repeats : int
        Splits 0 to ``splits`` - 1, seeds 0 to ``repeats`` - 1.

    Returns
    -------
    fits : pandas.DataFrame
        Schema ``grid_fits``; a fit that failed has a reason and no measures.
    scores : pandas.DataFrame
        Schema ``grid_scores``.
    curves : pandas.DataFrame
        Schema ``grid_curves``.
    files : dict of str to path
        Name -> weights file of each fit, if weights are kept; in the folder of the job.

    Raises
    ------
    LeakageError
        If a group stands in two sets of a split by groups, or patients of a dataset trained the weights.
    StudyError
        If datasets, splits, weights and cells do not fit together, or a structure of any cell is unknown, frees nothing
        new, or frees what another one does: before the first fit.
    """
    check_structures(cells, lambda cell: without_numbers(job.card(*_pair(cell))["architecture"]), job.options.grid)
    for cell in cells:
        job.refuse_seen(cell)
    todo = [job.fit(cell, split, seed) for cell in cells for split in range(splits) for seed in range(repeats)]
    warned: set[tuple] = set()
    records, begun, done = [], time.monotonic(), 0
    for number, fit in enumerate(todo):
        record = job.kept(fit)
        if record is None:
            record, done = run_fit(job, fit), done + 1
            _say(fit, record, f"{number + 1} of {len(todo)}", (time.monotonic() - begun) / done, warned)
        records.append(record)
    if done < len(todo):
        logger.info("%d of %d fits were done before", len(todo) - done, len(todo))
    kept = job.options.keep_weights
    files = {
        f"{fit.cell['cell']}.split{fit.split}.seed{fit.seed}": job.weights_file(fit)
        for fit, record in zip(todo, records, strict=True)
        if kept and not record["reason"]
    }
    return *_tables(job, todo, records), files


def _say(fit: Fit, record: dict, place: str, seconds: float, warned: set[tuple]) -> None:
    """Log a fit, and once for each head and number of images if it outweighs the data."""
    row = record["row"]
    if not row:
        logger.info("fit %s, %s: failed", place, fit.name)
        return
    line = "fit %s, %s: epoch %d, AUC %.3f validation, %.3f test, %.1f s (%.1f s a fit so far)"
    numbers = row["chosen_epoch"], row["validation_auc"], row["test_auc"], record["seconds"], seconds
    logger.info(line, place, fit.name, *numbers)
    said = heads.weigh(row["parameters"], row["images_train"])
    known = (fit.cell["dataset"], fit.cell["backbone"], fit.cell["head"], row["parameters"])
    if said and known not in warned:
        warned.add(known)
        logger.warning("%s on %s for %s: %s", fit.cell["head"], fit.cell["backbone"], fit.cell["dataset"], said)


def _tables(job: Job, fits: Sequence[Fit], records: Sequence[dict]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Lay the records out in three tables."""
    rows, scored, curves = [], [], []
    for fit, record in zip(fits, records, strict=True):
        same = {"cell": fit.cell["cell"], "split": fit.split, "seed": fit.seed}
        settings = {key: fit.cell[key] for key in KEYS}
        rows.append(
            {"grid": job.options.grid, "cell": same["cell"], **settings, **same, **record["row"]}
            | {"reason": record["reason"]}
        )
        data = job.datasets[fit.cell["dataset"]]
        members = job.rows(fit.cell["dataset"], fit.cell["grouping"], fit.split)
        for name in SCORED if record["scores"] else ():
            score, predicted = record["scores"][name]
            y = data.y[members[name]]
            who = {"set": name, "image_id": data.images["image_id"].to_numpy()[members[name]], "y": y}
            what = {"positive": y == data.positive, "score": score, "predicted": predicted}
            scored.append(pd.DataFrame({**same, **who, **what}))
        curves += [{**same, **one} for one in record["curves"]]
    table = pd.DataFrame(rows, columns=FITS).astype(TYPES)
    empty = pd.DataFrame(columns=SCORES)
    return table, pd.concat(scored, ignore_index=True) if scored else empty, pd.DataFrame(curves, columns=CURVE_COLUMNS)


def publish(files: Mapping[str, Path], folder: str | Path) -> None:
    """Copy weights and cards of fits into a folder under their names; the folder is made, and empty without any."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in files.items():
        shutil.copyfile(file, folder / f"{name}.safetensors")
        shutil.copyfile(weights.card_path(file), folder / f"{name}.json")
