"""Every malformed input gives its own message, and the table in the docs says which."""

from pathlib import Path

import pytest

from tests.malformed.table import all_cases, render

DOCS = Path(__file__).resolve().parents[2] / ".docs" / "malformed_inputs.md"
CASES = all_cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.source}-{case.fault}".replace(" ", "-"))
def test_the_message_is_the_one_in_the_docs(case, tmp_path):
    assert case.provoke(tmp_path).replace(str(tmp_path), "{folder}") == case.message
    assert case.outcome in ("set aside", "refused", "ignored")


def test_the_docs_list_every_case_once():
    assert len(CASES) >= 60
    assert len({(case.source, case.fault) for case in CASES}) == len(CASES)
    assert DOCS.read_text() == render(CASES), "./run python -m tests.malformed.table > .docs/malformed_inputs.md"
