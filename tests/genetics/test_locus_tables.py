"""What is reported of loci, and the two scripts from results of an association to the tables of a figure."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.genetics import annotate_peaks, find_loci
from workflow_scripts.lib.genetics import bed, gwas, loci, locus_tables, tools
from workflow_scripts.lib.study import tables

RULES = {"p": 5e-8, "candidate_p": 0.05, "r2": 0.6, "lead_r2": 0.1, "merge_kb": 250, "window_kb": 1000, "mhc": False}
RULES |= {"shown": 4, "shown_traits": "own", "flank_kb": 100}


def loci_table(rows):
    table = pd.DataFrame(rows, columns=["trait", "locus", "chrom", "start", "end", "lead_id", "lead_p"])
    return table.assign(lead_beta=1.0, lead_se=0.1, nearest_gene="A")


def test_the_strongest_loci_are_shown_each_place_once():
    table = loci_table(
        [
            ("x", 1, "1", 150_000, 300_000, "a", 1e-9),
            ("y", 1, "1", 250_000, 500_000, "b", 1e-20),  # the same place, stronger
            ("y", 2, "2", 50_000, 60_000, "c", 1e-12),
            ("x", 2, "3", 500_000, 500_000, "d", 1e-8),
        ]
    )
    shown = locus_tables.strongest(table, 2, 100)
    assert shown[["panel", "trait", "lead_id"]].to_numpy().tolist() == [[1, "y", "b"], [2, "y", "c"]]
    assert shown[["first", "last"]].to_numpy().tolist() == [[150_000, 600_000], [1, 160_000]]
    assert locus_tables.strongest(table, 9, 100)["lead_id"].tolist() == ["b", "c", "d"]
    assert locus_tables.strongest(table.iloc[:0], 4, 100).empty


def test_regions_hold_what_reaches_into_them():
    shown = locus_tables.strongest(loci_table([("x", 3, "1", 1000, 2000, "a", 1e-9)]), 1, 0)
    genes = pd.DataFrame({"gene": ["in", "out"], "chrom": "1", "start": [2000, 2001], "end": 3000, "strand": "+"})
    assert locus_tables.genes_shown(shown, genes)["name"].tolist() == ["in"]
    peaks = pd.DataFrame(
        [("A", "1", 1999, 2500), ("A", "1", 2000, 2500), ("A", "1", 900, 1000), ("A", "1", 900, 999), ("B", "2", 1, 9)],
        columns=["cell_type", "chrom", "start", "end"],
    )
    held = {"trait": ["x", "x", "y"], "id": ["a", "b", "c"], "chrom": "1", "pos": [1000, 1000, 1000]}
    held = pd.DataFrame(held | {"p": [1e-9, 1e-3, 1e-9], "cell_type": "A"})
    table = locus_tables.peaks_shown(shown, peaks, held, 5e-8)
    tables.check_table(table, "locus_regions", "table")
    drawn = table[(table["kind"] == "peak") & table["start"].notna()]
    assert drawn[["start", "end"]].astype(int).to_numpy().tolist() == [[901, 1000], [2000, 2500]]
    assert table.loc[table["start"].isna(), "group"].tolist() == ["B"]  # looked at, nothing there
    assert table.loc[table["kind"] == "overlap", "name"].tolist() == ["a"]


def test_annotation_without_genes_or_catalogue_is_missing_and_with_them_is_there():
    found = loci.Loci(
        pd.DataFrame({"locus": [1, 2], "chrom": "1", "start": [100, 900_000], "end": [200, 900_100]}).assign(
            lead_pos=[150, 900_050]
        ),
        *[pd.DataFrame()] * 2,
        pd.DataFrame({"locus": [1, 2], "id": ["a", "b"], "chrom": "1", "pos": [150, 900_050], "p": 1e-9}),
        pd.DataFrame(),
        [],
    )
    bare, mapped = locus_tables.annotate(found, None, 10, None, 250)
    assert bare[["genes", "nearest_gene", "novel", "known_traits"]].isna().all(axis=None) and mapped.empty
    genes = pd.DataFrame({"gene": ["G"], "chrom": "1", "start": [5000], "end": [6000], "strand": "+"})
    known = pd.DataFrame({"chrom": ["1"], "pos": [160.0], "id": ["z"], "trait": ["gap"], "p": [1e-9]})
    full, mapped = locus_tables.annotate(found, genes, 10, known, 250)
    assert full["novel"].tolist() == ["false", "true"] and full["known_traits"].tolist()[0] == "gap"
    assert full["nearest_gene"].tolist() == ["G", "G"] and full["genes"].isna().tolist() == [False, True]
    assert mapped[["locus", "gene", "distance"]].to_numpy().tolist() == [[1, "G", 4850]]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Genotypes of 300 people and results of two traits, one with a strong locus, one without any."""
    folder, random = tmp_path_factory.mktemp("written"), np.random.default_rng(7)
    calls = np.repeat(random.integers(0, 3, (6, 300)), 10, axis=0)
    calls = np.where(random.random(calls.shape) < 0.15, random.integers(0, 3, calls.shape), calls).astype(np.int8)
    table = pd.DataFrame({"chrom": "17", "id": [f"rs{i}" for i in range(60)], "cm": 0.0, "alt": "A", "ref": "G"})
    table["pos"] = 44_000_000 + 5000 * np.arange(60)
    samples = pd.DataFrame({"participant_id": [f"{i:03d}" for i in range(300)], "sex": "F"})
    bed.write_bed(bed.Genotypes(samples, table, calls), folder / "all")
    tools.write_ids(tools.read_samples(folder / "all"), folder / "people.txt")
    linked = np.corrcoef(calls)[25]
    for name, z in (("strong", 9 * linked), ("none", 2 * linked)):
        p = np.maximum(10.0 ** -(z**2 / 4.6), 1e-300)
        rows = table[["chrom", "pos", "id", "ref", "alt"]].assign(a1="A", a1_freq=0.5, n=300, beta=z / 10, se=0.1, t=z)
        gwas.write_gzip(rows.assign(p=p, neg_log10_p=-np.log10(p)), folder / f"{name}.tsv.gz")
    (folder / "genes.tsv").write_text("gene\tchrom\tstart\tend\tstrand\nMAPT\t17\t44100000\t44130000\t+\n")
    (folder / "peaks").mkdir()
    (folder / "peaks" / "OPCs.bed").write_text("chr17\t44124999\t44125000\n")
    return folder


