"""Read genotypes of any usual format once: wanted people, wanted chromosomes, well imputed variants."""

import logging
import shutil
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.genetics import headers, tools
from workflow_scripts.lib.genetics.bed import concatenate_beds
from workflow_scripts.lib.genetics.build import share_of_genome
from workflow_scripts.lib.genetics.qc import STEP_COLUMNS
from workflow_scripts.lib.genetics.sources import AUTOSOMES, Source
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.files import atomic

LOGGER = logging.getLogger(__name__)
DOSAGES = ("HDS", "DS", "GP")  # fields of a VCF file that hold dosages, the best first
QUALITIES = ("R2", "INFO", "DR2", "IMPUTE_INFO")  # keys under which imputation quality stands in a file
ID_COLUMNS = ("participant_id", "IID", "#IID", "eid")  # names that a column of ids may have in a user's table
NEARLY_COMMON = "0.02"  # of everybody; kinship takes variants above 0.05 in those who are left by then


def read_user_table(path: str | Path) -> pd.DataFrame:
    """Read a user's table of people (.csv, or separated by tabs or spaces), ids as text in ``participant_id``.

    Raises
    ------
    StudyError
        If no column holds ids.
    """
    separator = "," if str(path).removesuffix(".gz").endswith(".csv") else r"\s+"
    if not Path(path).exists():
        raise StudyError(f"{path}: no such file. Correct the path in config section genetics.")
    text = dict.fromkeys(ID_COLUMNS, str)
    with headers.open_text(path) as stream:
        if separator != "," and "\t" in stream.readline():
            separator = "\t"
    table = pd.read_csv(path, sep=separator, dtype=text, na_values=["n/a"])
    named = next((column for column in ID_COLUMNS if column in table), None)
    if named is None:
        raise StudyError(
            f"{path}: found columns {', '.join(map(str, table.columns[:8]))}; expected one of ids named "
            f"{', '.join(ID_COLUMNS)}. Rename the column of ids to participant_id."
        )
    return table.rename(columns={named: "participant_id"})


def wanted_people(scans: pd.DataFrame, roles: pd.DataFrame) -> pd.DataFrame:
    """List the people with the role gwas: ``participant_id``, ``sex``.

    Parameters
    ----------
    scans, roles : pandas.DataFrame
        Schemas ``scans`` and ``roles``.
    """
    chosen = roles.loc[roles["role"] == "gwas", "participant_id"]
    people = scans.drop_duplicates("participant_id")
    return people.loc[people["participant_id"].isin(chosen), ["participant_id", "sex"]].reset_index(drop=True)


def table_people(path: str | Path) -> pd.DataFrame:
    """List the people of a user's table of traits: ``participant_id``, ``sex`` (missing if the table has none)."""
    table = read_user_table(path)
    sex = table["sex"] if "sex" in table else pd.Series(pd.NA, index=table.index)
    return pd.DataFrame({"participant_id": table["participant_id"], "sex": sex}).drop_duplicates("participant_id")


def convert(source: Source, chosen: list[str], out: Path, limits: Limits, people: pd.DataFrame | None = None) -> Source:
    """Turn .bgen, .vcf and .bcf into plink2's format, everybody and every field, and return what stands there.

    Parameters
    ----------
    people : pandas.DataFrame, optional
        ``participant_id``, ``sex`` (F, M, missing): newer plink2 reads X only if it is told who is a man.
    """
    if source.kind == "bgen":
        given = ["--bgen", source.genotypes, "ref-first"]
        given += ["--sample", source.samples] if source.samples != source.genotypes else []
    else:
        fields = headers.read_header(source).formats
        dosage = next((field for field in DOSAGES if field in fields), None)
        given = [f"--{source.kind}", source.genotypes, *([f"dosage={dosage}"] if dosage else [])]
    flags = [*given, "--chr", ",".join(chosen), "--keep-autoconv", "--write-samples"]
    if people is not None and "X" in chosen:
        known = people.set_index("participant_id")["sex"].map({"M": 1, "F": 2})
        ids = headers.read_sample_ids(source)
        sexes = known.reindex(ids).fillna(0).astype(int)
        lines = [f"{name}\t{sex}\n" for name, sex in zip(ids, sexes, strict=True)]
        Path(f"{out}.sexes").write_text("#IID\tSEX\n" + "".join(lines))
        flags += ["--update-sex", f"{out}.sexes"]
    try:
        tools.run(tools.find("plink2"), flags, out, limits)
    except StudyError as error:
        if "multiallelic" in str(error):
            raise StudyError(
                f"{source.genotypes}: plink2 cannot read dosages of variants with several alternative alleles. Split "
                f"them into lines of their own (bcftools norm --multiallelics -any), or drop them (bcftools view "
                f"--max-alleles 2).\n{error}"
            ) from error
        raise
    if Path(f"{out}.pvar.zst").exists():  # by format and version of plink2
        with headers.open_text(f"{out}.pvar.zst") as stream, atomic(f"{out}.pvar") as plain, plain.open("w") as target:
            shutil.copyfileobj(stream, target)
        Path(f"{out}.pvar.zst").unlink()
    for ending in (".id", ".log"):
        Path(f"{out}{ending}").unlink()
    return Source("pgen", f"{out}.pgen", f"{out}.pvar", f"{out}.psam")


