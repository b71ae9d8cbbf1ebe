"""Linear association of traits with variants by plink2, all traits in one run, and the covariates that entered it."""

import logging
import re
from collections import Counter
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.genetics import covariates as model
from workflow_scripts.lib.genetics import results, tools
from workflow_scripts.lib.genetics.tools import Limits, Tool
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError

LOGGER = logging.getLogger(__name__)
COLUMNS = {
    "#CHROM": "chrom",
    "POS": "pos",
    "ID": "id",
    "REF": "ref",
    "ALT": "alt",
    "A1": "a1",
    "A1_FREQ": "a1_freq",
    "OBS_CT": "n",
    "BETA": "beta",
    "SE": "se",
    "T_STAT": "t",
    "P": "p",
}
REPORT = "cols=chrom,pos,ref,alt,a1freq,test,nobs,beta,se,tz,p,err"
PROBES = 20  # variants of the run that shows its covariates


def write_inputs(prefix: str | Path, phenotypes: pd.DataFrame, covariates: pd.DataFrame, folder: Path) -> None:
    """Write ``phenotypes.txt``, ``covariates.txt`` and ``keep.txt`` with the family ids of a fileset.

    Phenotypes lose their mean, which changes no effect but the intercept's: plink2 takes columns of 0, 1 and 2 for
    cases and controls, and -9 for missing.

    Raises
    ------
    StudyError
        If a person has no sample.
    """
    samples = tools.read_samples(prefix).set_index("participant_id")
    absent = phenotypes.index.difference(samples.index)
    if len(absent):
        raise StudyError(
            f"{prefix}: {len(absent)} of {len(phenotypes)} people with phenotypes have no sample (e.g. '{absent[0]}'; "
            f"samples are e.g. '{samples.index[0]}'). All parts must hold the same people, with IID = participant_id."
        )
    samples = samples.loc[phenotypes.index].reset_index()
    tools.write_ids(samples, folder / "phenotypes.txt", phenotypes - phenotypes.mean())
    tools.write_ids(samples, folder / "covariates.txt", covariates)
    tools.write_ids(samples, folder / "keep.txt")


def _arguments(prefix: str | Path, folder: Path, max_vif: float) -> list[str]:
    return [
        *tools.genotype_arguments(prefix),
        *["--keep", str(folder / "keep.txt"), "--no-psam-pheno", "--no-input-missing-phenotype"],
        *["--pheno", str(folder / "phenotypes.txt"), "--covar", str(folder / "covariates.txt")],
        *["--covar-variance-standardize", "--vif", f"{max_vif:g}"],
    ]


def _residualize(tool: Tool, wanted: bool) -> list[str]:
    """Give plink2's word for taking covariates out once instead of at every variant, if it is wanted and known."""
    if not wanted:
        return []
    offered = "qt-residualize" in tools.call(tool, ["--help", "--glm"])
    LOGGER.info("%s %s qt-residualize", tool.version, "offers" if offered else "does not offer")
    return ["qt-residualize"] if offered else []


def association(
    prefix: str | Path,
    traits: list[str],
    folder: Path,
    limits: Limits,
    max_vif: float = model.MAX_VIF,
    residualize: bool = False,
) -> dict[str, Path]:
    """Regress each trait on each variant and the covariates.

    Parameters
    ----------
    prefix : path
        Genotypes after quality control.
    traits : list of str
        Columns of ``folder/phenotypes.txt``.
    folder : pathlib.Path
        What :func:`write_inputs` has filled; gets plink2's files.
    max_vif : float
        Largest variance inflation factor of a predictor; beyond it plink2 gives a variant no result.
    residualize : bool
        Take covariates out of traits once, where plink2 offers it (``qt-residualize``, since 2025): three times as
        fast; an approximation for variants with many missing calls.

    Returns
    -------
    dict of str to pathlib.Path
        plink2's table by trait, for :func:`convert`.
    """
    tool = tools.find("plink2")
    # omit-ref: otherwise the effect allele is the rarer one, which is REF for a fifth of variants, and programs that
    # take A1 and REF as the two alleles lose those
    glm = ["--glm", "omit-ref", "hide-covar", *_residualize(tool, residualize), REPORT]
    tools.run(tool, [*_arguments(prefix, folder, max_vif), *glm], folder / "gwas", limits)
    return {name: folder / f"gwas.{name}.glm.linear" for name in traits}


def _take(chunk: pd.DataFrame) -> pd.DataFrame:
    """Turn rows of a ``.glm.linear`` file, all text, into rows of schema ``gwas``."""
    chunk = chunk[chunk["TEST"] == "ADD"]
    p, logs = results.p_columns(results.neg_log10(chunk["P"], chunk["T_STAT"]))
    frame = chunk.rename(columns=COLUMNS)
    low = pd.to_numeric(frame["p"]) < results.LEAST_P
    return frame.assign(p=frame["p"].mask(low, pd.Series(p, frame.index)), neg_log10_p=logs)


