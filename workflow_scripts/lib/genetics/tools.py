"""Find and run plink2 and plink 1.9, and exchange sample lists with them."""

import logging
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.study.errors import StudyError

LOGGER = logging.getLogger(__name__)
# Debian calls the program plink1.9, conda calls it plink; Debian's plink is the old 1.07
NAMES = {"plink2": ["plink2"], "plink1.9": ["plink1.9", "plink"]}
VERSIONS = {"plink2": r"PLINK v2\.\S+", "plink1.9": r"PLINK v1\.9\S*"}
LEAST_PEOPLE = 50  # plink2 refuses to estimate allele frequencies and linkage from fewer


@dataclass(frozen=True)
class Tool:
    """An outside program: ``name`` (plink2 or plink1.9), ``path`` and ``version``."""

    name: str
    path: str
    version: str


@dataclass(frozen=True)
class Limits:
    """What a command may use: ``threads`` and ``memory`` (MB)."""

    threads: int = 1
    memory: int = 1000

    def arguments(self) -> list[str]:
        """Return the arguments that both programs take for it."""
        return ["--threads", str(self.threads), "--memory", str(self.memory)]


def find(name: str) -> Tool:
    """Find ``plink2`` or ``plink1.9`` on the path.

    Raises
    ------
    StudyError
        If there is none, or a program of that name has another version.
    """
    seen = []
    for candidate in NAMES[name]:
        path = shutil.which(candidate)
        if path is None:
            continue
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        first = (answer.stdout or answer.stderr).strip().partition("\n")[0]
        if match := re.match(VERSIONS[name], first):
            return Tool(name, path, match.group())
        seen.append(f"{path} ({first or 'no version'})")
    found = f"found only {', '.join(seen)}" if seen else f"no {' or '.join(NAMES[name])} on the path"
    raise StudyError(
        f"{name} is needed for genetics: {found}. Install it (Debian or Ubuntu: apt-get install plink2 plink1.9) "
        "or let Snakemake bring it: --sdm conda."
    )


def run(tool: Tool, arguments: list[str], out: Path, limits: Limits | None = None) -> str:
    """Run a program with its answers in ``out.*`` and give back its log.

    Parameters
    ----------
    arguments : list of str
        Without the program, ``--out`` and limits.

    Raises
    ------
    StudyError
        If it fails, with the program's own words.
    """
    command = [tool.path, *arguments, *(limits or Limits()).arguments(), "--out", str(out)]
    LOGGER.info("%s: %s", tool.version, " ".join(command))
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    log = Path(f"{out}.log")
    text = log.read_text() if log.exists() else answer.stdout + answer.stderr
    LOGGER.info("%s", text.strip())
    if answer.returncode:
        words = answer.stderr.strip() or "\n".join(text.strip().splitlines()[-5:])
        raise StudyError(f"{tool.name} stopped (status {answer.returncode}): {words}\nCommand: {' '.join(command)}")
    return text


def genotype_arguments(prefix: str | Path) -> list[str]:
    """Return plink2's arguments that name genotypes, whichever of the two formats stands at ``prefix``.

    Variants without an id get chromosome, position and alleles as id, since lists of variants go by id.

    Raises
    ------
    StudyError
        If there are neither .pgen nor .bed files.
    """
    if Path(f"{prefix}.pgen").exists():
        packed = ["vzs"] if Path(f"{prefix}.pvar.zst").exists() else []
        named = ["--pfile", str(prefix), *packed]
    elif Path(f"{prefix}.bed").exists():
        named = ["--bfile", str(prefix)]
    else:
        raise StudyError(
            f"genetics: genotypes: found neither {prefix}.pgen nor {prefix}.bed. Give the path of a .pgen/.pvar/.psam "
            "or .bed/.bim/.fam fileset without its ending."
        )
    return [*named, "--set-missing-var-ids", "@:#:$r:$a", "--new-id-max-allele-len", "50", "truncate"]


def read_samples(prefix: str | Path) -> pd.DataFrame:
    """Read who is in a fileset: columns ``fid`` (0 if there is none) and ``participant_id``, text.

    Raises
    ------
    StudyError
        If an id stands there twice.
    """
    psam = Path(f"{prefix}.psam")
    if psam.exists():
        return read_ids(psam)
    fam = pd.read_csv(f"{prefix}.fam", sep=r"\s+", header=None, usecols=[0, 1], dtype=str)
    return _unique(fam.set_axis(["fid", "participant_id"], axis=1), f"{prefix}.fam")


def read_ids(path: str | Path) -> pd.DataFrame:
    """Read the people of a plink2 list or .psam file, whose columns its header names."""
    lines = Path(path).read_text().splitlines()
    skipped = sum(line.startswith("##") for line in lines)
    table = pd.read_csv(path, sep=r"\s+", dtype=str, skiprows=skipped, keep_default_na=False)
    table.columns = [str(column).lstrip("#") for column in table.columns]
    fid = table["FID"] if "FID" in table else pd.Series("0", index=table.index)
    return _unique(pd.DataFrame({"fid": fid, "participant_id": table["IID"]}), str(path))


def _unique(samples: pd.DataFrame, source: str) -> pd.DataFrame:
    twice = samples["participant_id"].duplicated()
    if twice.any():
        raise StudyError(
            f"{source}: sample id '{samples['participant_id'][twice].iloc[0]}' stands there twice; each person of the "
            "study may have one sample. Remove or rename the others."
        )
    return samples


def write_ids(samples: pd.DataFrame, path: str | Path, values: pd.DataFrame | None = None) -> None:
    """Write people for plink2, with their family ids, without which plink2 would not find them again.

    Parameters
    ----------
    samples : pandas.DataFrame
        ``fid``, ``participant_id``.
    values : pandas.DataFrame, optional
        Columns to write beside them (phenotypes, covariates), in the same order of rows.
    """
    table = samples[["fid", "participant_id"]].set_axis(["#FID", "IID"], axis=1)
    if values is not None:
        table = pd.concat([table.reset_index(drop=True), values.reset_index(drop=True)], axis=1)
    table.to_csv(path, sep="\t", index=False, na_rep="NA", float_format="%.10g")


def match_people(samples: pd.DataFrame, wanted: list[str], source: str, least: int = LEAST_PEOPLE) -> pd.DataFrame:
    """Choose the samples of the wanted people.

    Raises
    ------
    StudyError
        If fewer than ``least`` people have a sample; the message shows ids from both sides.
    """
    found = samples[samples["participant_id"].isin(set(wanted))]
    if len(found) < least:
        unknown = samples["participant_id"][~samples["participant_id"].isin(set(wanted))]
        raise StudyError(
            f"{source}: {len(found)} of {len(wanted)} people with the role gwas have a sample; at least {least} are "
            f"needed. Sample ids (IID) must equal participant_id: samples of nobody are e.g. "
            f"{', '.join(unknown[:3]) or 'none'}; participants are e.g. {', '.join(wanted[:3]) or 'none'}. Correct the "
            "ids (plink2 --update-ids), give more people the role gwas, or leave genetics out."
        )
    return found.reset_index(drop=True)
