"""Filters of people: exclusions, ancestry, recorded against genetic sex, relatives."""

import logging
import re
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.lib.genetics import genotypes, tools
from workflow_scripts.lib.genetics.qc import COMMON, Record
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study.errors import StudyError

LOGGER = logging.getLogger(__name__)
FEW_VARIANTS = 10_000  # of two chromosomes, 1,308 made relatives of 1,945 of 2,592 people
LEAST_X_VARIANTS = 1000  # with 79 markers plink called 164 of 2,806 people wrong, with 1,172 one
# Parts of X that men have twice, by build (base pairs, from 1)
PSEUDOAUTOSOMAL = {
    "hg19": [(1, 2_699_520), (154_931_044, 155_260_560)],
    "hg38": [(1, 2_781_479), (155_701_383, 156_030_895)],
}
SEXES = {0: "unclear", 1: "M", 2: "F"}


def shared_people(parts: dict[str, Path]) -> tuple[pd.DataFrame, dict[str, str]]:
    """List who is in every part, and who is not, with the first part that lacks the person.

    Parameters
    ----------
    parts : dict
        Part -> prefix of an imported fileset.
    """
    people = {part: tools.read_samples(prefix) for part, prefix in parts.items()}
    every = pd.concat(people.values()).drop_duplicates("participant_id")
    lacking: dict[str, str] = {}
    for part, here in people.items():
        for person in every.loc[~every["participant_id"].isin(here["participant_id"]), "participant_id"]:
            lacking.setdefault(person, f"no sample in the genotypes of part {part}")
    return every[~every["participant_id"].isin(set(lacking))].reset_index(drop=True), lacking


def read_exclusions(path: str | Path) -> list[str]:
    """Read ids of a list: one a line, or family and id; of a table with a header its column of ids."""
    rows = [re.split(r"[\s,]+", line.strip()) for line in Path(path).read_text().splitlines() if line.strip()]
    if not rows:
        return []
    names = [cell.lstrip("#") for cell in rows[0]]
    column = next((names.index(name) for name in ("participant_id", "IID", "eid") if name in names), None)
    if column is None:
        return [row[min(len(row), 2) - 1] for row in rows]
    return [row[column] for row in rows[1:]]


def other_ancestry(people: list[str], settings: dict) -> dict[str, str]:
    """Find people whose ancestry, by a user's table, is not one to keep: participant -> reason.

    Parameters
    ----------
    settings : dict
        Config section ``genetics: ancestry``: ``table``, ``column``, ``keep``.
    """
    path, column, keep = settings["table"], settings["column"], {str(value) for value in settings["keep"]}
    table = genotypes.read_user_table(path)
    if column not in table:
        raise StudyError(
            f"{path}: no column '{column}'; found {', '.join(map(str, table.columns[:12]))}. Correct genetics: "
            "ancestry: column."
        )
    values = table.drop_duplicates("participant_id").set_index("participant_id")[column]
    # whole numbers beside empty cells are read as 1.0
    text = values.map(lambda value: f"{value:g}" if isinstance(value, float) else str(value))
    known = text.reindex(people)
    if not known.isin(keep).any():
        raise StudyError(
            f"{path}, column '{column}': nobody has one of the values to keep ({', '.join(sorted(keep))}); found "
            f"{', '.join(known.dropna().unique()[:6]) or 'no participant of the study'}. Correct genetics: ancestry."
        )
    return {
        person: "ancestry unknown" if pd.isna(value) else f"ancestry {value}"
        for person, value in known.items()
        if value not in keep
    }


def greedy_unrelated(pairs: pd.DataFrame, order: list[str], limit: float) -> dict[str, str]:
    """Remove, while there are relatives, the person with most of them; of equals the later one in ``order``.

    Parameters
    ----------
    pairs : pandas.DataFrame
        ``ID1``, ``ID2``, ``Kinship``.
    order : list of str
        The people of the study.
    limit : float
        Kinship above which two are related.

    Returns
    -------
    dict
        participant -> reason.
    """
    place = {person: row for row, person in enumerate(order)}
    related: dict[str, dict[str, float]] = {}
    close = pairs[pairs["ID1"].isin(place) & pairs["ID2"].isin(place) & (pairs["Kinship"] > limit)]
    for one, other, kinship in close[["ID1", "ID2", "Kinship"]].itertuples(index=False):
        if one != other:
            related.setdefault(one, {})[other] = kinship
            related.setdefault(other, {})[one] = kinship
    all_of = {person: dict(others) for person, others in related.items()}
    gone: dict[str, str] = {}
    while related:
        worst = max(related, key=lambda person: (len(related[person]), place[person]))
        gone[worst] = "; ".join(f"kinship {kinship:.3f} with {other}" for other, kinship in all_of[worst].items())
        for other in related.pop(worst):
            related[other].pop(worst)
            if not related[other]:
                del related[other]
    return gone


