"""Linear association of phenotypes with variants by plink2, all phenotypes in one run."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from workflow_scripts.lib.genetics import tools
from workflow_scripts.lib.genetics.phenotypes import Design
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.files import atomic

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
MEDIAN_CHI2 = stats.chi2.ppf(0.5, 1)


def association(prefix: str | Path, design: Design, folder: Path, limits: Limits) -> dict[str, pd.DataFrame]:
    """Regress each phenotype on each variant and the covariates.

    Parameters
    ----------
    prefix : path
        Genotypes after quality control.
    folder : pathlib.Path
        An empty folder for working files.

    Returns
    -------
    dict of pandas.DataFrame
        By phenotype: ``chrom``, ``pos`` (base pairs), ``id``, ``ref``, ``alt``, ``a1`` (the effect allele, always
        ``alt``), ``a1_freq``, ``n`` (people), ``beta`` (unit of the phenotype per ``a1``), ``se``, ``t``, ``p``.
        Statistics of a variant that plink2 could not test are missing.
    """
    samples = tools.read_samples(prefix).set_index("participant_id").loc[design.phenotypes.index].reset_index()
    tools.write_ids(samples, folder / "phenotypes.txt", design.phenotypes)
    tools.write_ids(samples, folder / "covariates.txt", design.covariates)
    tools.write_ids(samples, folder / "keep.txt")
    # omit-ref: otherwise the effect allele is the rarer one, which is REF for a fifth of variants, and programs that
    # take A1 and REF as the two alleles lose those
    arguments = [
        *tools.genotype_arguments(prefix),
        *["--keep", str(folder / "keep.txt")],
        *["--pheno", str(folder / "phenotypes.txt"), "--covar", str(folder / "covariates.txt")],
        "--covar-variance-standardize",
        *["--glm", "omit-ref", "hide-covar", "cols=chrom,pos,ref,alt,a1freq,test,nobs,beta,se,tz,p,err"],
    ]
    tools.run(tools.find("plink2"), arguments, folder / "gwas", limits)
    return {name: read_results(folder / f"gwas.{name}.glm.linear") for name in design.phenotypes}


def read_results(path: str | Path) -> pd.DataFrame:
    """Read a ``.glm.linear`` file of plink2 (see :func:`association` for the columns).

    Raises
    ------
    StudyError
        If plink2 could test no variant.
    """
    table = pd.read_csv(path, sep="\t", dtype={"#CHROM": str, "ID": str, "ERRCODE": str}, na_values=["NA"])
    table = table[table["TEST"] == "ADD"]
    if not table["P"].notna().any():
        codes = table.get("ERRCODE", pd.Series(dtype=str)).dropna().unique()
        raise StudyError(
            f"plink2 could test none of {len(table)} variants ({', '.join(codes) or 'no reason given'}). "
            "VIF_TOO_HIGH or CORR_TOO_HIGH: covariates are nearly collinear; lower genetics: pcs: count."
        )
    return table.rename(columns=COLUMNS)[list(COLUMNS.values())].reset_index(drop=True)


def write_results(table: pd.DataFrame, path: str | Path, schema: str | None = "gwas") -> None:
    """Check a table and write it as .tsv.gz whose bytes depend on its content only."""
    if schema:
        tables.check_table(table, schema, str(path))
    write_gzip(table, path)


def write_gzip(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table as .tsv.gz without name and time in its header, atomically."""
    with (
        atomic(path) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as stream,
    ):
        table.to_csv(stream, sep="\t", index=False, na_rep="n/a", float_format="%.10g")


def lambda_gc(p: np.ndarray) -> float:
    """Return the genomic inflation factor of p-values: median chi-square over its expectation."""
    p = np.asarray(p, float)
    return float(stats.chi2.isf(np.median(p[np.isfinite(p)]), 1) / MEDIAN_CHI2)


def summarise(results: dict[str, pd.DataFrame], threshold: float) -> pd.DataFrame:
    """Give one row a phenotype: people, variants tested, inflation, variants below the threshold, the strongest one."""
    rows = []
    for name, table in results.items():
        tested = table[table["p"].notna()]
        top = tested.loc[tested["p"].idxmin()]
        rows.append(
            {
                "representation": name,
                "people": int(tested["n"].max()),
                "variants": len(tested),
                "lambda_gc": lambda_gc(tested["p"]),
                "significant": int((tested["p"] < threshold).sum()),
                "top_id": top["id"],
                "top_beta": top["beta"],
                "top_p": top["p"],
            }
        )
    return pd.DataFrame(rows)


def leads(table: pd.DataFrame, threshold: float, distance: int = 1_000_000) -> pd.DataFrame:
    """Find the strongest variant of each neighbourhood: the lowest p, then the next one that is farther away, ...

    Position only, without linkage: for labels of a figure and a first look; loci proper are clumped by linkage.

    Parameters
    ----------
    distance : int
        Least distance of two leads on a chromosome, base pairs.
    """
    left = table[table["p"] < threshold].sort_values("p", kind="stable")
    found = []
    while len(left):
        first = left.iloc[0]
        found.append(first.name)
        left = left[(left["chrom"] != first["chrom"]) | ((left["pos"] - first["pos"]).abs() >= distance)]
    return table.loc[found]