def run(folder, traits, shown_traits="own"):
    out = {name: str(folder / f"{name}.tsv") for name in ("loci", "leads", "independent", "candidates", "genes")}
    out |= {name: str(folder / f"{name}.tsv.gz") for name in ("linkage", "regions")}
    params = SimpleNamespace(
        traits=traits,
        parts=["all"],
        chromosomes=["17"],
        build="hg19",
        loci=RULES | {"shown_traits": shown_traits},
        reference=None,
        genes={"table": str(folder.parent / "genes.tsv"), "build": "hg19", "window_kb": 10},
        catalogue={"table": None, "distance_kb": 250},
        peaks={"folder": str(folder.parent / "peaks"), "build": "hg19", "p": 0.05},
    )
    given = SimpleNamespace(
        genotypes=[str(folder.parent / "all.bed")],
        people=str(folder.parent / "people.txt"),
        results=[str(folder.parent / f"{trait}.tsv.gz") for trait in traits],
        loci=out["loci"],
    )
    resources = SimpleNamespace(mem_mb=2000)
    find_loci.main(SimpleNamespace(input=given, output=Named(out), params=params, threads=1, resources=resources))
    held = {"overlaps": str(folder / "o.tsv.gz"), "summary": str(folder / "s.tsv"), "regions": str(folder / "p.tsv.gz")}
    annotate_peaks.main(SimpleNamespace(input=given, output=Named(held), params=params))
    return out, held


class Named(dict):
    """Snakemake's named files: by attribute and by name."""

    __getattr__ = dict.__getitem__


def test_scripts_write_tables_that_agree(plink, written):
    folder = written / "both"
    folder.mkdir()
    out, held = run(folder, ["strong", "none"], "all")
    found = tables.read_table(out["loci"], "loci")
    assert found[["trait", "lead_id", "genes", "nearest_gene"]].to_numpy().tolist() == [
        ["strong", "rs25", "MAPT", "MAPT"]
    ]
    assert found["novel"].isna().all()
    for name in ("leads", "independent", "candidates", "genes", "linkage", "regions"):
        assert len(tables.read_table(out[name], f"locus_{name}"))
    overlaps = tables.read_table(held["overlaps"], "peak_overlaps")
    # rs25 stands at 44,125,000: the peak's only base
    assert overlaps[overlaps["trait"] == "strong"][["id", "locus"]].to_numpy().tolist() == [["rs25", 1]]
    summary = tables.read_table(held["summary"], "peak_summary").set_index("trait")
    assert summary["significant"].to_dict() == {"strong": 1, "none": 0}
    regions = tables.read_table(out["regions"], "locus_regions")
    assert set(regions["group"].dropna()) == {"strong", "none"}
    lead = regions[(regions["name"] == "rs25") & (regions["group"] == "strong")]
    assert lead["r2"].tolist() == [1.0] and lead["observed"].iloc[0] > 15


def test_scripts_without_any_locus_write_headers(plink, written):
    folder = written / "none"
    folder.mkdir()
    out, held = run(folder, ["none"])
    for name in ("loci", "leads", "independent", "candidates", "genes", "linkage", "regions"):
        assert tables.read_table(out[name], name if name == "loci" else f"locus_{name}").empty
    assert tables.read_table(held["regions"], "locus_regions").empty
    assert len(tables.read_table(held["summary"], "peak_summary")) == 1
