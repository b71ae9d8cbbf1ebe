"""LD score files under short names in one folder: ldsc.py cannot read paths with blanks, commas or brackets."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.genetics.ldsc.names import BASE, CELLS, FREQUENCIES, UNION, WEIGHTS
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError

CHROMOSOMES = range(1, 23)
SUFFIXES = [f".l2.{end}" for end in ("ldscore.gz", "ldscore.bz2", "ldscore", "M", "M_5_50")]
SUFFIXES += [f".{end}{packed}" for end in ("annot", "frq") for packed in (".gz", ".bz2", "")]
NEEDED = (".l2.ldscore", ".l2.M")
ASKED = "genetics: ldsc: scores"


@dataclass(frozen=True)
class Scores:
    """LD scores as ldsc.py finds them in its working folder: prefixes, to which it adds the chromosome.

    Attributes
    ----------
    folder : pathlib.Path
        The working folder.
    base : str
        Scores over every variant, for heritability and genetic correlation.
    weights : str
    control : str
        Prefixes, joined by commas, of the model beside which each cell type is tested; empty if there is none.
    partition : str
        Prefixes of the categories of partitioned heritability; empty if there are none.
    categories : tuple of str
        Names of these categories, in the order of the columns; empty if LDSC's files name them.
    cells : dict of str
        Prefixes by cell type.
    empty : tuple of str
        Cell types that no common variant belongs to, which cannot be tested.
    frequencies : str
        Empty if there are none.
    """

    folder: Path
    base: str
    weights: str
    control: str
    partition: str
    categories: tuple[str, ...]
    cells: dict[str, str]
    empty: tuple[str, ...]
    frequencies: str


def _chromosome_files(prefix: str) -> dict[int, str]:
    """Name the prefix of each chromosome that has files; a prefix without chromosomes stands for the first."""
    named = {c: prefix.replace("@", str(c)) if "@" in prefix else f"{prefix}{c}" for c in CHROMOSOMES}
    found = {c: path for c, path in named.items() if any(Path(f"{path}{end}").exists() for end in SUFFIXES)}
    whole = any(Path(f"{prefix}{end}").exists() for end in SUFFIXES)
    return found or ({1: prefix} if whole else {})


def _link(prefix: str, name: str, folder: Path, key: str, need: tuple[str, ...]) -> str:
    """Link the files of a prefix as ``name.CHROM...`` and return ``name.``.

    Raises
    ------
    StudyError
        If there are none, or none of the kinds needed.
    """
    files = _chromosome_files(prefix)
    for chrom, path in files.items():
        for end in SUFFIXES:
            if Path(f"{path}{end}").exists():
                (folder / f"{name}.{chrom}{end}").symlink_to(Path(f"{path}{end}").resolve())
    for kind in need:
        if not files or not any(folder.glob(f"{name}.*{kind}*")):
            raise StudyError(
                f"{ASKED}: {key}: found no file {prefix}CHROM{kind}[.gz] for any chromosome 1 to 22. Give the path up "
                "to the chromosome, as in scores/weights.hm3_noMHC. (with its last point); @ may stand for it."
            )
    return f"{name}."


def _own_annotations(parts: list[Path]) -> dict[str, int]:
    """List the annotations in folders of make_ld_scores with how many common variants have each."""
    if not parts:
        return {}
    table = pd.concat([tables.read_table(part / "annotations.tsv", "ld_scores") for part in parts])
    return table.groupby("annotation", sort=False)["common"].sum().to_dict()


def _link_own(parts: list[Path], annotation: str, name: str, folder: Path) -> str:
    for part in parts:
        for chrom in CHROMOSOMES:
            for end in SUFFIXES:
                file = part / f"{annotation}.{chrom}{end}"
                if file.exists():
                    (folder / f"{name}.{chrom}{end}").symlink_to(file.resolve())
    return f"{name}."


def read_ldcts(path: str | Path) -> dict[str, list[str]]:
    """Read LDSC's list of cell types: a line a name and prefixes joined by commas, from here or from the file's folder.

    Raises
    ------
    StudyError
        If a line has no two words, or a name stands twice.
    """
    found: dict[str, list[str]] = {}
    for number, line in enumerate(Path(path).read_text().splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2 or words[0] in found:
            raise StudyError(
                f"{path}, line {number}: found '{line.strip()}', expected a cell type that stands there once, a blank, "
                "and the prefixes of its LD scores, joined by commas without blanks."
            )
        beside = [str(Path(path).parent / prefix) for prefix in words[1].split(",")]
        found[words[0]] = [
            given if _chromosome_files(given) else near for given, near in zip(words[1].split(","), beside, strict=True)
        ]
    return found


def _stage_cells(
    given: dict, parts: list[Path], names: dict[str, int], folder: Path
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Link the LD scores of cell types; also name those of the study's own that no common variant belongs to."""
    if not given["cell_types"]:
        own = {name.removeprefix(CELLS): count for name, count in names.items() if name.startswith(CELLS)}
        filled = [name for name, count in own.items() if count]
        cells = {name: _link_own(parts, CELLS + name, f"c{index}", folder) for index, name in enumerate(filled)}
        return cells, tuple(name for name, count in own.items() if not count)
    cells = {}
    for index, (name, prefixes) in enumerate(read_ldcts(given["cell_types"]).items()):
        linked = [_link(p, f"c{index}n{rank}", folder, "cell_types", NEEDED) for rank, p in enumerate(prefixes)]
        cells[name] = ",".join(linked)
    return cells, ()


