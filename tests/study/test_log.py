"""What a rule's script leaves in its log and on the terminal."""

import logging
import warnings
from types import SimpleNamespace

import pytest

from workflow_scripts.lib.study import log
from workflow_scripts.lib.study.errors import LeakageError, StudyError


@pytest.fixture(autouse=True)
def keep_logging():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(False)
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def job(tmp_path):
    path = tmp_path / "logs" / "probe" / "rnce.log"
    return SimpleNamespace(log=[str(path)], rule="probe", wildcards={"representation": "rnce"}, threads=2)


def run_and_read(main, job):
    log.run(main, job)
    return open(job.log[0]).read()


def fail_and_read(error, job):
    def main(snakemake):
        logging.info("before")
        raise error

    with pytest.raises(SystemExit) as stop:
        log.run(main, job)
    assert stop.value.code == 1
    return open(job.log[0]).read()


def test_messages_and_warnings_reach_the_log(job, capfd):
    def main(snakemake):
        assert snakemake is job
        logging.getLogger("lib").info("forty scans")
        warnings.warn("thin ice", stacklevel=1)

    text = run_and_read(main, job)
    assert "wildcards {'representation': 'rnce'}, threads 2" in text
    assert "INFO lib: forty scans" in text
    assert "thin ice" in text
    assert text.rstrip().endswith("done")
    assert "forty scans" not in capfd.readouterr().err


def test_an_uncaught_error_reaches_the_log_with_its_traceback(job, capfd):
    text = fail_and_read(ZeroDivisionError("by zero"), job)
    assert "before" in text
    assert "Traceback (most recent call last)" in text
    assert "ZeroDivisionError: by zero" in text
    assert "done" not in text
    shown = capfd.readouterr().err
    assert f"probe: ZeroDivisionError: by zero\n(details: {job.log[0]})" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("kind", [StudyError, LeakageError])
def test_a_fault_of_the_user_is_shown_as_a_sentence(job, capfd, kind):
    text = fail_and_read(kind("participants.tsv, line 3: found 430"), job)
    assert "Traceback" in text
    shown = capfd.readouterr().err
    assert shown.startswith("probe: participants.tsv, line 3: found 430\n")
    assert "Traceback" not in shown
    assert "Error" not in shown


def test_a_rerun_starts_a_new_log(job):
    fail_and_read(ValueError("first"), job)
    assert "first" not in run_and_read(lambda snakemake: None, job)
