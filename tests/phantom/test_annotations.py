from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.phantom import annotations
from workflow_scripts.lib.phantom.annotations import CELL_TYPES, PLANTED
from workflow_scripts.phantom import simulate_annotations

MIDDLES = {"1": 70_500_000, "2": 70_500_000, "6": 45_000_000, "11": 10_650_000, "17": 44_040_000}


def make_variants(megabases=2.0):
    half = int(megabases * 5e5)
    places = [np.arange(middle - half, middle + half, 1000) for middle in MIDDLES.values()]
    chroms = np.repeat(list(MIDDLES), [len(place) for place in places])
    table = pd.DataFrame({"chrom": chroms, "pos": np.concatenate(places)})
    return pd.concat([table, pd.DataFrame({"chrom": ["X"] * 5, "pos": range(60_000_000, 60_000_005)})])


CAUSAL = pd.DataFrame({"chrom": ["17", "1"], "pos": [44_040_123, 70_400_000]})


@pytest.fixture(scope="module")
def drawn():
    return annotations.simulate(make_variants(), CAUSAL, np.random.default_rng(4))


def test_equal_generators_give_equal_annotations(drawn):
    again = annotations.simulate(make_variants(), CAUSAL, np.random.default_rng(4))
    pd.testing.assert_frame_equal(again.genes, drawn.genes)
    pd.testing.assert_frame_equal(again.expression, drawn.expression)
    assert all(again.peaks[name].equals(drawn.peaks[name]) for name in CELL_TYPES)


def test_human_genes_stand_at_their_places_and_others_are_invented(drawn):
    genes = drawn.genes.set_index("gene")
    assert genes.index.is_unique
    assert genes.loc["MAPT", ["chrom", "start", "end", "strand"]].tolist() == ["17", 43_971_748, 44_105_700, "+"]
    assert {"KANSL1", "IRAG1", "CTR9", "SUPT3H", "RUNX2"} <= set(genes.index)
    assert genes.loc[genes["chrom"].isin(["1", "2"])].index.str.startswith("PH").all()
    assert not genes.loc[genes["chrom"].isin(["6", "11", "17"])].index.str.startswith("PH").any()
    assert (genes["start"] < genes["end"]).all()
    assert set(genes["strand"]) == {"+", "-"}


def test_invented_genes_do_not_overlap(drawn):
    for _, genes in drawn.genes[drawn.genes["gene"].str.startswith("PH")].groupby("chrom"):
        assert (genes["start"].to_numpy()[1:] > genes["end"].to_numpy()[:-1]).all()
        assert len(genes) > 10


def test_peaks_are_sorted_apart_and_cover_about_the_wanted_share(drawn):
    for name, peaks in drawn.peaks.items():
        share = annotations.in_peaks(make_variants(), peaks).mean()
        assert 0.05 < share < 0.13, name
        for _, rows in peaks.groupby("chrom"):
            assert (rows["start"].to_numpy()[1:] > rows["end"].to_numpy()[:-1]).all()
    assert "X" not in set(drawn.peaks[PLANTED]["chrom"])


def test_causal_variants_lie_in_peaks_of_the_planted_cell_type_alone(drawn):
    assert annotations.in_peaks(CAUSAL, drawn.peaks[PLANTED]).all()
    others = [annotations.in_peaks(CAUSAL, drawn.peaks[name]) for name in CELL_TYPES if name != PLANTED]
    assert np.mean(others) < 0.5


def test_genes_with_more_peaks_of_a_cell_type_are_expressed_more_in_it(drawn):
    mine, other = [], []
    for name in CELL_TYPES:
        peaks = [
            annotations.in_peaks(
                pd.DataFrame({"chrom": g.chrom, "pos": range(g.start, g.end, 500)}), drawn.peaks[name]
            ).mean()
            for g in drawn.genes.itertuples()
        ]
        table = drawn.expression.drop(columns="gene")
        relative = table[name] - table.mean(axis=1)
        mine.append(np.corrcoef(peaks, relative)[0, 1])
        other += [np.corrcoef(peaks, table[rest] - table.mean(axis=1))[0, 1] for rest in CELL_TYPES if rest != name]
    assert np.mean(mine) > 0.2
    assert np.mean(mine) > np.mean(other) + 0.2
    assert drawn.expression["gene"].tolist() == drawn.genes["gene"].tolist()


def test_a_variant_at_either_end_of_a_peak_counts_as_bed_counts():
    peaks = pd.DataFrame({"chrom": ["1", "1"], "start": [100, 300], "end": [200, 301]})
    places = [99, 100, 101, 200, 201, 300, 301, 302]
    inside = annotations.in_peaks(pd.DataFrame({"chrom": "1", "pos": places}), peaks)
    # BED's 100-200 are the bases 101 to 200, counted from 1
    assert inside.tolist() == [False, False, True, True, False, False, True, False]
    assert not annotations.in_peaks(pd.DataFrame({"chrom": "2", "pos": places}), peaks).any()


def test_in_peaks_agrees_with_trying_every_peak(drawn):
    random, peaks = np.random.default_rng(0), drawn.peaks["OPCs"]
    variants = (
        make_variants().sample(200, random_state=1).assign(pos=lambda table: table["pos"] + random.integers(0, 900))
    )
    slow = [
        any((row.chrom == peak.chrom) and (peak.start < row.pos <= peak.end) for peak in peaks.itertuples())
        for row in variants.itertuples()
    ]
    assert annotations.in_peaks(variants, peaks).tolist() == slow
    assert any(slow)


def test_the_gene_that_holds_a_variant_is_hit_or_the_nearest_one():
    genes = annotations.human_genes()
    places = pd.DataFrame({"chrom": ["17", "11"], "pos": [44_040_000, 10_716_000]})
    assert genes["gene"][annotations.hit_genes(genes, places)].tolist() == ["MAPT", "IRAG1"]


def test_the_script_writes_what_the_embedded_study_needs(tmp_path):
    bim = make_variants().assign(id="v", cm=0, alt="A", ref="G")[["chrom", "id", "cm", "pos", "alt", "ref"]]
    bim.to_csv(tmp_path / "g.bim", sep="\t", header=False, index=False)
    CAUSAL.to_csv(tmp_path / "loci.tsv", sep="\t", index=False)
    output = SimpleNamespace(genes=tmp_path / "genes.tsv", expression=tmp_path / "e.tsv", peaks=tmp_path / "peaks")
    given = SimpleNamespace(variants=tmp_path / "g.bim", loci=tmp_path / "loci.tsv")
    simulate_annotations.main(SimpleNamespace(input=given, output=output, params=SimpleNamespace(seed=1)))
    assert {path.stem for path in output.peaks.iterdir()} == set(CELL_TYPES)
    bed = pd.read_csv(output.peaks / f"{PLANTED}.bed", sep="\t", header=None, names=["chrom", "start", "end"])
    assert set(bed["chrom"]) == {f"chr{chrom}" for chrom in MIDDLES}
    assert ((bed["chrom"] == "chr17") & (bed["start"] < 44_040_123) & (bed["end"] >= 44_040_123)).sum() == 1
    assert pd.read_csv(output.genes, sep="\t").columns.tolist() == ["gene", "chrom", "start", "end", "strand"]
    assert pd.read_csv(output.expression, sep="\t").columns.tolist() == ["gene", *CELL_TYPES]
