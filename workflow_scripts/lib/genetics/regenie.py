"""Association by REGENIE: whole-genome regression (step 1), then every variant given its predictions (step 2).

Keeps relatives and gains power in large studies; in small ones plink2's plain regression is as good. REGENIE takes the
covariates out of traits and genotypes in both steps.
"""

import logging
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.lib.genetics import gwas, results, tools
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.files import atomic

LOGGER = logging.getLogger(__name__)
STEP1_BLOCK, STEP2_BLOCK = 1000, 400  # variants a block, REGENIE's own recommendations
LIST = "predictions.list"


def write_inputs(prefix: str | Path, phenotypes: pd.DataFrame, covariates: pd.DataFrame, folder: Path) -> Path:
    """Write what REGENIE reads of people, and genotypes under a name beside it.

    REGENIE wants ``FID IID`` in the header of phenotypes and covariates, no header for people to keep, and a .psam file
    that begins with ``#FID IID``; plink2 leaves family ids out where nobody has one.

    Returns
    -------
    pathlib.Path
        Prefix of a fileset in ``folder``: links to the genotypes and, for .pgen, a .psam file of its own.

    Raises
    ------
    StudyError
        If a person has no sample, or the variants are packed.
    """
    gwas.write_inputs(prefix, phenotypes, covariates, folder)
    for name in ("phenotypes", "covariates", "keep"):
        path = folder / f"{name}.txt"
        text = path.read_text().removeprefix("#")
        path.write_text(text.partition("\n")[2] if name == "keep" else text)
    linked = folder / "genotypes"
    packed = Path(f"{prefix}.pgen").exists()
    for suffix in (".pgen", ".pvar") if packed else (".bed", ".bim", ".fam"):
        source = Path(f"{prefix}{suffix}").resolve()
        if not source.exists():
            raise StudyError(f"REGENIE reads {prefix}{suffix}, which is not there. Make it (plink2 --make-pgen).")
        Path(f"{linked}{suffix}").symlink_to(source)
    if packed:
        samples = tools.read_samples(prefix).assign(sex="NA")
        samples = samples.set_axis(["#FID", "IID", "SEX"], axis=1)
        samples.to_csv(f"{linked}.psam", sep="\t", index=False, lineterminator="\n")
    return linked


def _arguments(linked: Path, traits: list[str], covariates: list[str], folder: Path, limits: Limits) -> list[str]:
    kind = "--pgen" if Path(f"{linked}.pgen").exists() else "--bed"
    return [
        *[kind, str(linked), "--keep", str(folder / "keep.txt")],
        *["--phenoFile", str(folder / "phenotypes.txt"), "--phenoColList", ",".join(traits)],
        *["--covarFile", str(folder / "covariates.txt"), "--covarColList", ",".join(covariates)],
        *["--qt", "--threads", str(limits.threads)],
    ]


def fit(
    linked: Path, traits: list[str], covariates: list[str], folder: Path, predictions: Path, limits: Limits
) -> pd.DataFrame:
    """Fit the whole-genome regression of every trait (step 1).

    Parameters
    ----------
    linked : pathlib.Path
        Pruned common variants of all chromosomes, from :func:`write_inputs`.
    traits, covariates : list of str
        Columns of the files in ``folder``.
    folder : pathlib.Path
        Working files.
    predictions : pathlib.Path
        Folder that gets a prediction a chromosome left out (``TRAIT.loco``) and their list.

    Returns
    -------
    pandas.DataFrame
        Schema ``entered`` (see :func:`entered`).

    Raises
    ------
    StudyError
        If REGENIE fails or fits no predictions for a trait.
    """
    arguments = [
        *["--step", "1", *_arguments(linked, traits, covariates, folder, limits)],
        *["--bsize", str(STEP1_BLOCK), "--lowmem", "--lowmem-prefix", str(folder / "level0")],
        *["--out", str(folder / "fit")],
    ]
    log = tools.call(tools.find("regenie"), arguments, folder / "fit.said", limits)
    table = entered(log, traits, covariates, len((folder / "keep.txt").read_text().splitlines()))
    lines = (folder / "fit_pred.list").read_text().split("\n")
    found = dict(line.split(maxsplit=1) for line in lines if line.strip())
    predictions.mkdir(parents=True, exist_ok=True)
    for trait in traits:
        if trait not in found:
            raise StudyError(
                f"REGENIE gave no predictions for trait '{trait}' (it did for {', '.join(found) or 'none'}). Its log "
                "says why; a trait that no variant predicts can be tested by plink2 (genetics: gwas: tool)."
            )
        # the list names files where REGENIE wrote them; by trait they can be moved
        shutil.copyfile(folder / Path(found[trait]).name, predictions / f"{trait}.loco")
    with atomic(predictions / LIST) as temporary:
        temporary.write_text("".join(f"{trait} {trait}.loco\n" for trait in traits))
    return table


def association(
    linked: Path, traits: list[str], covariates: list[str], predictions: Path, folder: Path, limits: Limits
) -> tuple[dict[str, Path], pd.DataFrame]:
    """Test every variant of a part given the predictions of step 1 (step 2).

    Returns
    -------
    tables : dict of str to pathlib.Path
        REGENIE's table by trait, for :func:`convert`.
    entered : pandas.DataFrame
        See :func:`entered`.
    """
    listed = folder / LIST
    listed.write_text("".join(f"{trait} {(predictions / f'{trait}.loco').resolve()}\n" for trait in traits))
    arguments = [
        *["--step", "2", *_arguments(linked, traits, covariates, folder, limits)],
        *["--bsize", str(STEP2_BLOCK), "--pred", str(listed), "--out", str(folder / "gwas")],
    ]
    log = tools.call(tools.find("regenie"), arguments, folder / "gwas.said", limits)
    table = entered(log, traits, covariates, len((folder / "keep.txt").read_text().splitlines()))
    paths = {trait: folder / f"gwas_{trait}.regenie" for trait in traits}
    for trait, path in paths.items():
        if not path.exists():
            raise StudyError(f"REGENIE wrote no {path.name} for trait '{trait}'; version 2.2 or newer is needed.")
    return paths, table


