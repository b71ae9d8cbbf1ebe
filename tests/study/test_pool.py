"""Work in processes: order, and failures that cost one item."""

import functools
import logging
import os
import signal

import pytest

from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.pool import Failed, run_each


def work(item, factor=1):
    if item == "raise":
        raise StudyError("no good\nsecond line")
    if item == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "exit":
        raise MemoryError
    return item * factor


def who(item):
    return os.getpid()


@pytest.mark.parametrize("processes", [1, 2])
def test_bad_items_cost_themselves_alone(processes, caplog):
    items = [1, "raise", 2, "die", 3, "exit", 4, 5]
    with caplog.at_level(logging.INFO):
        results = run_each(functools.partial(work, factor=10), items, processes)
    assert [result for result in results if not isinstance(result, Failed)] == [10, 20, 30, 40, 50]
    assert [type(result) is Failed for result in results] == [isinstance(item, str) for item in items]
    assert results[1].reason == "unexpected StudyError: no good"
    assert "raise StudyError" in results[1].details
    assert "died" in results[3].reason
    assert results[5].reason == "unexpected MemoryError"
    assert "8 of 8" in caplog.text


def test_work_happens_in_that_many_other_processes():
    used = set(run_each(who, range(6), 2))
    assert os.getpid() not in used
    assert 1 <= len(used) <= 2


def test_nothing_to_do_is_fine():
    assert run_each(work, [], 2) == []
