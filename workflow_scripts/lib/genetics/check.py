"""Refusals before any compute: programs, files, ids, build and traits, from headers and lists alone.

Called once, when a study starts. What the study makes itself while it runs is not looked for.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.genetics import build, genotypes, headers, sources, tools
from workflow_scripts.lib.genetics.sources import Source
from workflow_scripts.lib.genetics.trait_names import trait_columns
from workflow_scripts.lib.study.errors import StudyError

LOGGER = logging.getLogger(__name__)
READ = 32 * 2**20  # bytes read of all lists of variants together, about a second
FIRST = 20_000  # variants read of a packed list
SEXES = {"F", "M"}
LEAST_DISTINCT = 2


def programs(settings: dict) -> list[str]:
    """List the outside programs that the config needs, from section ``genetics``."""
    needed = ["plink2", "plink1.9"]
    for section, program in (("gwas", "regenie"), ("greml", "gcta"), ("greml", "bolt")):
        if settings.get(section, {}).get("tool") == program:
            needed.append(program)
    return needed


def check_programs(settings: dict) -> None:
    """Refuse a study whose outside programs are not installed, all of them named."""
    faults = []
    for name in programs(settings):
        try:
            tools.find(name)
        except StudyError as error:
            faults.append(str(error))
    if faults:
        raise StudyError("\n        ".join(faults) + " Or leave genetics and figures out of stages.")


def check_files(settings: dict) -> None:
    """Refuse genotypes of which files or whole chromosomes are missing, all of them named."""
    lacking: dict[str, list[str]] = {}
    for part in sources.imported_parts(settings):
        files = [*sources.source(settings, part).files]
        info = sources.info_table(settings, part)
        files += [info] if info else []
        if absent := [file for file in files if not Path(file).exists()]:
            lacking[part] = absent
    if not lacking:
        return
    path = settings["genotypes"]
    if list(lacking) == [sources.ALL] or sources.PLACE not in path:
        files = list(dict.fromkeys(file for files in lacking.values() for file in files))
        raise StudyError(
            f"genetics: genotypes: '{path}': {', '.join(files)} not found. Give the path of a .pgen/.pvar/.psam or "
            ".bed/.bim/.fam fileset without its ending, or of a .bgen, .vcf.gz or .bcf file."
        )
    example = next(iter(lacking.values()))
    remedy = "Add the files, or name the chromosomes that there are in genetics: chromosomes"
    remedy += " (X serves the sex check: qc: check_sex: false goes without)." if "X" in lacking else "."
    raise StudyError(
        f"genetics: genotypes: '{path}': no files of chromosome {', '.join(lacking)} (e.g. {example[0]}). {remedy}"
    )


def _is_plain(source: Source) -> bool:
    return source.kind in ("bed", "pgen", "vcf") and Path(source.variants).suffix not in (".gz", ".bgz", ".zst")


def _variants(source: Source, most_bytes: int) -> Iterable[tuple[str, int, str]]:
    """Read variants: of a plain list all over it, of a packed one the first."""
    if _is_plain(source):
        return headers.sampled_variants(source, most_bytes)
    return headers.first_variants(source, FIRST)


def check_variants(settings: dict) -> list[str]:
    """Refuse lists of variants of another build, or without a chromosome that the study reads.

    Packed lists are not read to their end: a chromosome that such a file lacks is refused when it is imported.

    Returns
    -------
    list of str
        What could not be checked, and why.
    """
    declared, verdicts = settings["build"], []
    by_file = {sources.source(settings, part).variants: part for part in reversed(sources.imported_parts(settings))}
    for part in reversed(by_file.values()):
        source, found, beyond = sources.source(settings, part), set(), None
        check_header_build(source, declared)

        def watched(source: Source = source, found: set[str] = found) -> Iterator[tuple[str, int, str]]:
            nonlocal beyond
            for row in _variants(source, READ // len(by_file)):
                found.add(row[0])
                if beyond is None and build.beyond_end(row[0], row[1], declared):
                    beyond = row
                yield row

        verdicts.append((source, build.judge(watched())))
        _check_chromosomes(settings, part, source, found)
        if beyond:
            _refuse_build(
                source.variants,
                declared,
                f"variant {beyond[2]} stands at {beyond[0]}:{beyond[1]}, beyond the end of chromosome {beyond[0]} in "
                f"{declared} ({build.lengths(declared)[beyond[0]]} base pairs)",
            )
    return _check_known(verdicts, declared)


def _check_chromosomes(settings: dict, part: str, source: Source, found: set[str]) -> None:
    """Refuse a list of variants that lacks a chromosome it should have; all are named."""
    by_file = sources.PLACE in settings["genotypes"]
    if by_file and found and part not in found:
        raise StudyError(
            f"{source.variants}: found variants of chromosome {', '.join(sorted(found))}, expected chromosome {part} "
            "from its name. Correct genetics: genotypes or the names of the files."
        )
    wanted = [part] if by_file else sources.read_chromosomes(settings, sources.ALL)
    absent = [chrom for chrom in wanted if chrom not in found]
    if not _is_plain(source) or not absent:
        return
    # a long list is read here and there
    if absent := [chrom for chrom in absent if not headers.has_chromosome(source.variants, chrom)]:
        there = sorted(found, key=lambda name: (len(name), name))
        raise StudyError(
            f"{source.variants}: no variants of chromosome {', '.join(absent)}; found "
            f"{', '.join(there[:26]) or 'none'}. Give genotypes that have them, or name those that there are in "
            "genetics: chromosomes (X serves the sex check: qc: check_sex: false goes without)."
        )


def _refuse_build(file: str, declared: str, found: str) -> None:
    other = next(name for name in build.BUILDS if name != declared)
    raise StudyError(
        f"{file}: {found}; genetics: build says {declared}. Set genetics: build: {other} if all positions are of that "
        "build, or lift them over."
    )


def check_header_build(source: Source, declared: str) -> None:
    """Refuse a header that names, or whose contigs have the lengths of, another build."""
    header = headers.read_header(source)
    by_length, by_words = build.build_of_lengths(header.contigs), build.build_of_words(header.assemblies)
    if by_length and by_length != declared:
        chrom, length = next(
            (chrom, length) for chrom, length in header.contigs.items() if build.lengths(by_length).get(chrom) == length
        )
        _refuse_build(
            source.variants, declared, f"its header gives chromosome {chrom} {length} base pairs, which is {by_length}"
        )
    if by_words and by_words != declared and not by_length:
        _refuse_build(source.variants, declared, f"its header says '{' '.join(sorted(header.assemblies))}'")


def _check_known(verdicts: list[tuple[Source, build.Verdict]], declared: str) -> list[str]:
    """Judge all parts together by variants of known place; return a note if they are too few."""
    total = build.Verdict(
        *(sum(getattr(verdict, name) for _, verdict in verdicts) for name in (*build.BUILDS, "neither")),
        example=next((verdict.example for _, verdict in verdicts if verdict.example), ""),
    )
    found = total.build
    if found and found != declared:
        _refuse_build(
            verdicts[0][0].variants,
            declared,
            f"{getattr(total, found)} of {total.hg19 + total.hg38 + total.neither} variants of known place stand where "
            f"{found} has them, {getattr(total, declared)} where {declared} has them ({total.example})",
        )
    if found:
        return []
    return [f"genetics: build: {declared} is taken on trust: {total.hg19 + total.hg38} variants of known place found"]


def check_samples(settings: dict, wanted: list[str]) -> None:
    """Refuse genotypes whose sample ids are not those of the people of the table of traits; shows both."""
    for part in sources.imported_parts(settings):
        source = sources.source(settings, part)
        ids = headers.read_sample_ids(source)
        samples = pd.DataFrame({"fid": "0", "participant_id": ids}, dtype=str)
        tools.match_people(samples, wanted, source.samples)
        if not settings["genotypes"].count(sources.PLACE):
            return


def check_traits(path: str, traits: list[str] | None, covariates: tuple[str, ...] = ()) -> pd.DataFrame:
    """Refuse a table of traits with missing columns, repeated people, unknown sex codes or a trait without variance.

    Parameters
    ----------
    path : str
        The user's table: ``participant_id``, ``sex``, ``age``, ``icv``, traits.
    traits : list of str, optional
        Columns that are associated; all numeric ones that are no covariates if none are named.
    covariates : tuple of str
        Further columns that are covariates.

    Returns
    -------
    pandas.DataFrame
        The table.
    """
    table = genotypes.read_user_table(path)
    needed = ["participant_id", "sex", "age", *covariates]
    if absent := [column for column in needed if column not in table]:
        raise StudyError(
            f"{path}: no column {', '.join(absent)}; found {', '.join(map(str, table.columns[:20]))}. Expected "
            "participant_id, sex (F, M), age (years) and the covariates that config section genetics names."
        )
    chosen = trait_columns(table.columns, traits, covariates, path)
    twice = table["participant_id"].duplicated()
    if twice.any():
        person = table["participant_id"][twice].iloc[0]
        raise StudyError(
            f"{path}, line {int(twice.to_numpy().argmax()) + 2}: participant '{person}' stands there twice. Keep one "
            "row a person."
        )
    strange = table["sex"].notna() & ~table["sex"].astype(str).isin(SEXES)
    if strange.any():
        codes = ", ".join(sorted(set(table["sex"][strange].astype(str)))[:5])
        raise StudyError(
            f"{path}, line {int(strange.to_numpy().argmax()) + 2}, column 'sex': found {codes}, expected F or M (empty "
            "if unknown). Replace the codes."
        )
    for trait in chosen:
        _check_trait(table, trait, path)
    return table


def _check_trait(table: pd.DataFrame, trait: str, path: str) -> None:
    values = pd.to_numeric(table[trait], errors="coerce")
    text = values.isna() & table[trait].notna()
    if text.any():
        row = int(text.to_numpy().argmax())
        raise StudyError(
            f"{path}, line {row + 2}, column '{trait}': found '{table[trait].iloc[row]}', expected a number. Correct "
            "it, or name the traits in genetics: traits."
        )
    if values.nunique() < LEAST_DISTINCT:
        shown = "no value at all" if values.isna().all() else f"{values.dropna().iloc[0]:g} for everybody"
        raise StudyError(
            f"{path}, column '{trait}': found {shown}; a trait without variance cannot be associated. Correct the "
            "column, or leave it out of genetics: traits."
        )
    if values.notna().sum() < tools.LEAST_PEOPLE:
        raise StudyError(
            f"{path}, column '{trait}': found {values.notna().sum()} people with a value, expected at least "
            f"{tools.LEAST_PEOPLE}."
        )


def check_tables(settings: dict, exists: Callable[[str], bool]) -> None:
    """Refuse user's tables that are not there, and those of genes, peaks and known associations in another build."""
    declared = settings["build"]
    for section in ("genes", "catalogue", "peaks"):
        entry = settings.get(section) or {}
        path = entry.get("table") or entry.get("folder")
        other = entry.get("build") or declared
        if path and other != declared:
            raise StudyError(
                f"genetics: {section}: '{path}' is of build {other}, the genotypes (genetics: build) of {declared}. "
                f"Give a table of {declared}, or lift it over; nothing is lifted here."
            )
    if settings.get("reference"):
        _check_reference(settings, exists)
    for key, path in _named_tables(settings):
        if not exists(path):
            raise StudyError(f"genetics: {key}: '{path}' does not exist. Correct the path, or set it to null.")


