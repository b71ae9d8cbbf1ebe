"""Work off a list, several items at a time, in processes that use the same device and the same data.

One small network leaves a large GPU idle most of the time: it waits for the host between kernels, and for the loss
after each step. Several processes fill these gaps. Each takes the next item as soon as it is done, so none waits for
another.
"""

import logging
import os
import shutil
import signal
import traceback
from collections.abc import Callable, Iterable, Sequence
from multiprocessing import connection
from pathlib import Path

from torch import multiprocessing

from workflow_scripts.lib.pretrain.processes import GRACE, STOPPED, stop_flag
from workflow_scripts.lib.study import errors
from workflow_scripts.lib.study.errors import StudyError

SHARED_MEMORY = Path("/dev/shm")
NAMED = {one.__name__: one for one in (errors.StudyError, errors.LeakageError)}
logger = logging.getLogger(__name__)


def work_off(
    start: Callable[[], object],
    work: Callable[[object, object], object],
    shared: object,
    items: Sequence,
    processes: int,
    done: Callable[[int, object], None],
) -> None:
    """Do all items, here or in so many new processes.

    Parameters
    ----------
    start : callable
        What each new process does first, without arguments (set up its device); importable, as is ``work``.
    work : callable
        ``work(shared, item)``; its results must not depend on the order.
    shared : object
        For all items. Its tensors are not copied: processes use the same memory, of the host or of the GPU.
    items : sequence
    processes : int
        1 for this process alone.
    done : callable
        ``done(number, result)``, in this process, as soon as an item is finished.

    Raises
    ------
    StudyError
        Of a process, with its message, or if the shared memory is too small.
    RuntimeError
        With the traceback of the process that failed first; the others are ended. Or if one died without a word.
    SystemExit
        With status 143 after SIGTERM: it is passed on, and processes have a minute to write their checkpoints.
    """
    processes = min(processes, len(items))
    if processes < 2:
        for number, item in enumerate(items):
            done(number, work(shared, item))
        return
    # spawn: CUDA does not survive a fork, nor do torch's threads
    context = multiprocessing.get_context("spawn")
    running = []
    with stop_flag() as stop:
        try:
            for _ in range(processes):
                here, there = context.Pipe()
                one = context.Process(target=_serve, args=(there, start, work, shared), daemon=True)
                one.start()
                there.close()
                running.append((here, one))
            _hand_out(dict(running), items, done, stop.is_set)
        finally:
            _end([one for _, one in running])


def _hand_out(waiting: dict, items: Sequence, done: Callable, asked_to_stop: Callable[[], bool]) -> None:
    """Give each process an item whenever it asks for one, until all are done."""
    todo, at = iter(enumerate(items)), {}
    while waiting:
        if asked_to_stop():
            logger.warning("asked to stop: processes write their checkpoints")
            raise SystemExit(STOPPED)
        for pipe in connection.wait(list(waiting), timeout=1.0):
            try:
                kind, content = pipe.recv()
            except (EOFError, ConnectionResetError):
                _mourn(waiting[pipe], items, at.get(pipe))
            if kind == "error":
                name, text, trace = content
                raise NAMED[name](text) if name in NAMED else RuntimeError(f"{name} in a process:\n{trace}")
            if kind == "result":
                done(at[pipe], content)
            at[pipe], item = next(todo, (None, None))
            if at[pipe] is None:
                pipe.send(None)
                del waiting[pipe]
            else:
                pipe.send((item,))


def _mourn(process: multiprocessing.Process, items: Sequence, number: int | None) -> None:
    """Say that a process is gone, and what it worked on."""
    process.join(GRACE)
    if process.exitcode == STOPPED:  # it was asked to stop, as this one may be in a moment
        raise SystemExit(STOPPED)
    what = "it started" if number is None else f"working on {getattr(items[number], 'name', number)}"
    code = process.exitcode or 0
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"status {code}"
    raise RuntimeError(
        f"a process died while {what} ({how}): out of memory, or a crash in a library. Lower fits_at_once or batch."
    )


def _end(processes: Iterable) -> None:
    """Ask processes to end, which lets a training write its checkpoint, and then end them."""
    for one in processes:
        one.join(0.2)  # most are about to end by themselves
        if one.is_alive():
            one.terminate()
    for one in processes:
        one.join(GRACE)
        if one.is_alive():
            one.kill()
            one.join()


def _serve(pipe, start: Callable, work: Callable, shared: object) -> None:
    """What each process does: ask, work, answer, until there is nothing left."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's interrupt is the parent's, which then ends this one
    try:
        start()
        message = ("ready", None)
        while True:
            pipe.send(message)
            order = pipe.recv()
            if order is None:
                return
            message = ("result", work(shared, *order))
    except SystemExit:
        raise
    except (EOFError, BrokenPipeError):  # the parent is gone
        os._exit(1)
    except BaseException as error:
        pipe.send(("error", (type(error).__name__, str(error), traceback.format_exc())))


def check_shared_memory(size: float, processes: int) -> None:
    """Refuse data that several processes of a CPU cannot share.

    Parameters
    ----------
    size : float
        Bytes.
    processes : int
        For the message.

    Raises
    ------
    StudyError
        If the system's shared memory is smaller.
    """
    if not SHARED_MEMORY.exists():
        return
    free = shutil.disk_usage(SHARED_MEMORY).free
    if size > free:
        raise StudyError(
            f"{processes} fits at once share {size / 1e6:.0f} MB of volumes, but {SHARED_MEMORY} has "
            f"{free / 1e6:.0f} MB left. Set finetune.network.fits_at_once to 1, or give the machine (the container) "
            "more shared memory."
        )
