"""What the heads of genotype files tell, without their calls: samples, fields, contigs, first variants."""

import gzip
import re
import struct
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import TextIO

from workflow_scripts.lib.genetics import tools
from workflow_scripts.lib.genetics.sources import Source
from workflow_scripts.lib.study.errors import StudyError

CODES = {"23": "X", "24": "Y", "25": "X", "26": "MT", "XY": "X", "PAR1": "X", "PAR2": "X", "M": "MT"}


@dataclass
class Header:
    """Header lines of a .vcf, .bcf or .pvar file.

    Attributes
    ----------
    infos, formats : set of str
        Keys of fields of variants and of samples.
    contigs : dict
        Chromosome -> length in base pairs, where it stands.
    assemblies : set of str
        What the lines say of the reference build.
    samples : list of str
        Sample ids of a .vcf or .bcf file.
    """

    infos: set[str] = field(default_factory=set)
    formats: set[str] = field(default_factory=set)
    contigs: dict[str, int] = field(default_factory=dict)
    assemblies: set[str] = field(default_factory=set)
    samples: list[str] = field(default_factory=list)


def plain_name(chrom: str) -> str:
    """Return a chromosome's name without ``chr`` or leading zeros: 1 ... 22, X, Y, MT."""
    name = re.sub("^chr", "", chrom.strip(), flags=re.IGNORECASE).upper().lstrip("0")
    return CODES.get(name, name)


