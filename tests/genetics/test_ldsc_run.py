import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.genetics import gwas, peaks, tools
from workflow_scripts.lib.genetics.ldsc import annotations, panel, run, scores, staging
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.tables import check_table, write_table

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {"window_cm": 1.0, "window_kb": 100.0, "min_maf": 0.01}
OPTIONS = {"common": False, "two_step": None, "max_chi2": None, "blocks": 200}
NONE = dict.fromkeys(["univariate", "weights", "baseline", "frequencies", "cell_types"])
CHROMOSOMES, VARIANTS, REFERENCE, SEED = 6, 1000, 400, 7


@pytest.fixture(scope="module")
def ldsc():
    if not tools.available("ldsc.py"):
        pytest.skip("ldsc.py is not installed (./run makes .venv/tools)")
    return tools.find("ldsc.py")


def make_haplotypes(random, count: int) -> np.ndarray:
    """Variants of one chromosome, 1 kb apart; linkage reaches far in some stretches and hardly anywhere in others."""
    ends = np.repeat(10 ** random.uniform(-2.2, -0.3, VARIANTS // 50), 50)
    keep = np.where(random.uniform(size=VARIANTS) < ends, 0.0, 0.97)
    latent = random.standard_normal((VARIANTS, count))
    for row in range(1, VARIANTS):
        latent[row] = keep[row] * latent[row - 1] + np.sqrt(1 - keep[row] ** 2) * latent[row]
    return latent > random.uniform(-1.3, 1.3, (VARIANTS, 1))


def make_peaks(random) -> pd.DataFrame:
    names = ["Astrocytes", "Microglia", "Oligodendrocytes"]
    rows = [
        (name, str(chrom), start, start + 9000)
        for name in names
        for chrom in range(1, CHROMOSOMES + 1)
        for start in range(0, VARIANTS * 1000, 10_000)
        if random.uniform() < 0.1
    ]
    nobody = [("Nobody", "1", 10**8, 10**8 + 1)]
    return pd.DataFrame(rows + nobody, columns=["cell_type", "chrom", "start", "end"])


def write_sumstats(path, variants, standard, trait) -> Path:
    people = standard.shape[1]
    r = standard @ ((trait - trait.mean()) / trait.std()) / people
    z = r * np.sqrt((people - 2) / (1 - r**2))
    gwas.write_gzip(pd.DataFrame({"SNP": variants["id"], "A1": "G", "A2": "A", "Z": z, "N": people}), path)
    return path


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """1,200 people x 6,000 variants; Oligodendrocytes' peaks carry two thirds of two related traits' heritability."""
    random = np.random.default_rng(SEED)
    people, folder = 1200, tmp_path_factory.mktemp("ldsc")
    intervals, parts, rows = make_peaks(random), [], []
    for chrom in range(1, CHROMOSOMES + 1):
        haplotypes = make_haplotypes(random, 2 * people)
        calls = (haplotypes[:, :people].astype(np.int8) + haplotypes[:, people:]).astype(np.int8)
        pos = 1 + 1000 * np.arange(VARIANTS)
        variants = pd.DataFrame(
            {"id": [f"rs{chrom}_{at}" for at in pos], "cm": 0.0, "pos": pos, "ref": "A", "alt": "G"}
        )
        reference = panel.Chromosome(str(chrom), variants, calls[:, :REFERENCE])
        rows.append(annotations.score(reference, SETTINGS, intervals, None, folder / "all"))
        parts.append((variants.assign(chrom=str(chrom)), scores.standardise(calls)))
    write_table(pd.concat(rows), folder / "all/annotations.tsv", "ld_scores")
    variants, standard = pd.concat([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    inside = peaks.inside(variants, intervals[intervals["cell_type"] == "Oligodendrocytes"])
    spread = np.sqrt(np.where(inside, 2 / 3 / inside.sum(), 0) + 1 / 3 / len(inside))
    shared, other = random.standard_normal((2, len(inside))) * spread
    genetic = np.stack([shared, 0.8 * shared + 0.6 * other]) @ standard
    genetic *= np.sqrt(0.6) / genetic.std(axis=1, keepdims=True)
    noise = np.sqrt(0.4) * random.standard_normal(genetic.shape)
    files = {
        name: write_sumstats(folder / f"{name}.sumstats.gz", variants, standard, trait)
        for name, trait in zip("ab", genetic + noise, strict=True)
    }
    return folder, files


def analyse(ldsc, parts, files, folder, given=NONE, **options) -> run.Analysis:
    folder.mkdir()
    staged = staging.stage(parts, given, folder)
    return run.Analysis(ldsc, staged, OPTIONS | options, run.read_sumstats(files, staged), 2)


@pytest.fixture(scope="module")
def found(ldsc, planted, tmp_path_factory):
    """The analysis of the planted traits, and their heritability."""
    folder, files = planted
    analysis = analyse(ldsc, [folder / "all"], files, tmp_path_factory.mktemp("found") / "stage")
    return analysis, run.heritability(analysis)


def first(analysis: run.Analysis) -> run.Analysis:
    """Look at the first trait only: each command of ldsc.py takes two seconds."""
    return dataclasses.replace(analysis, traits=analysis.traits[:1])


@pytest.mark.slow
def test_planted_heritability_correlation_and_cell_type_are_found(found):
    analysis, heritability = found
    correlation = run.correlation(analysis)
    check_table(heritability, "ldsc_heritability", "table")
    check_table(correlation, "ldsc_correlation", "table")
    assert (heritability["p"] < 0.01).all()
    assert heritability["h2"].between(0.3, 0.9).all()
    assert (heritability["intercept"] - 1).abs().max() < 0.3
    assert (heritability["note"] == "fewer than 200000 variants").all()
    assert correlation["rg"][0] == pytest.approx(0.8, abs=0.2)
    partitioned, cells = run.partitioned(first(analysis)), run.cell_types(first(analysis), 0.05)
    check_table(partitioned, "ldsc_partitioned", "table")
    check_table(cells, "ldsc_cell_types", "table")
    assert partitioned["category"].tolist() == ["base", "Astrocytes", "Microglia", "Oligodendrocytes"]
    assert partitioned["enrichment"].idxmax() == 3
    assert partitioned["enrichment_p"][3] < 0.01
    cells = cells.set_index("cell_type")
    assert cells["z"].idxmax() == "Oligodendrocytes"
    assert cells["significant"].to_dict() == {name: name == "Oligodendrocytes" for name in cells.index}
    assert cells["note"]["Nobody"] == "no common variant in its peaks"
    assert np.isnan(cells["q"]["Nobody"])


def cut(folder, target, count: int) -> Path:
    """Keep the first variants of the first chromosome of what make_ld_scores wrote."""
    target.mkdir()
    table = pd.read_csv(folder / "annotations.tsv", sep="\t", dtype={"chrom": str})
    write_table(table[table["chrom"] == "1"], target / "annotations.tsv")
    for file in folder.glob("*.1.*"):
        frame = pd.read_csv(file, sep="\t") if file.suffix == ".gz" else None
        if frame is None:
            (target / file.name).write_bytes(file.read_bytes())
        else:
            gwas.write_gzip(frame.head(count), target / file.name)
    return target


def test_a_hopeless_study_runs_through_with_notes(ldsc, planted, tmp_path):
    """Thirty variants and no signal: nothing to find, nothing to crash."""
    folder, _ = planted
    part = cut(folder / "all", tmp_path / "1", 30)
    table = pd.read_csv(part / "base.1.l2.ldscore.gz", sep="\t").assign(A1="G", A2="A", N=60)
    files = {}
    for index, name in enumerate("xy"):
        files[name] = tmp_path / f"{name}.sumstats.gz"
        z = 0.1 * np.random.default_rng(index).normal(size=30)
        gwas.write_gzip(table.assign(Z=z)[["SNP", "A1", "A2", "Z", "N"]], files[name])
    analysis = analyse(ldsc, [part], files, tmp_path / "stage")
    heritability, correlation = run.heritability(first(analysis)), run.correlation(analysis)
    cells = run.cell_types(first(analysis), 0.05)
    assert heritability["note"].str.contains("mean chi2 below 1.02|ldsc.py: ").all()
    assert correlation["note"].str.len().gt(0).all()
    assert cells["note"].str.contains("mean chi2 below 1.02|ldsc.py: |no common variant").all()
    assert len(cells) == 4 and not cells["significant"].any()
    for found, schema in ((heritability, "heritability"), (correlation, "correlation"), (cells, "cell_types")):
        write_table(found, tmp_path / f"{schema}.tsv", f"ldsc_{schema}")


def test_variants_that_are_called_otherwise_are_refused(planted, tmp_path):
    folder, files = planted
    table = pd.read_csv(files["a"], sep="\t")
    gwas.write_gzip(table.assign(SNP="7:" + table["SNP"]), tmp_path / "t.sumstats.gz")
    with pytest.raises(StudyError, match=r"none of its 6000 variants .* '7:rs1_1' and 'rs1_1'.*LDSC joins by id"):
        analyse(None, [folder / "all"], {"t": tmp_path / "t.sumstats.gz"}, tmp_path / "stage")


@pytest.mark.slow
def test_scores_of_others_are_used_by_prefix(ldsc, planted, tmp_path):
    """In a folder with a blank and a comma in its name, with a list of cell types."""
    folder, files = planted
    theirs = tmp_path / "their scores, all"
    theirs.mkdir()
    for file in (folder / "all").glob("*.*"):
        (theirs / file.name.replace("cells.", "")).symlink_to(file)
    (theirs / "x.ldcts").write_text("Oligo Oligodendrocytes.\nAstro Astrocytes.,union.\n")
    given = {"univariate": f"{theirs}/base.", "weights": f"{theirs}/weights.@", "baseline": f"{theirs}/base."}
    given |= {"frequencies": f"{theirs}/frequencies.", "cell_types": f"{theirs}/x.ldcts"}
    one = {"a": files["a"]}
    analysis = analyse(ldsc, [], one, tmp_path / "theirs", given)
    cells = run.cell_types(analysis, 0.05)
    assert cells["cell_type"].tolist() == ["Oligo", "Astro"]
    assert cells["p"][0] < 1e-4
    assert analysis.scores.partition == "baseline." and analysis.scores.frequencies == "frequencies."


def test_missing_scores_are_refused_by_key(planted, tmp_path):
    folder, _ = planted
    (tmp_path / "stage").mkdir()
    with pytest.raises(StudyError, match=r"scores: weights: found no file .*none\.CHROM\.l2\.ldscore"):
        staging.stage([folder / "all"], NONE | {"weights": f"{tmp_path}/none."}, tmp_path / "stage")
    (tmp_path / "stage2").mkdir()
    with pytest.raises(StudyError, match="univariate is null, but no LD scores of the study's own"):
        staging.stage([], NONE, tmp_path / "stage2")
    (tmp_path / "bad.ldcts").write_text("Oligo a. b.\n")
    with pytest.raises(StudyError, match=r"line 1: found 'Oligo a\. b\.'"):
        staging.read_ldcts(tmp_path / "bad.ldcts")


def test_frequencies_are_found_without_a_first_chromosome(planted, tmp_path):
    """ldsc.py looks at the first chromosome's file to learn how all are packed."""
    folder, _ = planted
    part = tmp_path / "17"
    part.mkdir()
    for file in (folder / "all").glob("*.2.*"):
        (part / file.name.replace(".2.", ".17.")).symlink_to(file)
    (part / "annotations.tsv").symlink_to(folder / "all/annotations.tsv")
    (tmp_path / "stage").mkdir()
    staging.stage([part], NONE, tmp_path / "stage")
    names = sorted(file.name for file in (tmp_path / "stage").glob("frequencies.*"))
    assert names == ["frequencies.1.frq", "frequencies.17.frq"]


@pytest.mark.parametrize(
    ("wanted", "variants", "expected"), [(200, 10_000, 200), (200, 900, 90), (200, 30, 5), (200, 3, 3), (50, 900, 50)]
)
def test_blocks_of_the_jackknife(wanted, variants, expected):
    assert run.blocks(wanted, variants) == expected


def test_scripts_import_in_the_tools_environment():
    """With conda, the scripts that call ldsc.py run beside it, in an older pandas."""
    python = Path(sys.prefix) / "tools/bin/python"
    if not python.exists():
        pytest.skip("there is no .venv/tools (./run makes it)")
    code = "import workflow_scripts.genetics.{0} as script; assert script.main"
    program = "\n".join(
        ["import builtins", "builtins.snakemake = None"]
        + [code.format(name) for name in ("run_ldsc", "partition_heritability")]
    )
    answer = subprocess.run([python, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
