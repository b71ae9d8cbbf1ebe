"""What grids of fits will cost, from the config and counts of images alone: nothing is computed, no image is read."""

import functools
import json
from collections.abc import Callable, Iterable, Mapping

import pandas as pd
import torch
from torch import nn

from workflow_scripts.lib.models import heads, registry, unfreezing
from workflow_scripts.lib.models.backbones import spec
from workflow_scripts.lib.radiology import cells
from workflow_scripts.lib.study.errors import StudyError

FLOAT = 4  # bytes
STATES = {"adam": 2, "adamw": 2, "radam": 2, "sgd": 1}  # numbers an optimiser keeps for a parameter
COLUMNS = (
    "grid",
    "cell",
    "dataset",
    "backbone",
    "head",
    "structure",
    "images_train",
    "parameters",
    "trainable",
    "memory_mb",
    "cached_mb",
    "cached",
    "outweighs",
)


def plan_grid(section: Mapping, grid: str, images: Mapping[str, tuple[int, int]]) -> pd.DataFrame:
    """Work out what each cell of a grid trains and keeps in memory.

    Parameters
    ----------
    section : mapping
        Config section ``radiology``.
    grid : str
    images : mapping of str to (int, int)
        Dataset -> number of images and of classes.

    Returns
    -------
    pandas.DataFrame
        One row a cell: ``parameters`` (head), ``trainable`` (all that learn), ``memory_mb`` (all weights and the best
        epoch's copy of them, and for what learns gradients and optimiser state; without activations), ``cached_mb``
        (features of frozen layers, if they were kept), ``cached``, ``outweighs`` (whether the head has more parameters
        than :func:`heads.weigh` finds sound).

    Raises
    ------
    StudyError
        If a structure frees nothing new, or what another one of the grid does, or a backbone or head is impossible.
    """
    splits, rows = section.get("splits") or {}, []
    share = 1 - splits.get("validation", 0.15) - splits.get("test", 0.10)
    limit = section.get("cache_mb", 4000.0)
    known, members = _Sizes(section), cells.expand(section, grid)
    check_structures(members, config_backbones(section), grid)
    for cell in members:
        count, classes = images[cell["dataset"]]
        train = round(share * count)
        backbone, plan = known.backbone(cell["backbone"]), known.plan(cell["backbone"], cell["structure"])
        head = known.head(cell, backbone.features, classes)
        learning = plan.parameters + head
        everything = heads.count_parameters(backbone) + head
        memory = FLOAT * (2 * everything + learning * (1 + STATES[cell["optimizer"]]))
        views = 1 + (cell["epochs"] if cell["augment"] else 0)
        size = FLOAT * count * views * known.width(cell["backbone"], plan.first, section["size"]) / 1e6
        may = cell["batch_norm"] == "frozen" and plan.first > 0
        row = {"grid": grid, "images_train": train, "parameters": head, "trainable": learning}
        row |= {"memory_mb": memory / 1e6, "cached_mb": size if may else 0.0, "cached": may and size <= limit}
        row |= {key: cell[key] for key in ("cell", "dataset", "backbone", "head", "structure")}
        rows.append({**row, "outweighs": heads.weigh(head, train) is not None})
    return pd.DataFrame(rows)[list(COLUMNS)]


def check_structures(members: Iterable[Mapping], backbone_of: Callable[[Mapping], nn.Module], grid: str) -> None:
    """Refuse structures that are unknown or free nothing new, and two of a grid that free the same.

    Parameters
    ----------
    members : iterable of mapping
        Cells.
    backbone_of : callable
        Gives the backbone of a cell (see :func:`without_numbers`).
    grid : str
        For messages.

    Raises
    ------
    StudyError
    """
    one_of_each = {(cell["backbone"], cell["structure"]): cell for cell in members}
    found: dict[tuple, str] = {}
    for (backbone, structure), cell in one_of_each.items():
        where = f"radiology.grids.{grid}, backbone {backbone}"
        try:
            groups = unfreezing.plan(backbone_of(cell), structure).groups
        except StudyError as error:
            raise StudyError(f"{where}: {error}") from error
        other = found.setdefault((backbone, groups), structure)
        if other != structure:
            raise StudyError(
                f"{where}: structures '{other}' and '{structure}' free the same layers ({', '.join(groups)}). Leave "
                "one of them out."
            )


def config_backbones(section: Mapping) -> Callable[[Mapping], nn.Module]:
    """Give a function that builds the backbone of a cell as config section ``radiology`` says."""
    return lambda cell: without_numbers(spec(cell["backbone"], section.get("backbones")))


def without_numbers(architecture: Mapping) -> nn.Module:
    """Build a backbone on the device meta, which holds shapes only; the same one again for the same architecture."""
    return _without_numbers(json.dumps(architecture, sort_keys=True))


