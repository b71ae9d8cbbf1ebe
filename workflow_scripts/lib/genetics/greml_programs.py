"""GREML by GCTA or BOLT-REML, where they are installed and config asks for them: commands and answers."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from scipy import stats

from workflow_scripts.lib.genetics import greml, grm, reml, tools
from workflow_scripts.lib.genetics.grm import Grm
from workflow_scripts.lib.genetics.tools import Limits, Tool
from workflow_scripts.lib.study.errors import StudyError

NAN = float("nan")
NUMBER = r"(-?[\d.]+(?:e[-+]?\d+)?|-?nan|-?inf)"


def _tables(
    names: list[str], one: Callable[[str], dict], two: Callable[[str, str], dict], level: float, about: dict
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ask for every trait and every pair, and form the tables of :func:`greml.estimate`."""
    shares = pd.DataFrame([{"trait": name, **about, **one(name)} for name in names])
    pairs = [{"trait_a": a, "trait_b": b, **about, **two(a, b)} for a, b in itertools.combinations(names, 2)]
    shares = greml.add_wald(shares, "h2", 0.0, level)
    table = pd.DataFrame(pairs, columns=[*greml.CORRELATION, "variants"])
    return shares[greml.HERITABILITY], greml.add_wald(table, "rg", -1.0, level)[greml.CORRELATION]


# GCTA


