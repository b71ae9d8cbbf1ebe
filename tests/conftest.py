"""Processes that share the tests share the cores: each computes on one, and the longest files are begun first."""

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
# files that take minutes, the longest first: one of them begun last would leave the other processes without work
LONGEST = [
    "workflow/test_study.py",
    "workflow/test_truth.py",
    "imaging/test_real_scans.py",
    "workflow/test_mixed.py",
    "workflow/test_genes.py",
    "imaging/test_backends_meshnet.py",
    "workflow/test_refusals.py",
    "workflow/test_real.py",
    "slurm/test_slurm.py",
    "workflow/test_images.py",
    "workflow/test_open.py",
    "workflow/test_tools.py",
    "imaging/test_registration.py",
    "pretrain/test_volume_runs.py",
    "workflow/test_genes_real.py",
]

if "PYTEST_XDIST_WORKER" in os.environ:
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")

    def pytest_collection_modifyitems(items):
        """Put the longest files first; files are dealt to processes in this order, and the others keep theirs."""
        places = {HERE / name: place for place, name in enumerate(LONGEST)}
        items.sort(key=lambda item: places.get(item.path, len(places)))