@functools.lru_cache
def _without_numbers(architecture: str) -> nn.Module:
    with torch.device("meta"):
        return registry.build(json.loads(architecture)).eval()


class _Sizes:
    """Networks without numbers (device meta), so that counting the largest head takes no memory."""

    def __init__(self, section: Mapping):
        self.section, self._heads, self._plans, self._widths = section, {}, {}, {}

    def backbone(self, name: str) -> nn.Module:
        return without_numbers(spec(name, self.section.get("backbones")))

    def plan(self, name: str, structure: str) -> unfreezing.Plan:
        if (name, structure) not in self._plans:
            self._plans[name, structure] = unfreezing.plan(self.backbone(name), structure)
        return self._plans[name, structure]

    def head(self, cell: Mapping, features: int, classes: int) -> int:
        settings = {key: cell[key] for key in ("filters", "kernel", "ratio", "dropout", "faithful")}
        known = (cell["head"], features, classes, *settings.values())
        if known not in self._heads:
            with torch.device("meta"):
                self._heads[known] = heads.count_parameters(
                    heads.make_head(cell["head"], features, classes, **settings)
                )
        return self._heads[known]

    @torch.no_grad()
    def width(self, name: str, first: int, side: int) -> int:
        """How many numbers the group ``first`` reads of an image of this side."""
        if (name, first) not in self._widths:
            read = self.backbone(name).run(torch.empty(1, 3, side, side, device="meta"), 0, first)
            self._widths[name, first] = read.numel()
        return self._widths[name, first]


def tell(section: Mapping, plans: Mapping[str, pd.DataFrame]) -> str:
    """Write the plans of grids as a text for the terminal."""
    lines = ["Plan of the grids of 2D transfer: counted, nothing of it has been run"]
    for grid, table in plans.items():
        rule = section["grids"][grid]
        splits, seeds = rule.get("splits", 1), rule.get("seeds", 1)
        jobs = len(cells.chunks(section, grid))
        lines += ["", f"Grid {grid}: {rule.get('title') or grid}"]
        lines.append(
            f"  {_count(len(table), 'cell')} x {_count(splits, 'split')} x {_count(seeds, 'seed')} = "
            f"{_count(len(table) * splits * seeds, 'fit')} in {_count(jobs, 'job')}"
        )
        dear = table.loc[table["memory_mb"].idxmax()]
        lines.append(
            f"  dearest cell {dear['cell']}: {dear['trainable']:,} parameters learn ({dear['parameters']:,} of the "
            f"head), {dear['memory_mb']:,.0f} MB with gradients, optimiser and best epoch, without activations"
        )
        lines += _tell_cache(table, section.get("cache_mb", 4000.0))
        lines += _tell_weight(table)
        if rule.get("keep_weights"):
            size = FLOAT * splits * seeds * sum(_kept(section, row) for _, row in table.iterrows()) / 1e6
            lines.append(f"  weights are kept: {size:,.0f} MB on disk")
    return "\n".join(lines) + "\n"


def _kept(section: Mapping, row: pd.Series) -> int:
    return heads.count_parameters(_Sizes(section).backbone(row["backbone"])) + row["parameters"]


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _tell_cache(table: pd.DataFrame, limit: float) -> list[str]:
    """Say of which cells frozen features are kept, and why not of others."""
    kept, lines = table[table["cached"]], []
    if len(kept):
        most = kept["cached_mb"].max()
        lines.append(f"  features of frozen layers are kept in {_count(len(kept), 'cell')}, up to {most:,.0f} MB a job")
    large = table[~table["cached"] & (table["cached_mb"] > 0)]
    if len(large):
        need = large["cached_mb"].min()
        said = f"they need {need:,.0f} MB or more, radiology.cache_mb allows {limit:,.0f}"
        lines.append(f"  not in {_count(len(large), 'cell')}: {said}")
    moving = table[table["cached_mb"] == 0]
    if len(moving):
        lines.append(f"  not in {_count(len(moving), 'cell')}: all layers learn, or batch normalisation adapts")
    return lines


def _tell_weight(table: pd.DataFrame) -> list[str]:
    """Name the heads that outweigh their data, largest first."""
    heavy = table[table["outweighs"]].drop_duplicates(["dataset", "backbone", "head", "parameters"])
    if heavy.empty:
        return []
    heavy = heavy.sort_values("parameters", ascending=False, kind="stable")
    lines = [f"  {_count(int(table['outweighs'].sum()), 'cell')} have heads of over 1,000 parameters an image:"]
    for _, row in heavy.head(5).iterrows():
        place = f"{row['head']} on {row['backbone']} for {row['dataset']}"
        lines.append(f"    {place}: {row['parameters']:,} parameters, {_count(row['images_train'], 'training image')}")
    return lines + ([f"    and {len(heavy) - 5} more"] if len(heavy) > 5 else [])
