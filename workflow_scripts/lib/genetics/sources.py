"""Where genotypes stand: formats, files and parts. Read while the Snakefile is parsed: the standard library only."""

from dataclasses import dataclass
from pathlib import Path

AUTOSOMES = tuple(str(number) for number in range(1, 23))
ALL = "all"  # the part of a study whose genotypes are one fileset
PLACE = "{chrom}"  # stands for the chromosome in the path of genotypes that are one file a chromosome
ENDINGS = {".bgen": "bgen", ".vcf": "vcf", ".vcf.gz": "vcf", ".vcf.bgz": "vcf", ".vcf.zst": "vcf", ".bcf": "bcf"}


@dataclass(frozen=True)
class Source:
    """Genotypes as they were given.

    Attributes
    ----------
    kind : str
        ``bed``, ``pgen``, ``bgen``, ``vcf`` or ``bcf``.
    genotypes, variants, samples : str
        Files with the calls, the list of variants and the list of samples; one file may be all three.
    """

    kind: str
    genotypes: str
    variants: str
    samples: str

    @property
    def files(self) -> list[str]:
        """List the files, each once."""
        return list(dict.fromkeys((self.genotypes, self.variants, self.samples)))

    @property
    def prefix(self) -> str:
        """Give the path without ending, of the two formats of plink."""
        return self.genotypes.removesuffix(f".{self.kind}")


def chromosomes(settings: dict) -> list[str]:
    """List the autosomes that the study reads, in their order, from config section ``genetics``."""
    named = settings["chromosomes"]
    return [chrom for chrom in AUTOSOMES if named is None or chrom in {str(name) for name in named}]


def is_split(settings: dict) -> bool:
    """Say whether jobs work on one chromosome each, from config section ``genetics``."""
    return settings["split"] or PLACE in settings["genotypes"]


def parts(settings: dict) -> list[str]:
    """List the parts that are associated: ``all``, or a chromosome each."""
    return chromosomes(settings) if is_split(settings) else [ALL]


def sex_part(settings: dict) -> str | None:
    """Name the part that chromosome X stands in, none if sex is not checked."""
    if not settings["qc"]["check_sex"]:
        return None
    return "X" if is_split(settings) else ALL


def imported_parts(settings: dict) -> list[str]:
    """List the parts that are read: those that are associated, and X for the sex check."""
    extra = sex_part(settings)
    return parts(settings) + ([extra] if extra not in (None, ALL) else [])


def read_chromosomes(settings: dict, part: str) -> list[str]:
    """List the chromosomes of a part that is read, X last."""
    if part != ALL:
        return [part]
    return chromosomes(settings) + (["X"] if settings["qc"]["check_sex"] else [])


def source(settings: dict, part: str) -> Source:
    """Name the files of a part, whichever format is there; files that do not exist yet are taken for .bed filesets.

    Parameters
    ----------
    settings : dict
        Config section ``genetics``: ``genotypes`` (a prefix or a file), ``sample`` (of .bgen).
    """
    path = settings["genotypes"].replace(PLACE, part)
    kind = next((kind for ending, kind in ENDINGS.items() if path.endswith(ending)), None)
    if kind == "bgen":
        sample = settings["sample"]
        return Source(kind, path, path, sample.replace(PLACE, part) if sample else path)
    if kind:
        return Source(kind, path, path, path)
    named, path = path.endswith(".pgen"), path.removesuffix(".bed").removesuffix(".pgen")
    if named or Path(f"{path}.pgen").exists():
        packed = ".zst" if Path(f"{path}.pvar.zst").exists() else ""
        return Source("pgen", f"{path}.pgen", f"{path}.pvar{packed}", f"{path}.psam")
    return Source("bed", f"{path}.bed", f"{path}.bim", f"{path}.fam")


def is_converted(settings: dict) -> bool:
    """Say whether one .bgen, .vcf or .bcf file is first converted whole, since each part would read all of it."""
    return settings["split"] and PLACE not in settings["genotypes"] and source(settings, ALL).kind in ENDINGS.values()


def info_table(settings: dict, part: str) -> str | None:
    """Name the table of imputation quality of a part, if the config names one."""
    path = settings["qc"]["info"]
    return path.replace(PLACE, part) if path else None