def _check_reference(settings: dict, exists: Callable[[str], bool]) -> None:
    """Refuse a linkage panel of which filesets are missing, all chromosomes named."""
    path, absent = settings["reference"], []
    for chrom in sources.chromosomes(settings) if sources.PLACE in path else [sources.ALL]:
        prefix = path.replace(sources.PLACE, chrom)
        if not any(exists(f"{prefix}{ending}") for ending in (".bed", ".pgen")):
            absent.append(chrom)
    if absent:
        which = "" if absent == [sources.ALL] else f" of chromosome {', '.join(absent)}"
        raise StudyError(
            f"genetics: reference: '{path}': no .bed or .pgen fileset{which}. Correct the path, add the files, or set "
            "it to null for the study's own people."
        )


def _named_tables(settings: dict) -> Iterator[tuple[str, str]]:
    """Yield the keys under which the config names tables, with their paths."""
    places = [("ancestry", "table"), ("qc", "kinship"), ("pcs", "table"), ("covariates", "table"), ("genes", "table")]
    places += [
        ("catalogue", "table"),
        ("peaks", "folder"),
        ("expression", "table"),
        ("munge", "snps"),
        ("greml", "extract"),
    ]
    for section, key in places:
        path = (settings.get(section) or {}).get(key)
        for one in path.values() if isinstance(path, dict) else [path]:
            if one:
                yield f"{section}: {key}", one
    yield from (("exclude", path) for path in settings["exclude"])
    if settings.get("phenotypes"):
        yield "phenotypes", settings["phenotypes"]
    if settings["sample"] and sources.PLACE not in settings["sample"]:
        yield "sample", settings["sample"]