def read_info(path: str | Path, least: float) -> list[str]:
    """List the variants whose imputation quality is high enough; one that stands several times goes by its lowest.

    Parameters
    ----------
    path : path
        Table with the columns ``id`` and ``info``.
    """
    table = pd.read_csv(path, sep=None if str(path).endswith(".csv") else r"\s+", dtype={"id": str}, engine=None)
    absent = {"id", "info"} - set(table.columns)
    if absent:
        raise StudyError(
            f"{path}: found columns {', '.join(map(str, table.columns[:8]))}; expected id and info (imputation "
            "quality, 0 to 1). Write a header with these names; other columns may stay."
        )
    lowest = table.groupby("id")["info"].min()
    return lowest.index[lowest >= least].tolist()


def quality_flags(source: Source, original: Source, settings: dict, table: str | None, folder: Path) -> list[str]:
    """Return plink2's arguments that drop variants imputed badly, none if the config sets no limit.

    Raises
    ------
    StudyError
        If the files say nothing of imputation quality.
    """
    least = settings["min_info"]
    if least is None:
        return []
    if table:
        (folder / "info.txt").write_text("\n".join(read_info(table, least)) + "\n")
        return ["--extract", str(folder / "info.txt")]
    key = next((key for key in QUALITIES if key in headers.read_header(original).infos), None)
    if key:
        return ["--extract-if-info", f"{key} >= {least}"]
    if original.kind != "bed":
        LOGGER.warning("no imputation quality in %s: MaCH's r2 of the wanted people's dosages stands in", source.kind)
        return ["--mach-r2-filter", str(least), "1000"]
    raise StudyError(
        f"genetics: qc: min_info is {least}, but {original.variants} says nothing of imputation quality. Name a table "
        "with the columns id and info in genetics: qc: info, or set min_info: null."
    )


def _in_order(source: Source, chosen: list[str], folder: Path, limits: Limits) -> Source:
    """Return a fileset in the order of the genome: itself, or a sorted copy, since plink2 refuses others later."""
    given = [*tools.genotype_arguments(source.prefix), "--chr", ",".join(chosen)]
    try:
        tools.run(tools.find("plink2"), [*given, "--make-just-pvar", "cols="], folder / "order", limits)
        table = read_variants(folder / "order")
        backwards = (table["pos"].diff() < 0) & (table["chrom"] == table["chrom"].shift())
        if not backwards.any():
            return source
    except StudyError as error:
        if "split chromosome" not in " ".join(str(error).split()):
            raise
    LOGGER.warning("%s: variants are not in the order of the genome and are sorted", source.variants)
    out = folder / "sorted"
    tools.run(tools.find("plink2"), [*given, "--sort-vars", "--make-pgen"], out, limits)
    return Source("pgen", f"{out}.pgen", f"{out}.pvar", f"{out}.psam")


def _count(flags: list[str], out: Path, limits: Limits) -> int:
    """Count the variants that pass filters which look at no calls."""
    tools.run(tools.find("plink2"), [*flags, "--write-snplist", "allow-dups"], out, limits)
    with Path(f"{out}.snplist").open("rb") as stream:
        return sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b""))


def import_part(
    original: Source,
    people: pd.DataFrame,
    chosen: list[str],
    settings: dict,
    out: str | Path,
    folder: Path,
    limits: Limits,
    table: str | None = None,
) -> pd.DataFrame:
    """Write the wanted people and variants of a part to ``out.pgen``, ``.pvar``, ``.psam``, without family ids.

    Parameters
    ----------
    people : pandas.DataFrame
        Whom to keep: ``participant_id``, ``sex`` (F, M, missing; replaces what the files say).
    chosen : list of str
        Chromosomes.
    settings : dict
        Config section ``genetics: qc``.
    folder : pathlib.Path
        An empty folder for working files.
    table : str, optional
        Imputation quality: ``id``, ``info``.

    Returns
    -------
    steps : pandas.DataFrame
        Schema ``genotype_qc_steps``: ``start``, ``alleles``, ``info`` (if there is a limit), ``autosomes`` (counts
        what the later filter of that name will remove).

    Raises
    ------
    StudyError
        If fewer than 50 wanted people have a sample, or a chromosome has no variants.
    """
    source = (
        original if original.kind in ("bed", "pgen") else convert(original, chosen, folder / "whole", limits, people)
    )
    samples = tools.match_people(tools.read_samples(source.prefix), people["participant_id"].tolist(), original.samples)
    source = _in_order(source, chosen, folder, limits)
    # files of two chromosomes may list people in two orders; matrices of relatedness are joined pair by pair
    ranked = samples.set_index("participant_id").loc[_ordered(people, samples)].reset_index()
    tools.write_ids(ranked, folder / "keep.txt")
    moved = ["--indiv-sort", "f", str(folder / "keep.txt")] if not ranked.equals(samples) else []
    sex = people.set_index("participant_id")["sex"].reindex(samples["participant_id"]).map({"M": 1, "F": 2})
    tools.write_ids(samples, folder / "sex.txt", pd.DataFrame({"SEX": sex.fillna(0).astype(int)}))
    given = [*tools.genotype_arguments(source.prefix), "--chr", ",".join(chosen)]
    counts = [("start", "wanted people with a sample", _count(given, folder / "start", limits))]
    given += ["--max-alleles", "2"]
    counts.append(("alleles", "more than two alleles", _count(given, folder / "alleles", limits)))
    flags = quality_flags(source, original, settings, table, folder)
    flags += ["--keep", str(folder / "keep.txt"), "--update-sex", str(folder / "sex.txt")]
    layout = [*moved, "--make-pgen", "erase-phase", "pvar-cols=", "psam-cols=sex"]
    tools.run(tools.find("plink2"), [*given, *flags, *layout], Path(out), limits)
    Path(f"{out}.log").unlink()  # the rule's log has it
    left = read_variants(out)["chrom"]
    absent = sorted(set(chosen) - set(left), key=lambda name: (len(name), name))
    if absent:
        raise StudyError(
            f"{original.variants}: no variants of chromosome {', '.join(absent)} are left. Give genotypes that have "
            "them, or name the chromosomes that there are in genetics: chromosomes (qc: check_sex: false for X)."
        )
    if settings["min_info"] is not None:
        counts.append(("info", f"imputation quality below {settings['min_info']:g}", len(left)))
    counts.append(("autosomes", "not on an autosome", int(left.isin(AUTOSOMES).sum())))
    return _steps(counts, len(samples))