@contextmanager
def open_text(path: str | Path) -> Iterator[TextIO]:
    """Open a text file, whether packed (.gz, .bgz, .zst) or not."""
    name = str(path)
    if name.endswith((".gz", ".bgz")):
        with gzip.open(name, "rt", errors="replace") as stream:
            yield stream
    elif name.endswith(".zst"):
        command = [tools.find("plink2").path, "--zst-decompress", name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            yield TextIOWrapper(process.stdout, errors="replace")
            process.kill()
    else:
        with open(name, errors="replace") as stream:
            yield stream


def _bcf_lines(path: str) -> list[str]:
    """Read the text that heads a .bcf file."""
    with gzip.open(path, "rb") as stream:
        if stream.read(5)[:3] != b"BCF":
            raise StudyError(f"{path}: no .bcf file (its first letters are not BCF). Write it again, or give .vcf.gz.")
        (length,) = struct.unpack("<I", stream.read(4))
        return stream.read(length).rstrip(b"\0").decode(errors="replace").splitlines()


def _header_lines(path: str) -> Iterator[str]:
    with open_text(path) as stream:
        for line in stream:
            if not line.startswith("#"):
                return
            yield line.rstrip("\n")


def read_header(source: Source) -> Header:
    """Read the header lines that a fileset has; .bed and .bgen filesets have none."""
    header = Header()
    if source.kind in ("bed", "bgen"):
        return header
    lines = _bcf_lines(source.genotypes) if source.kind == "bcf" else _header_lines(source.variants)
    for line in lines:
        kind = re.match(r"##(INFO|FORMAT|contig)=<ID=([^,>]+)(.*)", line)
        if kind and kind[1] == "contig":
            if length := re.search(r"length=(\d+)", kind[3]):
                header.contigs[plain_name(kind[2])] = int(length[1])
            header.assemblies |= set(re.findall(r"assembly=\"?([^,>\"]+)", kind[3]))
        elif kind:
            (header.infos if kind[1] == "INFO" else header.formats).add(kind[2])
        elif line.startswith(("##reference=", "##assembly=")):
            header.assemblies.add(line.partition("=")[2])
        elif line.startswith("#CHROM") and source.kind != "pgen":
            header.samples = line.split("\t")[9:]
    return header


def read_sample_ids(source: Source) -> list[str]:
    """List the sample ids of a fileset: from .fam, .psam, .sample, the head of .bgen, or the header of .vcf and .bcf.

    Raises
    ------
    StudyError
        If a .bgen file holds no ids and no .sample file is named.
    """
    if source.kind in ("bed", "pgen"):
        return tools.read_samples(source.prefix)["participant_id"].tolist()
    if source.kind in ("vcf", "bcf"):
        return read_header(source).samples
    if source.samples != source.genotypes:
        rows = [line.split() for line in Path(source.samples).read_text().splitlines()[2:] if line.strip()]
        return [row[1] if len(row) > 1 else row[0] for row in rows]
    return _bgen_ids(source.genotypes)


def _bgen_ids(path: str) -> list[str]:
    with open(path, "rb") as stream:
        _, length = struct.unpack("<II", stream.read(8))
        stream.seek(4 + length - 4)
        (flags,) = struct.unpack("<I", stream.read(4))
        if not flags >> 31:
            raise StudyError(
                f"{path}: the .bgen file holds no sample ids. Name its .sample file in config under genetics: sample."
            )
        _, count = struct.unpack("<II", stream.read(8))
        ids = []
        for _ in range(count):
            (size,) = struct.unpack("<H", stream.read(2))
            ids.append(stream.read(size).decode())
    return ids


def count_variants(source: Source) -> int | None:
    """Count the variants of a fileset from its list or the head of .bgen; none for .vcf and .bcf, which do not say."""
    if source.kind in ("vcf", "bcf"):
        return None
    if source.kind == "bgen":
        with open(source.genotypes, "rb") as stream:
            return struct.unpack("<III", stream.read(12))[2]
    with open_text(source.variants) as stream:
        return sum(not line.startswith("#") for line in stream)


def first_variants(source: Source, most: int) -> list[tuple[str, int, str]]:
    """Read chromosome, position and id of the first variants of a fileset (of .bgen one, of .bcf none)."""
    if source.kind == "bcf":
        return []
    if source.kind == "bgen":
        return _bgen_first(source.genotypes)
    with open_text(source.variants) as stream:
        return list(islice(text_variants(stream, source.kind), most))


def sampled_variants(source: Source, most_bytes: int, block: int = 1 << 15) -> Iterator[tuple[str, int, str]]:
    """Yield variants of a plain list of variants: all of a short one, of a long one those in blocks spread evenly.

    Parameters
    ----------
    most_bytes : int
        How much is read.
    block : int
        Bytes read in one place.
    """
    size = Path(source.variants).stat().st_size
    if size <= most_bytes:
        with open_text(source.variants) as stream:
            yield from text_variants(stream, source.kind)
        return
    count = max(2, most_bytes // block)
    with open(source.variants, "rb") as stream:
        for number in range(count):
            stream.seek((size - block) * number // (count - 1))
            text = stream.read(block).decode(errors="replace")
            # what stands before the first and after the last end of a line may be cut; the list itself ends with one
            yield from text_variants(iter(text.split("\n")[1:-1]), source.kind)


def has_chromosome(path: str, chrom: str) -> bool:
    """Say whether a line of a plain list of variants begins with a chromosome."""
    names = [chrom, *(code for code, name in CODES.items() if name == chrom)]
    line = re.compile(rf"\n(chr)?0*({'|'.join(names)})[\t ]".encode(), re.IGNORECASE)
    with open(path, "rb") as stream:
        rest = b"\n"
        for block in iter(lambda: stream.read(1 << 24), b""):
            if line.search(rest + block):
                return True
            rest = block[-32:]
    return False


def text_variants(stream: Iterable[str], kind: str) -> Iterator[tuple[str, int, str]]:
    """Yield chromosome, position and id of the lines of a .bim, .pvar or .vcf file."""
    place = {"bed": (0, 3, 1)}.get(kind, (0, 1, 2))
    for line in stream:
        if line.startswith("#"):
            continue
        cells = line.split(None, 4)
        if len(cells) > 3 and cells[place[1]].lstrip("-").isdigit():
            yield plain_name(cells[place[0]]), int(cells[place[1]]), cells[place[2]]


def _bgen_first(path: str) -> list[tuple[str, int, str]]:
    """Read the first variant of a .bgen file (layouts 1 and 2 of version 1.2)."""
    with open(path, "rb") as stream:
        offset, length = struct.unpack("<II", stream.read(8))
        stream.seek(4 + length - 4)
        (flags,) = struct.unpack("<I", stream.read(4))
        stream.seek(4 + offset + (4 if flags >> 2 & 15 == 1 else 0))
        names = []
        for _ in range(3):  # id of the variant, rsid, chromosome
            (size,) = struct.unpack("<H", stream.read(2))
            names.append(stream.read(size).decode(errors="replace"))
        (position,) = struct.unpack("<I", stream.read(4))
    return [(plain_name(names[2]), position, names[1] or names[0])]
