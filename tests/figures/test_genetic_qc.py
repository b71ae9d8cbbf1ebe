import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.figures import genetic_qc, style

STEPS = pd.DataFrame(
    [
        ["start", "a", 110, 11760, 0, 0],
        ["alleles", "b", 110, 11760, 0, 0],
        ["exclude_withdrawn.txt", "c", 108, 11760, 2, 0],
        ["sex", "d", 104, 11760, 4, 0],
        ["autosomes", "e", 104, 7260, 0, 4500],
        ["relatives", "f", 96, 7260, 8, 0],
        ["variant_missingness", "g", 96, 7218, 0, 42],
        ["frequency", "h", 96, 5310, 0, 1908],
        ["duplicates", "i", 96, 5295, 0, 15],
        ["hwe", "j", 96, 5275, 0, 20],
        ["person_missingness", "k", 94, 5275, 2, 0],
    ],
    columns=["step", "filter", "people", "variants", "people_removed", "variants_removed"],
)


@pytest.fixture
def components():
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(94, 4)), columns=[f"PC{place}" for place in range(1, 5)])
    return table.assign(participant_id=[f"p{row}" for row in range(94)])


EIGENVALUES = pd.DataFrame({"component": ["PC1", "PC2", "PC3", "PC4"], "eigenvalue": [3.1, 1.6, 1.5, 1.4]})


def test_the_table_holds_counts_and_components_and_no_ids(components):
    table = genetic_qc.tidy(STEPS, components, EIGENVALUES)
    assert table.groupby("panel").size().to_dict() == {"people": 11, "variants": 11, "scatter": 94, "scree": 4}
    assert not table.isin(components["participant_id"].tolist()).any(axis=None)


def test_every_step_shows_what_it_left_and_removed(components):
    style.apply()
    figure = genetic_qc.draw(genetic_qc.tidy(STEPS, components, EIGENVALUES))
    people, variants, scatter, scree = figure.axes
    assert [bar.get_width() for bar in people.patches] == STEPS["people"].tolist()
    assert [text.get_text() for text in variants.texts][4] == "7,260  (−4,500)"
    assert [label.get_text() for label in people.get_yticklabels()][2] == "Named in withdrawn.txt"
    assert len(scatter.collections[0].get_offsets()) == 94
    assert scree.lines[0].get_ydata().tolist() == EIGENVALUES["eigenvalue"].tolist()


def test_without_eigenvalues_or_components_their_panels_are_left_out(components):
    unknown = EIGENVALUES.assign(eigenvalue=np.nan)
    assert len(genetic_qc.draw(genetic_qc.tidy(STEPS, components, unknown)).axes) == 3
    none = genetic_qc.tidy(STEPS, components[["participant_id"]], EIGENVALUES.iloc[:0])
    assert len(genetic_qc.draw(none).axes) == 2