def read_kinship(path: str | Path) -> pd.DataFrame:
    """Read a table of related pairs with ``ID1``, ``ID2``, ``Kinship`` (UK Biobank's ukb_rel, or KING's kin0)."""
    if not Path(path).exists():
        raise StudyError(f"{path}: no such file. Correct genetics: qc: kinship, or set it to null: KING estimates it.")
    separator = "," if str(path).endswith(".csv") else r"\s+"
    table = pd.read_csv(path, sep=separator, dtype=str)
    table.columns = [str(column).lstrip("#") for column in table.columns]
    table = table.rename(columns={"IID1": "ID1", "IID2": "ID2", "KINSHIP": "Kinship"})
    absent = [column for column in ("ID1", "ID2", "Kinship") if column not in table]
    if absent:
        raise StudyError(
            f"{path}: column {absent[0]} is missing; found {', '.join(table.columns[:8])}. Expected ID1, ID2, Kinship, "
            "one row a pair of relatives."
        )
    return table.assign(Kinship=pd.to_numeric(table["Kinship"], errors="coerce"))


def king_relatives(
    parts: dict[str, Path], people: pd.DataFrame, limit: float, folder: Path, limits: Limits
) -> dict[str, str]:
    """Find whom to remove so that no two people left are related, by KING-robust kinship (plink2).

    Parameters
    ----------
    parts : dict
        Part -> prefix of its nearly common variants.
    people : pandas.DataFrame
        ``fid``, ``participant_id``.

    Returns
    -------
    dict
        participant -> reason.

    References
    ----------
    .. [1] Manichaikul et al., Bioinformatics 26:2867, 2010 (KING).
    """
    out, text = folder / "king", f"{limit:g}"
    genotypes.join_beds(parts, people, folder / "joined", folder, limits)
    flags = ["--maf", COMMON, "--king-cutoff", text, "--make-king-table", "--king-table-filter", text]
    tools.run(tools.find("plink2"), ["--bfile", str(folder / "joined"), *flags], out, limits)
    left = set(tools.read_ids(f"{out}.king.cutoff.in.id")["participant_id"])
    pairs = pd.read_csv(f"{out}.kin0", sep="\t", dtype={"IID1": str, "IID2": str, "#IID1": str})
    pairs.columns = [column.lstrip("#") for column in pairs.columns]
    found: dict[str, list[str]] = {}
    for one, other, kinship in pairs[["IID1", "IID2", "KINSHIP"]].itertuples(index=False):
        found.setdefault(one, []).append(f"kinship {kinship:.3f} with {other}")
        found.setdefault(other, []).append(f"kinship {kinship:.3f} with {one}")
    gone = [person for person in people["participant_id"] if person not in left]
    with Path(f"{folder / 'joined'}.bim").open("rb") as stream:
        variants = sum(1 for _ in stream)
    if variants < FEW_VARIANTS:
        said = f"KING saw {variants} nearly common variants; below {FEW_VARIANTS} chance looks like kinship."
        LOGGER.warning("%s %d of %d people leave as relatives", said, len(gone), len(people))
        if len(gone) > len(people) / 2:
            raise StudyError(
                f"{said} It would remove {len(gone)} of {len(people)} people. Read more chromosomes (genetics: "
                "chromosomes), give a table of relatives (genetics: qc: kinship), or raise max_kinship."
            )
    return {person: "; ".join(found.get(person, [f"kinship above {text}"])) for person in gone}


def _pick_x_markers(given: list[str], settings: dict, folder: Path, limits: Limits) -> list[str]:
    """Find independent common variants of X; :class:`StudyError` if there are too few to tell men from women."""
    pruning = ["--geno", str(settings["max_variant_missing"]), "--maf", COMMON, "--indep-pairwise", "50", "5", "0.2"]
    remedy = "Give genotypes with chromosome X, or set genetics: qc: check_sex: false if sex was checked before."
    try:
        tools.run(tools.find("plink2"), [*given, *pruning], folder / "x", limits)
    except StudyError as error:
        raise StudyError(f"the sex check found no usable variants on chromosome X. {remedy}\n{error}") from error
    markers = (folder / "x.prune.in").read_text().split()
    if len(markers) < LEAST_X_VARIANTS:
        raise StudyError(
            f"the sex check found {len(markers)} independent common variants on chromosome X; below "
            f"{LEAST_X_VARIANTS} it calls many people wrong. {remedy}"
        )
    return markers