def check_genetics(settings: dict, made: tuple[str, ...] = (), with_programs: bool = True) -> list[str]:
    """Refuse, before any job, genetics that cannot end well.

    Parameters
    ----------
    settings : dict
        Config section ``genetics``, with defaults filled in.
    made : tuple of str
        Beginnings of paths that the study's own rules make: they need not exist yet.
    with_programs : bool
        Whether outside programs must be on the path (they need not with conda).

    Returns
    -------
    list of str
        What could not be checked, and why.

    Raises
    ------
    StudyError
        Names what was found, what is expected, and how to mend it.
    """

    def is_made(path: str) -> bool:
        return str(path).startswith(made) if made else False

    if with_programs:
        check_programs(settings)
    check_tables(settings, lambda path: is_made(path) or Path(path).exists())
    wanted = None
    if settings.get("phenotypes") and not is_made(settings["phenotypes"]):
        own = settings.get("covariates") or {}
        named = () if own.get("table") else tuple([*own.get("numeric", []), *own.get("categorical", [])])
        wanted = check_traits(settings["phenotypes"], settings.get("traits"), named)["participant_id"].tolist()
    if is_made(settings["genotypes"]):
        return []
    check_files(settings)
    if wanted is not None:
        check_samples(settings, wanted)
    return check_variants(settings)