def convert(path: str | Path, target: str | Path) -> int:
    """Write a ``.glm.linear`` file of plink2 as a table of schema ``gwas``, with little memory.

    Returns
    -------
    int
        Variants tested. The others have missing statistics; plink2's reasons are counted in the log.

    Raises
    ------
    StudyError
        If plink2 could test no variant.
    """
    reasons: Counter[str] = Counter()

    def take(chunk: pd.DataFrame) -> pd.DataFrame:
        if "ERRCODE" in chunk:
            reasons.update(chunk["ERRCODE"][chunk["P"].isna()].fillna("no reason given"))
        return _take(chunk)

    tested = results.write_stream(results.read_chunks(path, "\t", take), target)
    if reasons:
        LOGGER.warning("%s: variants without a result: %s", Path(path).name, dict(reasons))
    if not tested:
        raise StudyError(
            f"plink2 could test none of {reasons.total()} variants ({', '.join(sorted(reasons)) or 'none given'}). "
            "VIF_TOO_HIGH or CORR_TOO_HIGH: covariates are nearly collinear; lower genetics: pcs: count."
        )
    return tested


def entered(
    prefix: str | Path,
    traits: list[str],
    asked: list[str],
    folder: Path,
    limits: Limits,
    max_vif: float = model.MAX_VIF,
) -> pd.DataFrame:
    """Have plink2 itself say which covariates enter, by a run on a few variants that reports every term of the model.

    Parameters
    ----------
    asked : list of str
        Covariates that should enter.
    folder : pathlib.Path
        As for :func:`association`.

    Returns
    -------
    pandas.DataFrame
        Schema ``entered``: a row for each trait and each covariate that was asked for or entered.

    Raises
    ------
    StudyError
        If they are not the same, or not all people entered (see :func:`check_entered`).
    """
    probe = ["--thin-count", str(PROBES), "--seed", "1", "--glm", "omit-ref", REPORT]
    log = tools.run(tools.find("plink2"), [*_arguments(prefix, folder, max_vif), *probe], folder / "probe", limits)
    kept = re.search(r"--keep: (\d+) samples? remaining", log)
    rows = []
    most = 0
    for trait in traits:
        shown = pd.read_csv(
            folder / f"probe.{trait}.glm.linear", sep="\t", usecols=["TEST", "OBS_CT"], dtype={"TEST": str}
        )
        most = max(most, int(shown["OBS_CT"].max()))
        terms = [term for term in dict.fromkeys(shown["TEST"]) if term != "ADD"]
        rows += [
            {"trait": trait, "covariate": name, "asked": name in asked, "entered": name in terms}
            for name in [*asked, *[term for term in terms if term not in asked]]
        ]
    table = pd.DataFrame(rows, columns=["trait", "covariate", "asked", "entered"])
    table["people"] = int(kept[1]) if kept else most
    wanted = len(tools.read_ids(folder / "keep.txt"))
    words = [line for line in log.splitlines() if "ovariate" in line and line.startswith("Warning")]
    check_entered(table, wanted, words)
    return table


def check_entered(table: pd.DataFrame, people: int, words: list[str]) -> None:
    """Refuse an association whose covariates or people are not those that were asked for.

    Parameters
    ----------
    table : pandas.DataFrame
        Schema ``entered``.
    people : int
        Who should enter.
    words : list of str
        What the program said of covariates.
    """
    said = f" The program said: {' '.join(dict.fromkeys(words))}" if words else ""
    for trait, rows in table.groupby("trait", sort=False):
        lost = rows.loc[rows["asked"] & ~rows["entered"], "covariate"].tolist()
        added = rows.loc[~rows["asked"] & rows["entered"], "covariate"].tolist()
        if lost or added:
            raise StudyError(
                f"genetics: the covariates of trait '{trait}' that entered are not those asked for: missing "
                f"{', '.join(lost) or 'none'}, unasked {', '.join(added) or 'none'}.{said} Leave out covariates that "
                "do not vary, and give categorical ones under genetics: covariates: categorical."
            )
        if (rows["people"] != people).any():
            raise StudyError(
                f"genetics: {rows['people'].iloc[0]} people entered the association of trait '{trait}', asked for were "
                f"{people}.{said} Run rules make_phenotypes and gwas again."
            )


def write_gzip(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table as .tsv.gz without name and time in its header, atomically."""
    with results.gzip_writer(path) as stream:
        table.to_csv(stream, sep="\t", index=False, na_rep="n/a", float_format="%.10g", lineterminator="\n")


def write_results(table: pd.DataFrame, path: str | Path, schema: str = "gwas") -> None:
    """Check a table against its schema and write it as :func:`write_gzip` does."""
    tables.check_table(table, schema, str(path))
    write_gzip(table, path)