def sex_errors(
    prefix: Path, people: pd.DataFrame, settings: dict, build: str, folder: Path, limits: Limits
) -> tuple[dict[str, str], int]:
    """Find people whose recorded sex differs from the one that heterozygosity on X shows (plink 1.9).

    Parameters
    ----------
    prefix : pathlib.Path
        Imported fileset with chromosome X; its recorded sex counts.
    settings : dict
        Config section ``genetics: qc``.

    Returns
    -------
    reasons : dict
        participant -> reason.
    markers : int
        Variants used.
    """
    tools.write_ids(people, folder / "keep.txt")
    ranges = "".join(f"X {first} {last} par\n" for first, last in PSEUDOAUTOSOMAL[build])
    (folder / "par.txt").write_text(ranges)
    given = [*tools.genotype_arguments(prefix), "--keep", str(folder / "keep.txt"), "--chr", "X"]
    given += ["--exclude", "bed1", str(folder / "par.txt"), "--rm-dup", "force-first"]
    markers = _pick_x_markers(given, settings, folder, limits)
    (folder / "markers.txt").write_text("\n".join(markers) + "\n")
    chosen = ["--extract", str(folder / "markers.txt"), "--make-bed"]
    tools.run(tools.find("plink2"), [*given, *chosen], folder / "x", limits)
    low, high = settings["sex_f_female"], settings["sex_f_male"]
    arguments = ["--bfile", str(folder / "x"), "--check-sex", str(low), str(high)]
    tools.run(tools.find("plink1.9"), arguments, folder / "sex", limits)
    report = pd.read_csv(folder / "sex.sexcheck", sep=r"\s+", dtype={"IID": str})
    wrong = report[(report["STATUS"] == "PROBLEM") & (report["PEDSEX"] != 0)]
    reasons = {
        row.IID: f"recorded {SEXES[row.PEDSEX]}, genotypes {SEXES[row.SNPSEX]} (F on X {row.F:.3f})"
        for row in wrong.itertuples()
    }
    return reasons, len(markers)


def repeated_ids(parts: dict[str, Path]) -> list[str]:
    """List the ids that stand on more than one autosome, which no job of one chromosome can see."""
    hashed, chroms = [], []
    tables = {part: genotypes.read_variants(prefix) for part, prefix in parts.items()}
    for table in tables.values():
        table = table[table["chrom"].isin(genotypes.AUTOSOMES)].drop_duplicates(["chrom", "id"])
        hashed.append(pd.util.hash_array(table["id"].to_numpy(dtype=object)))
        chroms.append(table["id"].to_numpy(dtype=object))
    every = np.concatenate(hashed)
    values, counts = np.unique(every, return_counts=True)
    twice = values[counts > 1]
    names = np.concatenate(chroms)[np.isin(every, twice)] if len(twice) else np.array([], object)
    found, times = np.unique(names.astype(str), return_counts=True)
    return found[times > 1].tolist()


def filter_people(
    parts: dict[str, Path],
    common: dict[str, Path],
    x_prefix: Path | None,
    imported: pd.DataFrame,
    settings: dict,
    folder: Path,
    limits: Limits,
) -> tuple[pd.DataFrame, Record]:
    """Run the filters of people, in this order: all parts, exclusions, ancestry, sex, (autosomes), relatives.

    Parameters
    ----------
    parts, common : dict
        Part -> prefix of the imported fileset, and of its nearly common variants (empty with a table of kinship).
    x_prefix : pathlib.Path, optional
        Imported fileset with chromosome X, for the sex check.
    imported : pandas.DataFrame
        Steps of import, summed over parts (schema ``genotype_qc_steps``).
    settings : dict
        Config section ``genetics``: ``qc``, ``exclude``, ``ancestry``, ``build``.
    folder : pathlib.Path
        An empty folder for working files.

    Returns
    -------
    people : pandas.DataFrame
        Who is left: ``fid``, ``participant_id``.
    record : Record
        Steps and removed people.
    """
    people, lacking = shared_people(parts)
    autosomal = imported[imported["step"] == "autosomes"].iloc[0]
    before = imported[imported["step"] != "autosomes"]
    record = Record(len(people) + len(lacking), int(before["variants"].iloc[-1]))
    record.add_steps(before.assign(people=record.people))

    def leave(step: str, text: str, reasons: dict[str, str]) -> None:
        nonlocal people
        here = {person: reasons[person] for person in people["participant_id"] if person in reasons}
        people = people[~people["participant_id"].isin(here)].reset_index(drop=True)
        record.leave(step, text, lacking if step == "parts" else here)

    if lacking:
        leave("parts", "no sample in the genotypes of some chromosome", lacking)
    for path in settings["exclude"]:
        name = Path(path).name
        leave(f"exclude_{name}", f"named in {name}", dict.fromkeys(read_exclusions(path), f"named in {name}"))
    if settings["ancestry"]:
        keep = ", ".join(map(str, settings["ancestry"]["keep"]))
        leave("ancestry", f"ancestry not {keep}", other_ancestry(list(people["participant_id"]), settings["ancestry"]))
    qc = settings["qc"]
    if x_prefix is not None:
        reasons, markers = sex_errors(x_prefix, people, qc, settings["build"], folder, limits)
        text = "recorded and genetic sex differ (female below {:g}, male above {:g}; {} variants)"
        leave("sex", text.format(qc["sex_f_female"], qc["sex_f_male"], markers), reasons)
    record.leave("autosomes", autosomal["filter"], variants_removed=int(autosomal["variants_removed"]))
    if qc["kinship"]:
        pairs, source = read_kinship(qc["kinship"]), Path(qc["kinship"]).name
        gone = greedy_unrelated(pairs, list(people["participant_id"]), qc["max_kinship"])
    else:
        gone, source = king_relatives(common, people, qc["max_kinship"], folder, limits), "KING"
    leave("relatives", f"kinship above {qc['max_kinship']:g} ({source})", gone)
    return people, record