def stage(parts: list[Path], given: dict, folder: Path) -> Scores:
    """Put all LD scores into one folder.

    Parameters
    ----------
    parts : list of pathlib.Path
        Folders that make_ld_scores wrote; may be empty if ``given`` has what is needed.
    given : dict
        Config ``genetics: ldsc: scores``: prefixes ``univariate``, ``weights``, ``baseline``, ``frequencies``, and a
        file ``cell_types``; each may be None, the study's own then.
    folder : pathlib.Path
        An empty folder.

    Raises
    ------
    StudyError
        If files that config names are missing, or neither they nor the study's own exist.
    """
    names = _own_annotations(parts)
    own = {name: _link_own(parts, name, name, folder) for name in (BASE, WEIGHTS, UNION) if name in names}

    def pick(key: str, annotation: str, kinds: tuple[str, ...]) -> str:
        if given[key]:
            return _link(given[key], key, folder, key, kinds)
        if annotation in own:
            return own[annotation]
        raise StudyError(f"{ASKED}: {key} is null, but no LD scores of the study's own were made. Name its prefix.")

    base, weights = pick("univariate", BASE, NEEDED), pick("weights", WEIGHTS, NEEDED[:1])
    cells, empty = _stage_cells(given, parts, names, folder)
    frequencies = _stage_frequencies(given, parts, folder)
    if given["baseline"]:
        control = _link(given["baseline"], "baseline", folder, "baseline", NEEDED)
        partition, categories = (control if any(folder.glob("baseline.*.annot*")) else ""), ()
    else:
        control = ",".join(own[name] for name in (BASE, UNION) if name in own)
        named = {} if given["cell_types"] or BASE not in own else cells
        partition, categories = (",".join([own[BASE], *named.values()]) if named else ""), (BASE, *named)
    return Scores(folder, base, weights, control, partition, categories, cells, empty, frequencies)


def _stage_frequencies(given: dict, parts: list[Path], folder: Path) -> str:
    if given["frequencies"]:
        _link(given["frequencies"], FREQUENCIES, folder, "frequencies", (".frq",))
    else:
        _link_own(parts, FREQUENCIES, FREQUENCIES, folder)
    files = sorted(folder.glob(f"{FREQUENCIES}.*"))
    if not files:
        return ""
    if not any(folder.glob(f"{FREQUENCIES}.1.*")):  # ldsc looks at the first chromosome's to learn how they are packed
        (folder / files[0].name.replace(files[0].name.split(".")[1], "1", 1)).symlink_to(files[0].resolve())
    return f"{FREQUENCIES}."
