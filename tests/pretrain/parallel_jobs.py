"""What the processes of test_parallel do; run as a script, two processes that train slowly.

python -m tests.pretrain.parallel_jobs FOLDER
"""

import logging
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from workflow_scripts.lib.pretrain import losses, parallel
from workflow_scripts.lib.pretrain.loop import Schedule, train
from workflow_scripts.lib.study.errors import StudyError

CPU = torch.device("cpu")
SCANS, BATCH, GRID, WIDTH = 24, 12, 6, 4


def draws(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Views(nn.Module):
    """A small convolutional network with normalisations, trained on two fixed views of each scan."""

    def __init__(self, loss: str):
        super().__init__()
        torch.manual_seed(parallel.rank())  # a copy that differs must be given the weights of the first
        self.loss = loss
        maps = [nn.Conv3d(1, 6, 3, 2, 1, bias=False), nn.BatchNorm3d(6), nn.ELU(), nn.Flatten(), nn.Linear(162, WIDTH)]
        self.encoder = nn.Sequential(*maps)
        self.head = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.BatchNorm1d(WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH))
        self.volumes, self.auxiliary = draws(2, SCANS, 1, GRID, GRID, GRID, seed=1), draws(SCANS, 3, seed=2)
        self.pause = 0.0

    def step(self, rows, _):
        time.sleep(self.pause)
        h = self.encoder(self.volumes[:, rows].flatten(0, 1))
        if self.loss == "mean of own rows":  # no gathering: each process has the mean over its part
            loss = self.head(h).square().sum(dim=1).mean()
            return loss, {"own": loss.detach()}
        h1, h2 = (parallel.gather(view) for view in h.chunk(2))
        if self.loss == "nt_xent":
            return losses.nt_xent(self.head(h1), self.head(h2), 0.2), {"rows": float(len(h1))}
        a = parallel.gather(self.auxiliary[rows])
        return losses.r_nce(h1, h2, a, a, temperature=0.2, stacked=True, projector=self.head)


LOSSES = ("nt_xent", "r_nce", "mean of own rows")


def fit(loss: str, folder: Path, epochs: int = 3, pause: float = 0.0, **changes):
    model = Views(loss)
    model.pause = pause
    options = {"optimizer": "sgd", "ema": 0.5, "clip": 1.0, **changes}
    schedule = Schedule(epochs=epochs, batch=BATCH, learning_rate=0.02, warmup=0, **options)
    rows = train(model, model.step, SCANS, schedule, (1, "m"), CPU, folder / f"{loss}.safetensors", {})
    return rows, {name: tensor.clone() for name, tensor in model.state_dict().items()}


def normed(part):
    """Take rows of different processes through normalisations and back; give what is compared."""
    found = {}
    for kind, shape in ((nn.BatchNorm1d, (8, 3)), (nn.BatchNorm2d, (8, 3, 4, 5)), (nn.BatchNorm3d, (8, 3, 4, 5, 2))):
        for momentum in (0.1, None):
            norm = kind(3, momentum=momentum)
            norm.weight.data, norm.bias.data = draws(3, seed=3), draws(3, seed=4)
            keys = list(norm.state_dict())
            parallel.synchronise_norms(norm)
            assert list(norm.state_dict()) == keys
            x = part(3 + 2 * draws(*shape)).requires_grad_()
            weights = part(draws(*shape, seed=5))
            y = norm(x)
            (norm(y) * weights).sum().backward()  # twice, to see the running statistics of two batches
            parallel.average_gradients(norm)
            norm.eval()
            results = (
                y,
                x.grad,
                norm.weight.grad * parallel.world_size(),
                norm.running_mean,
                norm.running_var,
                norm(x),
            )
            gathered = [parallel.gather(t.detach()) if len(t) != 3 else t.detach() for t in results]
            parallel.restore_norms(norm)
            assert type(norm) is kind and not {"own_class", "process_group"} & set(vars(norm))
            found[f"{kind.__name__} {momentum}"] = [t.clone() for t in gathered]
    return found


def gathered():
    """Gather what is not floating point or not contiguous, and look at generators and flags."""
    rank = parallel.rank()
    shared, own = (torch.Generator().manual_seed(3) for _ in range(2))
    own = parallel.local_generator(own)
    unlike = nn.Linear(2, 1)
    unlike.weight.grad = None if rank else torch.ones(1, 2)
    parallel.average_gradients(unlike)
    refused = ""
    try:
        parallel.require_same(rank, "the checkpoint x")
    except StudyError as error:
        refused = str(error)
    return {
        "rows": parallel.gather(torch.arange(3) + 10 * rank),
        "flags": parallel.gather(torch.tensor([rank == 0])),
        "matrix": parallel.gather((torch.arange(6.0).reshape(2, 3) + 10 * rank).T),
        "share": parallel.gather(torch.from_numpy(parallel.share(np.arange(10)))),
        "same": parallel.gather(torch.rand(2, generator=shared)),
        "different": parallel.gather(torch.rand(2, generator=own)),
        "agreed": [parallel.agreed(rank == 1), parallel.agreed(False)],
        "average": parallel.average({"a": torch.tensor(float(rank)), "b": 0.1}, CPU),
        "gradient": (unlike.weight.grad, unlike.bias.grad),
        "refused": refused,
    }


def everything(folder: Path):
    """Do all that needs no failure, in one start of two processes, which takes seconds."""
    runs = {loss: fit(loss, folder) for loss in LOSSES}
    return {"runs": runs, "norms": normed(parallel.share), "gathered": gathered()}


def fail(kind: str):
    """Fail in the second process alone, while the first waits for it."""
    if parallel.rank() == 1:
        raise StudyError("batch: found 3: expected 4") if kind == "study" else RuntimeError("broken")
    parallel.barrier()


def go_on(folder: Path, pause: float):
    """Train for many epochs, with a checkpoint when asked to stop and at the end."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)
    return fit("nt_xent", folder, 60, pause, checkpoint_epochs=60)


if __name__ == "__main__":
    parallel.launch(go_on, 2, Path(sys.argv[1]), 0.1)