def run_gcta(
    relatedness: Grm, phenotypes: pd.DataFrame, covariates: pd.DataFrame, folder: Path, limits: Limits, level: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Let GCTA estimate what :func:`greml.estimate` does.

    Parameters
    ----------
    folder : pathlib.Path
        An empty folder for working files.

    Raises
    ------
    StudyError
        If ``gcta64`` is not installed, fails, or writes no results.
    """
    tool = tools.find("gcta")
    grm.write(relatedness, folder / "all")
    for file, table in (("phenotypes.txt", phenotypes), ("covariates.txt", covariates)):
        _write_plain(relatedness.samples, table, folder / file, header=False)
    names = list(phenotypes)
    about = {"method": "gcta", "people": len(phenotypes), "variants": relatedness.variants}

    def ask(out: str, arguments: list[str]) -> dict[str, tuple[float, float]]:
        tools.call(tool, gcta_arguments(folder, out, arguments, limits), folder / f"{out}.log", limits)
        return read_hsq(folder / f"{out}.hsq")

    def one(name: str) -> dict:
        found = ask(f"h2.{names.index(name)}", ["--reml", "--mpheno", str(names.index(name) + 1)])
        lrt = found["LRT"][0]
        return {
            **dict(zip(("h2", "se"), found["V(G)/Vp"], strict=True)),
            **{"lrt": lrt, "p": reml.boundary_p(lrt)},
            **{"genetic_variance": found["V(G)"][0], "residual_variance": found["V(e)"][0], "note": ""},
        }

    def two(first: str, second: str) -> dict:
        columns = [str(names.index(name) + 1) for name in (first, second)]
        zero, fixed = (
            ask(f"rg.{'.'.join(columns)}.{rg}", ["--reml-bivar", *columns, "--reml-bivar-lrt-rg", rg])
            for rg in ("0", "1")
        )
        residual = zero["C(e)_tr12"][0] / (zero["V(e)_tr1"][0] * zero["V(e)_tr2"][0]) ** 0.5
        return {
            **dict(zip(("rg", "se"), zero["rG"], strict=True)),
            "p_zero": float(stats.chi2.sf(max(zero["LRT"][0], 0), 1)),
            "p_one": reml.boundary_p(fixed["LRT"][0]),
            **{"re": residual, "re_se": NAN, "note": "GCTA prints no standard error of re"},
        }

    return _tables(names, one, two, level, about)


def gcta_arguments(folder: Path, out: str, arguments: list[str], limits: Limits) -> list[str]:
    """Return the arguments of one run of GCTA on the files that :func:`run_gcta` writes."""
    files = ["--grm", str(folder / "all"), "--pheno", str(folder / "phenotypes.txt")]
    files += ["--qcovar", str(folder / "covariates.txt")]
    return [*arguments, *files, "--thread-num", str(limits.threads), "--out", str(folder / out)]


def read_hsq(path: Path) -> dict[str, tuple[float, float]]:
    """Read GCTA's ``.hsq``: by the name in its first column, the number and, where there is one, its error.

    Raises
    ------
    StudyError
        If it is absent or has no estimate, as after an optimisation that did not converge.
    """
    found = {}
    for line in path.read_text().splitlines()[1:] if path.exists() else []:
        cells = re.split(r"\t| {2,}", line.strip())
        numbers = [re.match(NUMBER, cell) for cell in cells[1:3]]
        if numbers and numbers[0]:
            found[cells[0]] = (float(numbers[0][1]), float(numbers[1][1]) if numbers[1:] and numbers[1] else NAN)
    if not {"V(G)/Vp", "rG"} & set(found) or "LRT" not in found:
        raise StudyError(
            f"{path}: GCTA wrote no estimate (its log is beside it). Usual reasons: no convergence, or too few people. "
            "Set genetics: greml: tool: embedded, which says what is at a bound."
        )
    return found


# BOLT-REML


def make_filesets(
    prefixes: list[Path], people: pd.DataFrame, extract: str | None, folder: Path, limits: Limits
) -> list[Path]:
    """Write the parts' genotypes of some people as the .bed filesets that :func:`run_bolt` takes."""
    tools.write_ids(people, folder / "keep.txt")
    chosen = ["--extract", extract] if extract else []
    filesets = []
    for place, prefix in enumerate(prefixes, 1):
        arguments = [*tools.genotype_arguments(prefix), "--keep", str(folder / "keep.txt"), *chosen]
        # BOLT matches people by both ids and wants those of all files in one order
        arguments += ["--indiv-sort", "file", str(folder / "keep.txt"), "--max-alleles", "2", "--make-bed"]
        filesets.append(folder / f"part{place}")
        tools.run(tools.find("plink2"), arguments, filesets[-1], limits)
    return filesets


def run_bolt(
    filesets: list[Path], people: pd.DataFrame, data: tuple[pd.DataFrame, pd.DataFrame], limits: Limits, level: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Let BOLT-REML estimate what :func:`greml.estimate` does; it needs genotypes and no matrix.

    BOLT has no likelihood-ratio test: p-values are those of the estimate over its standard error (one-sided for h2 and
    for rg = 1).

    Parameters
    ----------
    filesets : list of pathlib.Path
        .bed filesets ``part1``, ``part2``, ... in one folder, which also gets the working files.
    people : pandas.DataFrame
        ``fid``, ``participant_id``.
    data : tuple of pandas.DataFrame
        Traits and covariates, in the same order.

    Raises
    ------
    StudyError
        If ``bolt`` is not installed, fails, or prints no estimate.
    """
    tool, folder = tools.find("bolt"), filesets[0].parent
    phenotypes, covariates = data
    traits = phenotypes.set_axis([f"trait{place}" for place in range(len(phenotypes.columns))], axis=1)
    _write_plain(people, traits, folder / "phenotypes.txt", header=True)
    given = covariates.set_axis([f"c{place + 1}" for place in range(len(covariates.columns))], axis=1)
    _write_plain(people, given, folder / "covariates.txt", header=True)
    names = list(phenotypes)
    variants = sum(sum(1 for _ in prefix.with_suffix(".bim").open()) for prefix in filesets)
    about = {"method": "bolt", "people": len(people), "variants": variants}

    def ask(*asked: str) -> dict[str, tuple[float, float]]:
        columns = [f"trait{names.index(name)}" for name in asked]
        return _ask_bolt(tool, bolt_arguments(folder, len(filesets), columns, len(covariates.columns), limits), limits)

    def one(name: str) -> dict:
        found = ask(name)
        (h2, se), total = found["h2g (1,1)"], found["sigma2 1"][0]
        p = float(stats.norm.sf(h2 / se))
        variances = {"genetic_variance": h2 * total, "residual_variance": (1 - h2) * total}
        return {"h2": h2, "se": se, "lrt": NAN, "p": p, **variances, "note": "p of the estimate over its error"}

    def two(first: str, second: str) -> dict:
        found = ask(first, second)
        (rg, se), (re_, re_se) = found["gen corr (1,2)"], found["resid corr (1,2)"]
        tests = {"p_zero": float(2 * stats.norm.sf(abs(rg) / se)), "p_one": float(stats.norm.sf((1 - rg) / se))}
        return {"rg": rg, "se": se, **tests, "re": re_, "re_se": re_se, "note": "p of the estimate over its error"}

    return _tables(names, one, two, level, about)


def bolt_arguments(folder: Path, parts: int, traits: list[str], covariates: int, limits: Limits) -> list[str]:
    """Return the arguments of one run of BOLT-REML; ``{1:n}`` is BOLT's own word for several files or columns."""
    span = f"{{1:{parts}}}"
    genotypes = [f"--{ending}={folder}/part{span}.{ending}" for ending in ("bed", "bim")]
    wanted = [f"--phenoCol={name}" for name in traits]
    given = [f"--covarFile={folder}/covariates.txt", f"--qCovarCol=c{{1:{covariates}}}"] if covariates else []
    return [
        *("--reml", *genotypes, f"--fam={folder}/part1.fam", f"--phenoFile={folder}/phenotypes.txt", *wanted, *given),
        # maps without centimorgans are usual and are not needed for this
        *("--noMapCheck", f"--numThreads={limits.threads}"),
    ]


def _ask_bolt(tool: Tool, arguments: list[str], limits: Limits) -> dict[str, tuple[float, float]]:
    return read_bolt(tools.call(tool, arguments, limits=limits))


def read_bolt(text: str) -> dict[str, tuple[float, float]]:
    """Read what BOLT-REML prints at its end: ``h2g (1,1)``, ``gen corr (1,2)``, ..., ``sigma2 1`` with errors.

    Raises
    ------
    StudyError
        If there is no estimate.
    """
    pattern = rf"^\s*((?:h2g|h2e|gen corr|resid corr) \(\d+,\d+\)): {NUMBER} \({NUMBER}\)"
    found = {name: (float(value), float(error)) for name, value, error in re.findall(pattern, text, re.M)}
    variances = re.findall(rf"^Phenotype (\d+) variance sigma2: {NUMBER} \({NUMBER}\)", text, re.M)
    found |= {f"sigma2 {place}": (float(value), float(error)) for place, value, error in variances}
    if "h2g (1,1)" not in found:
        last = " / ".join(text.strip().splitlines()[-3:])
        raise StudyError(f"BOLT-REML printed no estimate; its last words: {last}. Set genetics: greml: tool: embedded.")
    return found


def _write_plain(samples: pd.DataFrame, values: pd.DataFrame, path: Path, header: bool) -> None:
    """Write FID, IID and numbers, separated by spaces, as both programs read them."""
    table = samples[["fid", "participant_id"]].set_axis(["FID", "IID"], axis=1).reset_index(drop=True)
    table = pd.concat([table, values.reset_index(drop=True)], axis=1)
    table.to_csv(path, sep=" ", index=False, header=header, na_rep="NA", float_format="%.10g")
