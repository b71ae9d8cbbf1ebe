import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from workflow_scripts.lib.figures import locus_plots, style
from workflow_scripts.lib.study import tables


def region(panel=1, trait="rnce", tested=("rnce",), lead="rs3"):
    """A locus of six variants (the third leads), two genes, peaks of two cell types, one significant variant in one."""
    shared = {"panel": panel, "trait": trait, "locus": panel, "lead_id": lead, "nearest_gene": "MAPT", "chrom": "17"}
    shared |= {"first": 43_900_000, "last": 44_300_000}
    rows = []
    for name in tested:
        for index, r2 in enumerate([0.05, 0.2, 1.0, 0.61, 0.95, np.nan]):
            place = 43_950_000 + 60_000 * index
            values = {"observed": 9 - 0.5 * index, "p": 10.0 ** -(9 - 0.5 * index), "r2": r2, "threshold": 5e-8}
            rows.append(
                {"kind": "variant", "name": f"rs{index + 1}", "group": name, "start": place, "end": place} | values
            )
    rows.append({"kind": "gene", "name": "MAPT", "start": 43_971_748, "end": 44_105_700, "strand": "+"})
    rows.append({"kind": "gene", "name": "KANSL1", "start": 44_107_282, "end": 44_302_740, "strand": "-"})
    rows.append({"kind": "peak", "group": "Astrocytes", "start": 44_069_901, "end": 44_070_100})
    rows.append({"kind": "peak", "group": "Astrocytes", "start": 44_200_001, "end": 44_200_500})
    rows.append({"kind": "peak", "group": "Microglia"})
    rows.append({"kind": "overlap", "name": "rs3", "group": "Astrocytes", "start": 44_070_000, "end": 44_070_000})
    table = pd.DataFrame([shared | row for row in rows])
    return table.assign(start=table["start"].astype("Int64"), end=table["end"].astype("Int64"))


def drawn_panels(figure):
    return [axes for parent in figure.subfigs for axes in parent.axes]


def test_the_table_of_the_test_fits_the_schema():
    tables.check_table(region(), "locus_regions", "table")


def test_a_locus_has_association_genes_and_peaks():
    top, genes, peaks = drawn_panels(locus_plots.draw(region()))
    assert top.get_title(loc="left").endswith("R-NCE")
    assert top.get_ylim()[1] > 9
    assert [text.get_text() for text in top.texts] == ["rs3"]
    assert [text.get_text() for text in genes.texts if text.get_text()] == ["MAPT", "KANSL1"]
    assert [tick.get_text() for tick in peaks.get_yticklabels()] == ["Astrocytes", "Microglia"]
    assert peaks.get_xlim() == (43.9, 44.3)


def test_points_are_coloured_by_bin_of_r2_and_the_lead_is_a_diamond():
    top = drawn_panels(locus_plots.draw(region()))[0]
    dots, lead = top.collections[0], top.collections[1]
    # sorted by r2, unknown first; the border of a bin belongs to the lower one
    assert [to_hex(colour).upper() for colour in dots.get_facecolors()] == [
        locus_plots.UNKNOWN,
        locus_plots.COLOURS[0],
        locus_plots.COLOURS[0],
        locus_plots.COLOURS[3],
        locus_plots.COLOURS[4],
    ]
    assert np.allclose(lead.get_offsets(), [[44.07, 8.0]])
    assert to_hex(lead.get_facecolors()[0]).upper() == locus_plots.LEAD


def test_significant_variants_in_peaks_mark_all_axes_and_their_peak():
    panels = drawn_panels(locus_plots.draw(region()))
    for axes in panels:
        assert any(np.allclose(line.get_xdata(), 44.07) for line in axes.lines)
    colours = [tuple(np.round(bar.get_facecolor()[0][:3], 2)) for bar in panels[2].collections]
    assert len(colours) == 2 and len(set(colours)) == 2


def test_all_traits_stand_above_each_other_the_locus_own_first():
    panels = drawn_panels(locus_plots.draw(region(tested=("features", "rnce"))))
    assert len(panels) == 4
    assert [axes.texts[-1].get_text() for axes in panels[:2]] == ["R-NCE", "Regional features"]


def test_without_peaks_or_genes_there_is_still_a_figure():
    table = region()
    panels = drawn_panels(locus_plots.draw(table[table["kind"] == "variant"]))
    assert len(panels) == 2 and panels[1].texts[-1].get_text() == "no gene"


def test_several_loci_have_letters_and_no_locus_is_said(tmp_path):
    style.apply()
    table = pd.concat([region(number, lead="rs3") for number in (1, 2, 3)], ignore_index=True)
    table.loc[table["panel"] == 2, "nearest_gene"] = "HLA-DRB1;A_B$1"  # signs that are mathematics elsewhere
    figure = locus_plots.draw(table)
    titles = [axes.get_title(loc="left") for axes in drawn_panels(figure) if axes.get_title(loc="left")]
    assert [title.split("}")[0][-1] for title in titles] == ["a", "b", "c"]
    figure.draw_without_rendering()
    nothing = locus_plots.draw(table.iloc[:0])
    assert nothing.texts[0].get_text().startswith("No locus")
    style.save(nothing, table.iloc[:0], tmp_path / "empty")
    assert {path.suffix for path in tmp_path.iterdir()} == {".pdf", ".png", ".csv"}


@pytest.mark.parametrize("count", [1, 12, 60])
def test_genes_and_their_names_never_meet(count):
    random = np.random.default_rng(count)
    start = random.integers(0, 1_000_000, count)
    genes = pd.DataFrame({"name": [f"LONGNAME{i}" for i in range(count)], "start": start})
    genes["end"] = genes["start"] + random.integers(1, 200_000, count)
    placed, dropped = locus_plots.stack(genes, 0, 1_000_000, 5.0)
    assert len(placed) + dropped == count and placed["row"].max() < locus_plots.MOST_ROWS
    half = (placed["name"].str.len() + 2) * locus_plots.LETTER / 5.0 * 1_000_000 / 2
    spans = placed.assign(
        low=np.minimum(placed["left"], placed["middle"] - half),
        high=np.maximum(placed["right"], placed["middle"] + half),
    )
    for _, row in spans.sort_values("low").groupby("row"):
        assert (row["low"].to_numpy()[1:] > row["high"].to_numpy()[:-1]).all()
    assert (placed["middle"] - half >= 0).all() and (placed["middle"] + half <= 1_000_000).all()
