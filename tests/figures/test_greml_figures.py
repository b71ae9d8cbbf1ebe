from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.figures import cell_type_enrichment as cell_script
from workflow_scripts.figures import heritability as heritability_script
from workflow_scripts.lib.figures import cell_type_enrichment, heritability
from workflow_scripts.lib.study import tables

TRAITS = ["rnce", "features", "simclr"]


def four_tables():
    shares = pd.DataFrame({"trait": TRAITS, "h2": [0.42, 0.40, 0.37], "se": 0.04, "people": 2351, "variants": 40000})
    shares = shares.assign(lower=shares["h2"] - 0.08, upper=shares["h2"] + 0.08, p=1e-9)
    greml = shares.assign(method="greml", lrt=50.0, genetic_variance=2.0, residual_variance=3.0, note=None)
    ldsc = shares.assign(h2=[0.55, 0.51, np.nan], lambda_gc=1.4, mean_chi2=1.5, intercept=1.0, intercept_se=0.02)
    ldsc.loc[2, ["se", "lower", "upper"]] = np.nan
    ldsc = ldsc.assign(ratio=0.0, ratio_se=0.1, note=None)
    names = [("rnce", "features"), ("rnce", "simclr"), ("features", "simclr")]
    pairs = pd.DataFrame(names, columns=["trait_a", "trait_b"]).assign(rg=[0.9, 0.3, -0.2], se=0.05)
    pairs = pairs.assign(lower=pairs["rg"] - 0.1, upper=pairs["rg"] + 0.1, note=None)
    greml_rg = pairs.assign(method="greml", people=2351, p_zero=1e-5, p_one=0.1, re=0.5, re_se=0.1)
    ldsc_rg = pairs.assign(rg=[1.15, 0.4, np.nan], p=0.01, gcov_intercept=0.1)
    ldsc_rg.loc[2, ["se", "lower", "upper"]] = np.nan
    return greml, greml_rg, ldsc, ldsc_rg


def test_both_methods_stand_side_by_side_and_on_their_side_of_the_diagonal():
    figure = heritability.draw(heritability.gather(*four_tables()))
    bars, matrix = figure.axes[:2]
    heights = sorted(patch.get_height() for patch in bars.patches if patch.get_height() > 0)
    assert heights == [0.37, 0.40, 0.42, 0.51, 0.55]
    assert [text.get_text() for text in bars.texts] == [" n/a"]
    assert [text.get_text() for text in bars.get_legend().get_texts()] == ["GREML", "LD score regression"]
    written = {text.get_position(): text.get_text() for text in matrix.texts}
    assert written[1, -0.1] == "0.90"  # above the diagonal: column 1, row 0
    assert written[0, 0.9] == "1.15"  # below
    assert written[2, 0.9] == "−0.20"
    assert written[1, 2] == "n/a"
    assert np.nanmax(matrix.images[0].get_array()) == 1


def test_one_trait_has_no_matrix_and_wild_intervals_do_not_hide_the_rest():
    greml, greml_rg, ldsc, ldsc_rg = four_tables()
    ldsc = ldsc.iloc[:1].assign(h2=40.0, lower=-60.0, upper=140.0)
    table = heritability.gather(greml.iloc[:1], greml_rg.iloc[:0], ldsc, ldsc_rg.iloc[:0])
    figure = heritability.draw(table)
    assert len(figure.axes) == 1
    low, high = figure.axes[0].get_ylim()
    assert (low, high) == (-0.5, 1.5)


def cell_table(sets=("LGN",), cells=("Astrocyte", "Microglia", "Oligodendrocyte", "OPC")):
    random = np.random.default_rng(1)
    rows = [(t, s, c) for t in TRAITS for s in sets for c in cells]
    table = pd.DataFrame(rows, columns=["trait", "data_set", "cell_type"])
    table = table.assign(genes=900, beta=0.1, se=0.05, t=2.0, p=random.uniform(0.03, 1, len(rows)), q=0.5)
    table.loc[table["cell_type"] == "Oligodendrocyte", "p"] = [1e-4, 1e-3, 0.1] * len(sets)
    table = table.assign(p_bonferroni=np.minimum(table["p"] * len(cells), 1), tests=len(cells))
    return table.assign(significant=table["p_bonferroni"] < 0.05)


COUNTS = pd.DataFrame({"trait": TRAITS, "data_set": "LGN", "scored": 900, "expressed": 1000, "used": 900})
COUNTS = COUNTS.assign(cell_types=4, note=None)


def test_significant_types_are_marked_and_the_line_is_bonferronis():
    table = cell_table()
    table.loc[table.index[1], ["p", "p_bonferroni"]] = np.nan
    figure = cell_type_enrichment.draw(table, COUNTS)
    assert len(figure.axes) == 3
    stars = [sum(text.get_text() == " *" for text in axes.texts) for axes in figure.axes]
    assert stars == [1, 1, 0]
    assert figure.axes[0].get_yticklabels()[0].get_text() == "Oligodendrocyte"
    assert figure.axes[0].lines[0].get_xdata()[0] == pytest.approx(-np.log10(0.05 / 4))
    widths = [patch.get_width() for patch in figure.axes[1].patches]
    assert max(widths) == pytest.approx(3)
    assert [text.get_text() for text in figure.axes[0].texts].count(" n/a") == 1


def test_each_data_set_has_its_row():
    figure = cell_type_enrichment.draw(cell_table(("LGN", "MTG")), COUNTS)
    assert [axes.get_title(loc="left") for axes in figure.axes[::3]] == ["R-NCE, LGN", "R-NCE, MTG"]


def test_the_scripts_draw_and_say_what_is_missing(tmp_path):
    schemas = ["greml_heritability", "greml_correlation", "ldsc_heritability", "ldsc_correlation"]
    files = {name: str(tmp_path / f"{name}.tsv") for name in ("greml_h2", "greml_rg", "ldsc_h2", "ldsc_rg")}
    for path, table, schema in zip(files.values(), four_tables(), schemas, strict=True):
        tables.write_table(table, path, schema)
    output = SimpleNamespace(png=str(tmp_path / "heritability.png"))
    heritability_script.main(SimpleNamespace(input=SimpleNamespace(**files), output=output))
    assert len(pd.read_csv(tmp_path / "heritability.csv")) == 12
    empty = cell_table().iloc[:0]
    notes = COUNTS.assign(data_set=None, note="no expression table")
    tables.write_table(empty, tmp_path / "cells.tsv", "expression_cell_types")
    tables.write_table(notes, tmp_path / "counts.tsv", "expression_counts")
    given = SimpleNamespace(cell_types=tmp_path / "cells.tsv", counts=tmp_path / "counts.tsv")
    output = SimpleNamespace(png=str(tmp_path / "cells.png"))
    cell_script.main(SimpleNamespace(input=given, output=output))
    assert (tmp_path / "cells.pdf").stat().st_size > 1000
    drawn = cell_type_enrichment.draw(empty, notes)
    assert "no expression table" in drawn.axes[0].texts[0].get_text()
