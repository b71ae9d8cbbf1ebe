"""Processes: how several are started that train together, and how one is asked to stop."""

import contextlib
import json
import logging
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import distributed
from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from workflow_scripts.lib.study.errors import StudyError

# as much as a cluster commonly leaves between SIGTERM and SIGKILL, and again: time to write a checkpoint
GRACE = 60
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
STOPPED = 128 + signal.SIGTERM


@contextlib.contextmanager
def stop_flag() -> Iterator[threading.Event]:
    """Give an event that SIGTERM (preemption, time limit) sets, instead of ending the process at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may set handlers; others are stopped by whoever started them
        return
    previous = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, previous)


def started_outside() -> bool:
    """Whether ``torchrun`` (or whoever sets its variables) has started this process as one of several."""
    return "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", 1)) > 1


def start() -> None:
    """Join the other processes if this is one of several: over NCCL with a GPU for each, else over gloo."""
    if distributed.is_initialized() or not started_outside():
        return
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())
        torch.cuda.set_device(device)
        distributed.init_process_group("nccl", device_id=device)
    else:
        distributed.init_process_group("gloo")


def launch(function: Callable, processes: int, *args: object) -> object:
    """Call a function in so many new processes on this machine, as ``torchrun`` does.

    Processes that ``torchrun`` itself has started call it as they are, as does a single one.

    Parameters
    ----------
    function : callable
        Of a module that processes can import.
    processes : int
    *args
        Its arguments; they must survive pickling.

    Returns
    -------
    object
        What it returns in the first process.

    Raises
    ------
    StudyError
        If a process raised one, with its message; if there are fewer GPUs than processes.
    SystemExit
        With status 143, after SIGTERM: it is passed on, and processes have a minute to write a checkpoint.
    RuntimeError
        If processes failed otherwise, with their tracebacks.
    """
    if processes < 2 or started_outside():
        start()
        return function(*args)
    gpus = torch.cuda.device_count()
    if 0 < gpus < processes:
        raise StudyError(f"{processes} processes were asked for, but there are {gpus} GPUs: each needs its own")
    with tempfile.TemporaryDirectory() as folder, _handlers_kept(), _quiet():
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            run_id=f"brainrep-{os.getpid()}",
            rdzv_backend="c10d",  # with this end point: a free port of this machine, no network
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,
            shutdown_timeout=GRACE,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
        )
        try:
            return elastic_launch(config, _work)(_log_files(), function, args)[0]
        except SignalException as error:
            raise SystemExit(128 + error.sigval) from None
        except ChildFailedError as error:
            raise _translate(error, Path(folder)) from None


def _work(log_files: Sequence[str], function: Callable, args: tuple) -> object:
    """What each process does; its uncaught errors are written down by torch."""
    start()
    if distributed.get_rank() == 0 and log_files:
        logging.basicConfig(
            level=logging.INFO,
            format="%(asctime)s %(levelname)s %(name)s: %(message)s",
            handlers=[logging.FileHandler(file) for file in log_files],
        )
    result = function(*args)
    distributed.barrier()
    distributed.destroy_process_group()
    return result if os.environ["RANK"] == "0" else None


def _log_files() -> list[str]:
    """List the files to which this process logs; the first of the others goes on in them."""
    return [h.baseFilename for h in logging.getLogger().handlers if isinstance(h, logging.FileHandler)]


@contextlib.contextmanager
def _handlers_kept() -> Iterator[None]:
    """Put signal handlers back: the launcher sets its own and leaves them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the launcher's own account of a failure out of the log: what it says is raised, in fewer words."""
    launcher = logging.getLogger("torch.distributed.elastic")
    before = launcher.level
    launcher.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        launcher.setLevel(before)


def _translate(error: Exception, folder: Path) -> BaseException:
    """Say what went wrong in the processes: what a user can mend comes first, since it brings the others down."""
    errors = [json.loads(file.read_text())["message"] for file in sorted(folder.rglob("error.json"))]
    errors.sort(key=lambda one: one["extraInfo"]["timestamp"])
    for one in errors:
        kind, _, text = one["message"].partition(": ")
        if kind in ("StudyError", "LeakageError"):
            return StudyError(text)
    if any(failure.exitcode == STOPPED for failure in error.failures.values()):
        return SystemExit(STOPPED)
    # all of them: those that lost a companion may have written theirs in the same second
    return RuntimeError("\n".join(one["extraInfo"]["py_callstack"] for one in errors) or str(error))
