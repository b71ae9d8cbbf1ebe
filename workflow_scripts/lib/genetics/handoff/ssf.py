"""Summary statistics in the format of the GWAS Catalog, GWAS-SSF, with the file of metadata beside them."""

import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from scipy import special

from workflow_scripts.lib.genetics.handoff import files

VERSION = "GWAS-SSF v1.0"
ASSEMBLY = {"hg19": "GRCh37", "hg38": "GRCh38"}
MISSING = "#NA"
MANDATORY = ["chromosome", "base_pair_location", "effect_allele", "other_allele", "beta", "standard_error"]
MANDATORY += ["effect_allele_frequency"]
LEAST_ROWS = 100_000  # the GWAS Catalog takes no smaller files
LEAST_P = 1e-307  # schema ``gwas`` writes all smaller p-values as this one and has their logarithms beside


def neg_log10_p(table: pd.DataFrame) -> pd.Series:
    """Return -log10 of p-values, also of those too small for a number; without the column for it, of a normal z."""
    if "neg_log10_p" in table:
        return table["neg_log10_p"]
    exact = -np.log10(table["p"].clip(lower=LEAST_P)) + 0.0  # no -0
    normal = -(np.log(2) + special.log_ndtr(-(table["beta"] / table["se"]).abs())) / np.log(10)
    return exact.where(table["p"] > LEAST_P, normal)


def to_ssf(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Bring results into the columns of GWAS-SSF.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns of schema ``gwas`` and, if there is one, ``info`` (imputation quality).

    Returns
    -------
    ssf : pandas.DataFrame
        Columns in the order of the standard: with ``p_value``, or ``neg_log_10_p_value`` where one is too small for a
        number; ``rsid`` only if there are any.
    dropped : dict of int
        Reason -> variants.

    References
    ----------
    .. [1] Hayhurst et al., A community driven GWAS summary statistics standard, bioRxiv 2022.07.15.500230.
    """
    kept, dropped = files.prepare(table, range(1, 26))
    values = [kept["chrom"], kept["pos"], kept["a1"], kept["a2"], kept["beta"], kept["se"], kept["a1_freq"]]
    ssf = pd.DataFrame(dict(zip(MANDATORY, values, strict=True)))
    if (kept["p"] <= LEAST_P).any():
        ssf["neg_log_10_p_value"] = neg_log10_p(kept)
    else:
        ssf["p_value"] = kept["p"]
    named = kept["id"].str.fullmatch(files.RS)
    if named.any():
        ssf["rsid"] = kept["id"].where(named)
    places = kept["chrom"].astype(str) + "_" + kept["pos"].astype(str)
    ssf["variant_id"] = places + "_" + kept["ref"] + "_" + kept["alt"]
    ssf["ref_allele"] = np.where(kept["a1"] == kept["ref"], "EA", "OA")
    ssf["n"] = kept["n"]
    if "info" in kept and kept["info"].notna().any():
        ssf["info"] = kept["info"].clip(0, 1)
    return ssf, dropped


def metadata(file: Path, trait: str, people: int, about: dict) -> dict:
    """Describe a file in the words of the standard.

    Parameters
    ----------
    file : pathlib.Path
        The table, written.
    trait : str
    people : int
        Most people of any variant.
    about : dict
        ``build``, ``software``, ``covariates`` (list of names), ``min_maf``, ``date``, and config section ``handoff``:
        ``descriptions``, ``ontology``, ``ancestry``, ``ancestry_method``, ``sex``, ``genotyping``,
        ``imputation_panel``, ``imputation_software``, ``notes``.

    Returns
    -------
    dict
        In the order of the standard; what is not known is left out.
    """
    sample = {
        "sample_ancestry_category": about["ancestry"] or ["NR"],
        "sample_size": int(people),
        "ancestry_method": about["ancestry_method"],
        "case_control_study": False,
    }
    written = about["date"] or datetime.date.today().isoformat()
    content = {
        "author_notes": about["notes"],
        "date_metadata_last_modified": datetime.date.fromisoformat(str(written)),
        "trait_description": [about["descriptions"].get(trait, trait)],
        "ontology_mapping": about["ontology"].get(trait),
        "genome_assembly": ASSEMBLY[about["build"]],
        "coordinate_system": "1-based",
        "genotyping_technology": about["genotyping"],
        "imputation_panel": about["imputation_panel"],
        "imputation_software": about["imputation_software"],
        "samples": [{key: value for key, value in sample.items() if value not in (None, [])}],
        "sex": about["sex"],
        "data_file_name": file.name,
        "file_type": VERSION,
        "data_file_md5sum": files.md5(file),
        "analysis_software": about["software"],
        "adjusted_covariates": about["covariates"],
        "minor_allele_freq_lower_limit": about["min_maf"],
        "is_harmonised": False,
        "is_sorted": True,
    }
    return {key: value for key, value in content.items() if value not in (None, [], "")}


def write(table: pd.DataFrame, path: Path, trait: str, about: dict) -> tuple[pd.DataFrame, dict[str, int]]:
    """Write the table and, beside it, ``NAME-meta.yaml``; gives both of :func:`to_ssf`.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns of schema ``gwas``.
    path : pathlib.Path
        Ends in .tsv.gz.
    trait : str
    about : dict
        See :func:`metadata`.
    """
    ssf, dropped = to_ssf(table)
    files.write_columns(ssf, path, MISSING)
    content = metadata(path, trait, int(ssf["n"].max()) if len(ssf) else 0, about)
    with files.open_text(path.with_name(f"{path.name}-meta.yaml")) as stream:
        yaml.safe_dump(content, stream, sort_keys=False, allow_unicode=True, default_flow_style=False)
    return ssf, dropped