def _ordered(people: pd.DataFrame, samples: pd.DataFrame) -> list[str]:
    """List the people who have a sample in the order of the study."""
    there = set(samples["participant_id"])
    return [person for person in people["participant_id"] if person in there]


def _steps(counts: list[tuple[str, str, int]], people: int) -> pd.DataFrame:
    before = [counts[0][2], *(count for _, _, count in counts)]
    pairs = zip(counts, before, strict=False)
    rows = [[step, text, people, count, 0, old - count] for (step, text, count), old in pairs]
    return pd.DataFrame(rows, columns=STEP_COLUMNS)


def read_variants(prefix: str | Path, alleles: bool = False) -> pd.DataFrame:
    """Read ``chrom``, ``pos`` and ``id`` of an imported fileset, and ``ref`` and ``alt`` if asked for."""
    columns = {"#CHROM": str, "POS": int, "ID": str} | ({"REF": str, "ALT": str} if alleles else {})
    table = pd.read_csv(f"{prefix}.pvar", sep="\t", usecols=list(columns), dtype=columns, keep_default_na=False)
    return table.set_axis([name.lstrip("#").lower() for name in columns], axis=1)


def thin(table: pd.DataFrame, most: int, build: str) -> pd.DataFrame:
    """Take at most so many variants, evenly over each chromosome's list, each chromosome by its length.

    The choice in one chromosome depends on no other, so that parts choose what the whole would.

    Parameters
    ----------
    table : pandas.DataFrame
        ``chrom``, in order of position.
    most : int
        Variants of all autosomes together.
    """
    kept = []
    for chrom, group in table.groupby("chrom", sort=False):
        quota = max(1, round(most * share_of_genome(str(chrom), build)))
        if len(group) > quota:
            group = group.iloc[[row * len(group) // quota for row in range(quota)]]
        kept.append(group)
    return pd.concat(kept) if kept else table


def pick_common(prefix: str | Path, most: int, build: str, out: str | Path, folder: Path, limits: Limits) -> None:
    """Write nearly common autosomal variants of a part, thinned, to ``out.bed``: what kinship is estimated from.

    Parameters
    ----------
    most : int
        Variants of all autosomes together; the cost of kinship grows with them and with the square of people.
    """
    plink2, source = tools.find("plink2"), tools.genotype_arguments(prefix)
    flags = ["--autosome", "--maf", NEARLY_COMMON, "--make-just-pvar", "cols="]
    tools.run(plink2, [*source, *flags], folder / "common", limits)
    chosen = thin(read_variants(folder / "common"), most, build)
    (folder / "chosen.txt").write_text("\n".join(chosen["id"]) + "\n")
    tools.run(plink2, [*source, "--autosome", "--extract", str(folder / "chosen.txt"), "--make-bed"], Path(out), limits)
    Path(f"{out}.log").unlink()


def join_beds(parts: dict[str, Path], people: pd.DataFrame, out: Path, folder: Path, limits: Limits) -> None:
    """Write the same people of several filesets, in one order, one fileset after the other, to ``out.bed``."""
    tools.write_ids(people, folder / "order.txt")
    ordered = []
    for part, prefix in parts.items():
        flags = ["--keep", str(folder / "order.txt"), "--indiv-sort", "f", str(folder / "order.txt"), "--make-bed"]
        tools.run(tools.find("plink2"), [*tools.genotype_arguments(prefix), *flags], folder / f"join_{part}", limits)
        ordered.append(folder / f"join_{part}")
    concatenate_beds(ordered, out)
