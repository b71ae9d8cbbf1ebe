"""Phantom brains that several tests of imaging look at; each is made once."""

import numpy as np
import pytest

from workflow_scripts.lib.imaging.backends import embedded
from workflow_scripts.lib.phantom.anatomy import load_anatomy
from workflow_scripts.lib.phantom.people import SCANNERS
from workflow_scripts.lib.phantom.render import Factors, render

SETTINGS = {"spacing_mm": 3, "n4_iterations": [15, 15], "atlas_spacing_mm": 4, "syn_iterations": [10, 2]}


@pytest.fixture(scope="session")
def settings():
    return SETTINGS


@pytest.fixture(scope="session")
def phantom_brain():
    """Give a stripped phantom scan, stored as PIR, and its truth."""
    generators = np.random.default_rng(1), np.random.default_rng(2)
    return render(load_anatomy(4.0), Factors(65, 0.0, 0.2), SCANNERS["gamma"], 3.0, *generators)


@pytest.fixture(scope="session")
def preprocessed(phantom_brain):
    return embedded.run(phantom_brain[0], "brain", SETTINGS)
