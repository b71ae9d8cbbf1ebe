"""Making faults in the statistics of a subject."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.imaging.stats.dialects import write_subject
from workflow_scripts.lib.imaging.stats.subject import read_subject
from workflow_scripts.lib.study.errors import StudyError

SEVEN, FAST = "freesurfer-7.4", "fastsurfer-full-2.4"
ICV = 1500000.0


def read(subject: Path, tool: str) -> str:
    try:
        read_subject(subject, tool)
    except StudyError as error:
        return str(error)
    return "read without a word"


def after(change: Callable[[Path], object], dialect: str = SEVEN, tool: str | None = None) -> Callable[[Path], str]:
    """Make a fault in the folder ``stats`` of a subject and read it."""

    def provoke(folder: Path) -> str:
        subject, planted = write_subject(folder / "sub-01", dialect, 1, icv_mm3=ICV)
        change(subject / "stats")
        return read(subject, tool or planted.tool.lower())

    return provoke


def edit(name: str, pattern: str, new: str, dialect: str = SEVEN) -> Callable[[Path], str]:
    """Replace what matches in one file, once."""

    def change(stats: Path) -> None:
        text, count = re.subn(pattern, new, (stats / name).read_text(), count=1, flags=re.M)
        assert count == 1, (name, pattern)
        (stats / name).write_text(text)

    return after(change, dialect)


def cut(name: str, end: str, dialect: str = SEVEN) -> Callable[[Path], str]:
    """End a file right after a text."""

    def change(stats: Path) -> None:
        text = (stats / name).read_text()
        (stats / name).write_text(text[: text.index(end) + len(end)])

    return after(change, dialect)


def replace(name: str, content: bytes) -> Callable[[Path], str]:
    return after(lambda stats: (stats / name).write_bytes(content))


def give_link(stats: Path) -> None:
    (stats / "aseg.stats").unlink()
    (stats / "aseg.stats").symlink_to("../../.git/annex/objects/MD5E-s9586--0f.stats")


def swap_sides(stats: Path) -> None:
    (stats / "lh.aparc.stats").rename(stats / "kept")
    (stats / "rh.aparc.stats").rename(stats / "lh.aparc.stats")
    (stats / "kept").rename(stats / "rh.aparc.stats")


def give_dkt(stats: Path) -> None:
    text = (stats / "lh.aparc.DKTatlas.stats").read_text()
    (stats / "lh.aparc.stats").write_text(text.replace("lh.aparc.DKTatlas.annot", "lh.aparc.annot"))


def exchange_columns(stats: Path) -> None:
    text = (stats / "lh.aparc.stats").read_text().replace("GrayVol", "Grey").replace("ThickAvg", "GrayVol")
    (stats / "lh.aparc.stats").write_text(text.replace("Grey", "ThickAvg"))


def rename_column(stats: Path) -> None:
    text = (stats / "lh.aparc.stats").read_text()
    (stats / "lh.aparc.stats").write_text(text.replace("ThickAvg", "Thickness"))


def keep_brain_volumes_only(stats: Path) -> None:
    for file in stats.iterdir():
        if file.name != "brainvol.stats":
            file.unlink()


def copy_neighbour(folder: Path) -> str:
    write_subject(folder / "sub-01", SEVEN, 1, icv_mm3=ICV)
    shutil.copytree(folder / "sub-01", folder / "sub-02")
    return read(folder / "sub-02", "freesurfer")


def mix_people(stats: Path) -> None:
    other, _ = write_subject(stats.parents[1] / "sub-09", SEVEN, 2, icv_mm3=ICV)
    shutil.copy(other / "stats" / "rh.aparc.stats", stats)


def mix_runs(stats: Path) -> None:
    other, _ = write_subject(stats.parents[1] / "again", SEVEN, 3, name="sub-01", icv_mm3=ICV + 40000)
    shutil.copy(other / "stats" / "lh.aparc.stats", stats)
