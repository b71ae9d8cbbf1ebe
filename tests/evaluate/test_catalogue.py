"""The catalogue of tests and the page that shows it."""

from pathlib import Path

from workflow_scripts.lib.evaluate import catalogue

PAGE = Path(__file__).resolve().parents[2] / ".docs" / "tests.md"


def rows_of(page: str) -> list[list[str]]:
    """Read the first table of a page in Markdown: its cells without the heads."""
    lines = [line for line in page.splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_page_shows_the_catalogue():
    assert rows_of(PAGE.read_text()) == catalogue.table().to_numpy().tolist()


def test_every_test_says_what_it_is_conditional_on_and_when_it_holds():
    table = catalogue.table()
    assert list(table) == ["name", "title", "question", "conditional_on", "valid", "not_valid", "reference"]
    assert table["name"].is_unique
    assert (table.map(len) > 0).all(axis=None)
    assert not table.map(lambda text: "|" in text).any(axis=None)
    named = {"sign_flip", "unpaired", "pool_corrected_t", "nadeau_bengio_t", "delong", "swap", "mcnemar", "mixed_model"}
    assert named <= set(table["name"])
