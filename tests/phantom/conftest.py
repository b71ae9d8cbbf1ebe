"""The phantom's base anatomy on a coarse grid, made once."""

import pytest

from workflow_scripts.lib.phantom.anatomy import load_anatomy


@pytest.fixture(scope="session")
def anatomy():
    return load_anatomy(4.0)
