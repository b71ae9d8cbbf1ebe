"""Work for processes of their own; apart from the tests, so that they load little."""

import os
import signal
import time

from workflow_scripts.lib.study.errors import LeakageError


def nothing():
    """Nothing is to be set up."""


def work(shared, item):
    """Do as the item says."""
    if item == "leak":
        raise LeakageError("participant 'p1' is everywhere")
    if item == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "stop":
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(60)
    return shared + item, os.getpid()
