"""Which version of FreeSurfer or FastSurfer wrote statistics: as the files say, never a guess."""

import re
from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.lib.imaging.stats.parse import StatsFile

UNKNOWN = "unknown"
# revision of mri_segstats.c or mris_anatomical_stats.c in the header -> the release that it belongs to
REVISIONS = {
    "mri_segstats.c,v 1.121": "6.0",
    "mri_segstats.c,v 1.75.2.9": "5.3",
    "mris_anatomical_stats.c,v 1.79": "6.0",
}
RELEASE = re.compile(r"v?(?P<number>[0-9]+\.[0-9]+(?:\.[0-9]+)?(?:[-+.][\w.+-]*)?)")
# freesurfer-Linux-centos6_x86_64-stable-pub-v6.0.0-2beb96c, freesurfer-linux-ubuntu22_x86_64-7.4.1-20230614-7eb8460
STAMP = re.compile(r"^freesurfer-.*?-v?(?P<number>[0-9]+\.[0-9]+\.[0-9]+)(?:-|$)", re.M)


def freesurfer_version(files: Sequence[StatsFile], folder: Path) -> str:
    """Give the version in the first header that names a release, else in ``scripts/build-stamp.txt``."""
    for file in files:
        text = file.headers.get("cvs_version", "")
        revision = re.search(r"\$?Id: (\S+,v \S+)", text)
        if revision and revision[1] in REVISIONS:
            return REVISIONS[revision[1]]
        if match := RELEASE.fullmatch(text.split(" ")[0]):
            return match["number"]
    stamp = folder / "scripts" / "build-stamp.txt"
    text = stamp.read_text(errors="replace") if stamp.is_file() else ""
    match = STAMP.search(text)
    return match["number"] if match else UNKNOWN


def fastsurfer_version(files: Sequence[StatsFile]) -> str:
    """Give the version in the first header that names one; FastSurfer before 2.3 wrote none."""
    for file in files:
        text = file.headers.get("FastSurfer_version", "")
        if match := RELEASE.fullmatch(text.split(" ")[0]):
            return match["number"]
    return UNKNOWN
