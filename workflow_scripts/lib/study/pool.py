"""Work on the items of a batch in processes: an item that fails, or kills its process, costs itself alone."""

import logging
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failed:
    """What stands in place of a result.

    Attributes
    ----------
    reason : str
        One line for the table of excluded scans.
    details : str
        The traceback, for the log; empty if the process died.
    """

    reason: str
    details: str = ""


def _guarded(work: Callable[[Any], Any], item: Any) -> Any:
    """Do one item; an exception comes back as :class:`Failed` (its own class may not survive the way back)."""
    try:
        return work(item)
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0]
        return Failed(f"unexpected {type(error).__name__}: {first}".rstrip(": "), traceback.format_exc())


def _start_worker() -> None:
    # the terminal's interrupt goes to the parent alone, which then ends its workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Workers:
    """One process for each thread, so that a process that dies names its item."""

    def __init__(self) -> None:
        self._here = threading.local()
        self._all: list[ProcessPoolExecutor] = []

    def do(self, work: Callable[[Any], Any], item: Any) -> Any:
        if getattr(self._here, "pool", None) is None:
            # spawn: a fork of a process with ITK's or torch's threads can hang
            context = multiprocessing.get_context("spawn")
            self._here.pool = ProcessPoolExecutor(1, mp_context=context, initializer=_start_worker)
            self._all.append(self._here.pool)
        try:
            return self._here.pool.submit(_guarded, work, item).result()
        except BrokenProcessPool:
            self._here.pool = None
            return Failed("the process working on it died (out of memory, or a crash in a library)")

    def close(self) -> None:
        for pool in self._all:
            pool.shutdown(cancel_futures=True)


def run_each(
    work: Callable[[Any], Any], items: Sequence[Any], processes: int, name: Callable[[Any], str] = str
) -> list:
    """Do the work of every item, several at a time, and log how far it is.

    Parameters
    ----------
    work : callable
        Takes an item and returns its result; importable, since it runs in processes of its own with one thread each.
    items : sequence
        What :mod:`pickle` can hand to a process.
    processes : int
        How many at a time. Results do not depend on it.
    name : callable
        Names an item in the log.

    Returns
    -------
    list
        Results in the order of the items; :class:`Failed` where the work raised or its process died.
    """
    os.environ.update({"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
    workers, count, start = _Workers(), threading.Lock(), time.monotonic()
    done = 0

    def one(item: Any) -> Any:
        nonlocal done
        result = workers.do(work, item)
        with count:
            done += 1
            logger.info("%s: %d of %d, %.0f s", name(item), done, len(items), time.monotonic() - start)
        if isinstance(result, Failed):
            logger.warning("%s: %s\n%s", name(item), result.reason, result.details)
        return result

    try:
        with ThreadPoolExecutor(max(1, processes)) as threads:
            return list(threads.map(one, items))
    finally:
        workers.close()
