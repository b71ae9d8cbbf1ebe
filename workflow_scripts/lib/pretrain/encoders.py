"""Encoders of whole volumes, trained here or brought along, and the representation tables that they give."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from workflow_scripts.lib.imaging.contract import VolumeContract, check_same, from_json
from workflow_scripts.lib.models import external, imported
from workflow_scripts.lib.models.weights import load_any
from workflow_scripts.lib.pretrain.data import PatchSource
from workflow_scripts.lib.pretrain.levels import encode
from workflow_scripts.lib.pretrain.tokens import name_columns
from workflow_scripts.lib.study.errors import StudyError

logger = logging.getLogger(__name__)
KEYS = ("scan_id", "participant_id")
VOLUMES = ("whole", "cube")


@dataclasses.dataclass(frozen=True)
class Encoder:
    """A frozen network and what it must be given.

    Attributes
    ----------
    network : torch.nn.Module
        Batch x 1 x D x H x W -> batch x width, by ``features`` if it has that.
    volume : {'whole', 'cube'}
    rule : str
        Of the intensities, see :class:`data.PatchSource`.
    flip : bool
        Whether left and right are swapped before.
    name : str
        Of the file or entry, for messages.
    contract : VolumeContract or None
        Of the volumes that it was trained on, if known.
    grid : tuple of int or None
        Voxels that it was trained on, if known.
    """

    network: nn.Module
    volume: str
    rule: str
    flip: bool
    name: str
    contract: VolumeContract | None = None
    grid: tuple[int, ...] | None = None

    @classmethod
    def from_card(cls, network: nn.Module, card: dict, name: str | Path) -> "Encoder":
        """Make one of weights of this workflow.

        Raises
        ------
        StudyError
            If the card is of a network that reads something else than whole volumes.
        """
        given = card["input"]
        if given.get("location") not in VOLUMES:
            reads = given.get("location", "tokens")
            raise StudyError(
                f"{name}: the card says {card['architecture']['name']}, which reads {reads}, not whole volumes. "
                "Name weights of a network that reads whole volumes."
            )
        contract = from_json(given["volume"], str(name))
        return cls(network, given["location"], given["rule"], False, str(name), contract, tuple(given["grid"]))


def load_own(entry: dict, name: str) -> tuple[Encoder, dict | None]:
    """Load an encoder of the user's.

    Parameters
    ----------
    entry : dict
        Of ``representations``: one of weights, sfcn, torchscript, exported, entry_point, and how volumes
        reach it.
    name : str
        Of the entry, for messages.

    Returns
    -------
    Encoder
    dict or None
        The card of weights of this workflow.
    """
    if entry.get("weights"):
        network, card = load_any(entry["weights"])
        return Encoder.from_card(network, card, entry["weights"]), card
    if entry.get("sfcn"):
        network, said = imported.import_sfcn(entry["sfcn"])
        logger.info("%s: %s", entry["sfcn"], said)
    else:
        source = next(entry[key] for key in ("torchscript", "exported", "entry_point") if entry.get(key))
        network = external.load_encoder(source, entry["arguments"] if entry.get("entry_point") else None)
    return Encoder(network, entry["volume"], entry["intensity"], entry["flip"], name), None


def embed_scans(
    encoder: Encoder, shards: Sequence[str | Path], included: pd.DataFrame, device: torch.device, prefix: str
) -> pd.DataFrame:
    """Encode the volumes of all included scans.

    Parameters
    ----------
    encoder : Encoder
    shards : sequence of path
        Of rule ``extract_volumes``.
    included : pandas.DataFrame
        scan_id, participant_id.
    device : torch.device
    prefix : str
        Of the column names.

    Returns
    -------
    pandas.DataFrame
        Schema ``representation``.

    Raises
    ------
    StudyError
        If the volumes are not what the encoder was trained on, or its numbers are not finite or no table.
    """
    scans = included.sort_values("scan_id", ignore_index=True)
    # read as a stream: each volume is used once
    source = PatchSource(shards, encoder.volume, scans["scan_id"].tolist(), device, 0, rule=encoder.rule)
    if encoder.contract is not None:
        check_same(source.contract, encoder.contract, f"volumes for {encoder.name}")
    if encoder.grid not in (None, tuple(source.shape)):
        raise StudyError(
            f"{encoder.name} was trained on volumes of {encoder.grid} voxels; these have {tuple(source.shape)}. "
            "Use grid: spacing_mm of its training."
        )
    network = encoder.network.to(device)
    values = encode(network, source, batch=8, flip=encoder.flip)
    if values.ndim != 2 or not pd.notna(values).all():
        raise StudyError(
            f"{encoder.name}: an encoder gives finite numbers, scans x width; found shape {values.shape}"
            f"{'' if values.ndim != 2 else ' with NaN'}. Check intensity, volume and the network."
        )
    return scans[list(KEYS)].join(name_columns(values, prefix))


def own_table(table: pd.DataFrame, included: pd.DataFrame, name: str) -> pd.DataFrame:
    """Check a table of embeddings and keep the included scans; which are missing is logged.

    Parameters
    ----------
    table : pandas.DataFrame
        scan_id, or participant_id for people with one scan, and numbers.
    included : pandas.DataFrame
        scan_id, participant_id.
    name : str
        Of the file, for messages.

    Returns
    -------
    pandas.DataFrame
        Schema ``representation``, in the order of scan_id.

    Raises
    ------
    StudyError
        If keys are missing or repeated, a column is no number, or no included scan is there.
    """
    key = next((key for key in KEYS if key in table), None)
    if key is None:
        raise StudyError(
            f"{name}: found columns {', '.join(map(str, table.columns[:5]))}, expected scan_id among them."
        )
    table = table.astype({key: "str"})
    if table[key].duplicated().any():
        raise StudyError(
            f"{name}: {key} '{table[key][table[key].duplicated()].iloc[0]}' stands twice. Keep one row a scan."
        )
    values = table.drop(columns=[column for column in KEYS if column in table])
    text = [column for column in values if not pd.api.types.is_numeric_dtype(values[column])]
    if text or values.shape[1] == 0:
        what = f"column '{text[0]}' is no number" if text else "no column of numbers"
        raise StudyError(f"{name}: {what}. Beside {key}, a table of embeddings has columns of numbers only.")
    scans = included.sort_values("scan_id", ignore_index=True)[list(KEYS)]
    values.columns = [str(column) for column in values.columns]
    joined = scans.merge(values.assign(**{key: table[key]}), on=key, how="left", validate="many_to_one")
    there = joined[list(values.columns)].notna().all(axis=1)
    if not there.any():
        raise StudyError(f"{name}: none of its {len(table)} rows is an included scan, e.g. '{scans[key].iloc[0]}'.")
    unknown = table.loc[~table[key].isin(scans[key]), key]
    if len(unknown):
        logger.warning("%s: %d rows are of no included scan, the first is '%s'", name, len(unknown), unknown.iloc[0])
    logger.info(
        "%s: %d of %d included scans; comparisons use those that all representations have",
        name,
        there.sum(),
        len(there),
    )
    return joined[there].reset_index(drop=True)