def entered(log: str, traits: list[str], asked: list[str], people: int) -> pd.DataFrame:
    """Read from REGENIE's log how many covariates and people entered, and refuse others than asked for.

    REGENIE tells numbers, not names; columns are given to it by name (``--covarColList``), and it stops at one that is
    not in the file.

    Returns
    -------
    pandas.DataFrame
        Schema ``entered``.

    Raises
    ------
    StudyError
        If the numbers differ or are not told.
    """
    count = re.search(r"covariates\s*:.*n_cov = (\d+)", log)
    having = re.search(r"number of individuals with covariate data = (\d+)", log)
    if count is None or having is None:
        raise StudyError(
            "REGENIE's log does not tell how many covariates and people entered; version 2.2 to 4 is known."
        )
    if int(count[1]) != len(asked):
        raise StudyError(
            f"genetics: {count[1]} covariates entered REGENIE, asked for were {len(asked)} ({', '.join(asked)}). Leave "
            "out covariates that do not vary."
        )
    rows = [{"trait": trait, "covariate": name, "asked": True, "entered": True} for trait in traits for name in asked]
    table = pd.DataFrame(rows).assign(people=int(having[1]))
    gwas.check_entered(table, people, [])
    return table


def read_variants(prefix: str | Path) -> pd.DataFrame:
    """Read ``ref`` and ``alt`` of a fileset by variant id.

    Raises
    ------
    StudyError
        If an id stands there twice: REGENIE's rows name variants by id.
    """
    pvar = Path(f"{prefix}.pvar")
    if pvar.exists():
        with pvar.open() as stream:
            skipped = next(number for number, line in enumerate(stream) if not line.startswith("##"))
        table = pd.read_csv(
            pvar, sep="\t", skiprows=skipped, usecols=["ID", "REF", "ALT"], dtype=str, keep_default_na=False
        )
        table = table.set_axis(["id", "ref", "alt"], axis=1).set_index("id")
    else:
        columns = ["chrom", "id", "cm", "pos", "alt", "ref"]
        table = pd.read_csv(f"{prefix}.bim", sep=r"\s+", header=None, names=columns, dtype=str)
        table = table.set_index("id")[["ref", "alt"]]
    if not table.index.is_unique:
        name = table.index[table.index.duplicated()][0]
        raise StudyError(
            f"{prefix}: variant id '{name}' stands there twice; REGENIE's results go by id. Make ids unique."
        )
    return table


def _take(chunk: pd.DataFrame, variants: pd.DataFrame) -> pd.DataFrame:
    """Turn rows of a ``.regenie`` file, all text, into rows of schema ``gwas``."""
    chunk = chunk[chunk["TEST"] == "ADD"]
    alleles = variants.reindex(chunk["ID"])
    ref, alt = alleles["ref"].to_numpy(), alleles["alt"].to_numpy()
    first, second = chunk["ALLELE0"].to_numpy(), chunk["ALLELE1"].to_numpy()
    same, swapped = (first == ref) & (second == alt), (first == alt) & (second == ref)
    if not (same | swapped).all():
        row = int((~(same | swapped)).argmax())
        raise StudyError(
            f"REGENIE reports alleles {first[row]} and {second[row]} for variant '{chunk['ID'].iloc[row]}', the "
            f"genotypes have {ref[row]} and {alt[row]}. Ids of variants must be unique; run rule gwas again."
        )
    beta, se, frequency, log = (pd.to_numeric(chunk[name]).to_numpy() for name in ("BETA", "SE", "A1FREQ", "LOG10P"))
    # ALLELE1 is the effect allele; a1 is alt in every table of the study
    beta = np.where(swapped, -beta, beta)
    frequency = np.where(swapped, 1 - frequency, frequency)
    numbers = {"a1_freq": frequency, "beta": beta, "se": se, "t": beta / se}
    named = chunk.rename(columns={"CHROM": "chrom", "GENPOS": "pos", "ID": "id", "N": "n"})
    named["chrom"] = named["chrom"].replace({"23": "X"})
    p, logs = results.p_columns(log)
    written = {name: np.where(np.isnan(values), "n/a", np.char.mod("%.6g", values)) for name, values in numbers.items()}
    frame = named.assign(ref=ref, alt=alt, a1=alt, p=p, neg_log10_p=logs, **written)
    return frame.replace({name: {"n/a": None} for name in written})


def convert(path: str | Path, prefix: str | Path, target: str | Path) -> int:
    """Write a ``.regenie`` file as a table of schema ``gwas``, with little memory.

    Parameters
    ----------
    prefix : path
        The genotypes tested: which of a variant's alleles is ``alt``.

    Returns
    -------
    int
        Variants tested.

    Raises
    ------
    StudyError
        If alleles differ from the genotypes', or no variant was tested.
    """
    variants = read_variants(prefix)
    tested = results.write_stream(results.read_chunks(path, " ", lambda chunk: _take(chunk, variants)), target)
    if not tested:
        raise StudyError(f"REGENIE could test none of {len(variants)} variants; its log says why.")
    return tested
