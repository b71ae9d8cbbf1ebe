"""Time CNN fits of a learning curve: the library's beside the straightforward loop, which shares nothing between fits.

    ./run python -m tests.benchmarks.learning_curve [--quick] [--spacing 1] [--n 100] [--repeats 1] [--at-once 4]

Both do the same fits on the same samples: an SFCN with one output from random weights, nine settings, the same epochs,
batches, shift and optimiser; the AUC of the validation scans chooses the epoch, and the test scans are scored. The
straightforward loop is what one writes first: for each fit it reads the scans of the sample from compressed NIfTI files
into float32 tensors on the device and trains in float32, contiguous, one fit after the other. The library reads the
8-bit store once, trains with channels last, in bfloat16 on a GPU, several fits at once, and writes checkpoints and
records, which the other does not. Seconds are those of everything from files to scores, over the number of fits; the
straightforward loop has done one fit before, while the start of the library's processes counts.

On a GPU: 160 x 192 x 160, batches of 8, n = 100, 10 epochs, 4 fits at once. On a CPU: 40 x 48 x 40, narrow networks.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from tests.benchmarks.read_store import make_study
from tests.benchmarks.sfcn_throughput import own_device, timed
from workflow_scripts.lib.finetune import chunk, starts
from workflow_scripts.lib.finetune.level import auc_of
from workflow_scripts.lib.finetune.options import Options
from workflow_scripts.lib.imaging.regions import volume_slices
from workflow_scripts.lib.models.sfcn import SFCN
from workflow_scripts.lib.pretrain.runs import use_device
from workflow_scripts.lib.pretrain.volumes import SHIFT, sfcn_size, shift

SETS = ("train", "validation", "test")


def draw(ids: Sequence[str], n: int, repeats: int) -> pd.DataFrame:
    """Draw samples: n to train, a fifth of it to choose and to test; every second one is a patient, by chance."""
    fifth, parts = max(2, n // 5), []
    for repeat in range(repeats):
        order = np.random.default_rng([1, repeat]).permutation(len(ids))[: n + 2 * fifth]
        table = pd.DataFrame({"scan_id": [ids[place] for place in order], "repeat": repeat})
        table["set"] = ["train"] * n + ["validation"] * fifth + ["test"] * fifth
        parts.append(table.assign(y=np.arange(len(table)) % 2))
    table = pd.concat(parts, ignore_index=True)
    return table.assign(task="made_up", n=n, participant_id=table["scan_id"])


class Plain:
    """The straightforward loop.

    Parameters
    ----------
    files : dict of str to path
        Scan -> compressed NIfTI file.
    spacing : float
    options : Options
    width : int or None
        Of the SFCN.
    device : torch.device
    """

    def __init__(self, files: dict[str, Path], spacing: float, options: Options, width: int | None, device):
        self.files, self.box, self.options = files, volume_slices(spacing)["whole"], options
        self.width, self.device = width, device

    def read(self, members: pd.DataFrame) -> TensorDataset:
        """Read volumes and labels of a set onto the device."""
        volumes = [np.asarray(nib.load(self.files[scan]).dataobj, np.float32)[self.box] for scan in members["scan_id"]]
        labels = torch.from_numpy(members["y"].to_numpy(np.float32))
        return TensorDataset(torch.from_numpy(np.stack(volumes))[:, None].to(self.device), labels.to(self.device))

    @torch.no_grad()
    def score(self, network: torch.nn.Module, data: TensorDataset) -> tuple[float, np.ndarray]:
        """Score a set; AUC and log odds."""
        network.eval()
        parts = [network(volumes)[:, 0] for volumes, _ in DataLoader(data, self.options.schedule.batch)]
        scores = torch.cat(parts).double().cpu().numpy()
        network.train()
        return auc_of(data.tensors[1].cpu().numpy(), scores), scores

    def fit(self, sample: pd.DataFrame, setting) -> np.ndarray:
        """Do one fit from the files; return the scores of the test scans."""
        schedule = self.options.schedule_of(setting)
        data = {name: self.read(sample[sample["set"] == name]) for name in SETS}
        volumes = data["train"].tensors[0]
        network = SFCN(1, dropout=setting.dropout, **sfcn_size(self.width)).to(self.device)
        network.set_intensity(volumes.mean().item(), volumes.std().item())
        optimizer = torch.optim.AdamW(network.parameters(), lr=schedule.learning_rate, weight_decay=1e-4)
        draws, best, kept = torch.Generator(self.device).manual_seed(1), -1.0, None
        for _ in range(schedule.epochs):
            for batch, labels in DataLoader(data["train"], schedule.batch, shuffle=True, drop_last=True):
                optimizer.zero_grad()
                logits = network(shift(batch, SHIFT, draws))[:, 0]
                functional.binary_cross_entropy_with_logits(logits, labels).backward()
                optimizer.step()
            auc, _ = self.score(network, data["validation"])
            if auc > best:
                best, kept = auc, {name: value.clone() for name, value in network.state_dict().items()}
        network.load_state_dict(kept)
        return self.score(network, data["test"])[1]


def compare(given: argparse.Namespace, device: torch.device) -> dict:
    """Time both routes; return the row of the table."""
    cuda = device.type == "cuda"
    section = {
        "epochs": given.epochs,
        "batch": given.batch,
        "learning_rate": [0.01, 0.001, 0.0001][: given.rates],
        "dropout": [0.0, 0.3, 0.5][: given.rates],
        "precision": "bfloat16" if cuda else "float32",
        "fits_at_once": given.at_once,
        "checkpoint_epochs": given.epochs,
    }
    options = Options.from_config(section, "sfcn", 1)
    start = starts.untrained("multitask", "whole", 64, given.width, given.spacing)
    scans = (given.n + 2 * max(2, given.n // 5)) * given.repeats  # samples overlap less than in a study of few people
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files, shards, ids = make_study(folder, scans, given.spacing)
        table, one = draw(ids, given.n, given.repeats), options.settings[:1]
        plain = Plain(dict(zip(ids, files, strict=True)), given.spacing, options, given.width, device)
        samples = [sample for _, sample in table.groupby("repeat")]

        def straight(settings):
            return [plain.fit(sample, setting) for sample in samples for setting in settings]

        def library(which: str):
            return chunk.fit_chunk(table, options, start, shards, folder / which, device)

        straight(one)
        fits = len(samples) * len(options.settings)
        found = []
        seconds = {"straightforward": timed(device, lambda: straight(options.settings))}
        seconds["library"] = timed(device, lambda: found.append(library("work")))
    if found[0][0]["validation_auc"].isna().any():
        raise SystemExit("a fit of the library failed: the routes do not do the same work")
    row = {"grid": starts.shapes(["whole"], given.spacing)[0], "device": device.type, "fits": fits}
    for clock, name in (("wall", "ratio"), ("cpu", "cpu_ratio")):
        row[name] = seconds["straightforward"][clock] / seconds["library"][clock]
    return row | {name: measured["wall"] / fits for name, measured in seconds.items()}


def main(arguments: list[str] | None = None) -> dict:
    """Run the comparison and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two fits of one step: whether it runs")
    parser.add_argument("--device", help="cuda or cpu")
    parser.add_argument("--spacing", type=float, help="mm: 1 on a GPU, 4 on a CPU")
    parser.add_argument("--n", type=int, help="training scans: 100 on a GPU, 20 on a CPU")
    parser.add_argument("--epochs", type=int, help="10 on a GPU, 3 on a CPU")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=1, help="samples")
    parser.add_argument("--rates", type=int, default=3, help="so many learning rates and dropouts: 3 for 9 settings")
    parser.add_argument("--at-once", type=int, help="fits at once: 4 on a GPU, the cores of a CPU")
    parser.add_argument("--width", type=int, help="of the SFCN: the published 32 on a GPU, 4 on a CPU")
    given = parser.parse_args(arguments)
    device = own_device(given.device)
    cuda = device.type == "cuda"
    usual = {"spacing": 1 if cuda else 4, "n": 100 if cuda else 20, "epochs": 10 if cuda else 3}
    usual |= {"at_once": 4 if cuda else len(os.sched_getaffinity(0)), "width": None if cuda else 4}
    if given.quick:
        usual, given.rates, given.batch = {"spacing": 4, "n": 4, "epochs": 1, "at_once": 1, "width": 1}, 1, 4
    for name, value in usual.items():
        setattr(given, name, value if getattr(given, name) is None else getattr(given, name))
    use_device(1)
    row = compare(given, device)
    print(f"SFCN, {' x '.join(map(str, row['grid']))}, {row['device']}, n {given.n}, {given.epochs} epochs")
    print(f"{'route':20}{'s a fit':>10}{'ratio':>8}{'cpu ratio':>11}")
    print(f"{'straightforward':20}{row['straightforward']:10.2f}{1:8.2f}{1:11.2f}")
    print(f"{f'library, {given.at_once} at once':20}{row['library']:10.2f}{row['ratio']:8.2f}{row['cpu_ratio']:11.2f}")
    return row


if __name__ == "__main__":
    main()
