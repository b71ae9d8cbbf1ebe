import os
import signal

import pytest

from tests.finetune import small_fits
from tests.finetune.packed_jobs import nothing, work
from workflow_scripts.lib.finetune import packed
from workflow_scripts.lib.study.errors import LeakageError, StudyError


def test_one_process_works_in_order():
    done = []
    packed.work_off(pytest.fail, work, 1, [1, 2, 3], 1, lambda *one: done.append(one))
    assert done == [(0, (2, os.getpid())), (1, (3, os.getpid())), (2, (4, os.getpid()))]
    packed.work_off(pytest.fail, work, 1, [], 4, pytest.fail)


@pytest.mark.slow
def test_the_error_of_a_process_is_the_job_s():
    done = []
    with pytest.raises(LeakageError, match="participant 'p1' is everywhere"):
        packed.work_off(nothing, work, 1, [5, "leak"], 2, lambda *one: done.append(one))
    assert all(one[1][0] == 6 and one[1][1] != os.getpid() for one in done)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("item", "error", "said"),
    [
        ("die", RuntimeError, r"a process died while working on 1 \(signal SIGKILL\): out of memory"),
        ("stop", SystemExit, "143"),
    ],
)
def test_however_a_process_ends_the_job_says_so(item, error, said):
    with pytest.raises(error, match=f"(?s){said}"):
        packed.work_off(nothing, work, 1, [5, item], 2, lambda *_: None)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_too_little_shared_memory_is_told_before(monkeypatch, tmp_path):
    packed.check_shared_memory(1.0, 2)
    with pytest.raises(StudyError, match="fits_at_once to 1"):
        packed.check_shared_memory(1e30, 2)
    monkeypatch.setattr(packed, "SHARED_MEMORY", tmp_path / "none")
    packed.check_shared_memory(1e30, 2)


def test_fits_of_several_processes_are_refused_without_shared_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(packed, "check_shared_memory", lambda size, processes: pytest.fail(f"{size:.0f} {processes}"))
    table = small_fits.samples([0])
    with pytest.raises(pytest.fail.Exception, match=f"^{len(table) * 32**3} 2$"):
        small_fits.fit(tmp_path, table, fits_at_once=2)
