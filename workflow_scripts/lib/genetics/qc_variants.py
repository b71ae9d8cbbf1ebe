"""Filters of the variants of one part: missing calls, frequency, duplicates, Hardy-Weinberg."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.genetics import tools
from workflow_scripts.lib.genetics.qc import MISSING_COLUMNS, Record, percent
from workflow_scripts.lib.genetics.tools import Limits


@dataclass
class Chain:
    """The variants of a part between steps; each step reads the imported file with the list that the last one left.

    Attributes
    ----------
    given : list of str
        plink2's arguments that name genotypes and people.
    variants : pandas.Index
        Ids of variants left, a repeated id as often as it occurs.
    unique : bool
        Whether repeated ids have been dealt with.
    """

    given: list[str]
    folder: Path
    limits: Limits
    variants: pd.Index
    unique: bool = False

    def arguments(self) -> list[str]:
        """Write the list of variants left; return plink2's arguments that name what is left."""
        extract = self.folder / "extract.txt"
        extract.write_text("\n".join(self.variants) + "\n")
        # identical copies of a variant share their id, so a list cannot tell them apart
        return [*self.given, "--extract", str(extract), *(["--rm-dup", "exclude-mismatch"] if self.unique else [])]

    def passing(self, name: str, flags: list[str]) -> pd.Index:
        """Run one filter and return the ids of variants that pass it."""
        out = self.folder / name
        command = [*self.arguments(), *flags, "--write-snplist", "allow-dups"]
        tools.run(tools.find("plink2"), command, out, self.limits)
        return pd.Index(Path(f"{out}.snplist").read_text().split(), dtype=str)


def _leave(chain: Chain, record: Record, step: str, text: str, left: pd.Index) -> None:
    gone = chain.variants[~chain.variants.isin(left)].unique()
    record.leave(step, text, variants=dict.fromkeys(gone, text), variants_removed=len(chain.variants) - len(left))
    chain.variants = left


def remove_duplicates(chain: Chain, record: Record, elsewhere: set[str]) -> None:
    """Keep one of variants with one id and equal calls, none if calls differ, one of equal place and alleles.

    Parameters
    ----------
    elsewhere : set of str
        Ids that stand on other chromosomes too: which of them is meant cannot be told, so all leave.
    """
    out = chain.folder / "duplicates"
    flags = ["--rm-dup", "exclude-mismatch", "list", "--make-just-pvar", "cols="]
    tools.run(tools.find("plink2"), [*chain.arguments(), *flags], out, chain.limits)
    table = pd.read_csv(f"{out}.pvar", sep="\t", comment=None, dtype=str, keep_default_na=False)
    again, abroad = table.duplicated(["#CHROM", "POS", "REF", "ALT"]), table["ID"].isin(elsewhere)
    repeated = chain.variants[chain.variants.duplicated()].unique()
    reasons = dict.fromkeys(table["ID"][again], "same place and alleles as another variant")
    reasons |= dict.fromkeys(repeated, "id stands several times with different calls")
    left = pd.Index(table["ID"][~again & ~abroad], dtype=str)
    # one of identical copies stays, so its id has not gone; the count of the step has the others
    reasons |= dict.fromkeys(repeated[repeated.isin(left)], "further copies of this id")
    several = chain.variants[chain.variants.isin(elsewhere)].unique()
    reasons |= dict.fromkeys(several, "id stands on several chromosomes")
    removed = len(chain.variants) - len(left)
    record.leave("duplicates", "duplicated variants", variants=reasons, variants_removed=removed)
    chain.variants, chain.unique = left, True


def filter_variants(
    prefix: Path, people: Path, settings: dict, elsewhere: list[str], out: str | Path, folder: Path, limits: Limits
) -> tuple[Record, pd.DataFrame]:
    """Filter the autosomal variants of a part and write them, of the people left, to ``out.pgen`` and its two files.

    Calls that are uncertain but have a dosage count as present; for hard calls this changes nothing.

    Parameters
    ----------
    prefix : pathlib.Path
        Imported fileset.
    people : pathlib.Path
        plink's list of who passed the filters of people.
    settings : dict
        Config section ``genetics: qc``.
    elsewhere : list of str
        Ids that stand on several chromosomes.
    folder : pathlib.Path
        An empty folder for working files.

    Returns
    -------
    record : Record
        Steps and removed variants.
    missing : pandas.DataFrame
        ``participant_id``, ``missing`` and ``calls`` (counts over the variants left).
    """
    plink2 = tools.find("plink2")
    given = [*tools.genotype_arguments(prefix), "--keep", str(people), "--autosome"]
    tools.run(plink2, [*given, "--write-snplist", "allow-dups"], folder / "autosomes", limits)
    start = pd.Index((folder / "autosomes.snplist").read_text().split(), dtype=str)
    chain = Chain(given, folder, limits, start)
    record = Record(len(tools.read_ids(people)), len(start))
    missing, frequency, limit = settings["max_variant_missing"], settings["min_maf"], settings["min_hwe_p"]
    left = chain.passing("geno", ["--geno", str(missing), "dosage"])
    _leave(chain, record, "variant_missingness", f"more than {percent(missing)} of calls missing", left)
    left = chain.passing("maf", ["--maf", str(frequency)])
    _leave(chain, record, "frequency", f"minor allele frequency below {percent(frequency)}", left)
    remove_duplicates(chain, record, set(elsewhere))
    written = ["--hwe", str(limit), "--make-pgen", "pvar-cols=", "psam-cols=sex", "--write-snplist"]
    tools.run(plink2, [*chain.arguments(), *written], Path(out), limits)
    left = pd.Index(Path(f"{out}.snplist").read_text().split(), dtype=str)
    _leave(chain, record, "hwe", f"Hardy-Weinberg p below {limit:g}", left)
    counts = ["--missing", "sample-only", "scols=nmissdosage,nobs"]
    tools.run(plink2, [*tools.genotype_arguments(out), *counts], folder / "missing", limits)
    table = pd.read_csv(folder / "missing.smiss", sep="\t", dtype={"#IID": str, "IID": str})
    table = table.rename(columns={"#IID": "IID"})[["IID", "MISSING_DOSAGE_CT", "OBS_CT"]]
    table = table.set_axis(MISSING_COLUMNS, axis=1)
    for ending in (".snplist", ".log"):
        Path(f"{out}{ending}").unlink()
    return record, table
