"""Programs that stand in for FreeSurfer and FastSurfer: they write down how they were called, and files."""

import json
import stat
import sys
from pathlib import Path

LICENCE = "someone@example.org\n12345\n *CabcdefghijkL\n FSabcdefghijkl\n"

FAKE = """#!{python}
import json, os, sys, time
from pathlib import Path
words = sys.argv[1:]
with open({record!r}, "a") as stream:
    called = {{"program": sys.argv[0], "arguments": words, "licence": os.environ.get("FS_LICENSE")}}
    stream.write(json.dumps(called | {{"subjects": os.environ.get("SUBJECTS_DIR")}}) + chr(10))
print("hello from the tool", flush=True)
if any(word in {fails!r} for word in words):
    print("white matter peak found at -nan", file=sys.stderr)
    print()
    sys.exit(3)
if any(word in {hangs!r} for word in words):
    import subprocess
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)", {record!r}])
    time.sleep(300)

def value(flag):
    return words[words.index(flag) + 1] if flag in words else None

subjects = Path(value("-sd") or value("--sd"))
def write(name, *files):
    for file in files:
        path = subjects / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("made")

statistics = ("stats/aseg.stats", "stats/lh.aparc.stats", "stats/rh.aparc.stats", "scripts/recon-all.done")
surfaces = ("stats/aseg.stats", "stats/lh.aparc.DKTatlas.mapped.stats", "stats/rh.aparc.DKTatlas.mapped.stats")
segmentation = ("mri/orig_nu.mgz", "mri/mask.mgz", "mri/aparc.DKTatlas+aseg.deep.mgz", "stats/aseg+DKT.stats")
if "-s" in words:
    write(value("-s"), "mri/orig/001.mgz", *statistics)
elif "-base" in words:
    write(value("-base"), "scripts/recon-all.done")
elif "-long" in words:
    write(value("-long") + ".long." + words[words.index("-long") + 2], *statistics)
elif "--tid" in words:
    write(value("--tid"), "base-tps.fastsurfer", "mri/orig.mgz")
elif "--seg_only" in words:
    write(value("--sid"), *segmentation)
elif "--surf_only" in words:
    write(value("--sid"), *surfaces, "surf/lh.pial", "surf/rh.pial")
"""


class FakeTool:
    """Install stand-ins in a folder.

    Parameters
    ----------
    folder : Path
        Where the programs go.
    fails, hangs : list of str
        Words among the arguments at which a program fails, or never ends.
    """

    def __init__(self, folder: Path, fails: tuple[str, ...] = (), hangs: tuple[str, ...] = ()):
        self.folder, self.record = folder, folder / "calls.jsonl"
        for name in ("recon-all", "run_fastsurfer.sh", "recon_surf/long_prepare_template.sh"):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(FAKE.format(python=sys.executable, record=str(self.record), fails=fails, hangs=hangs))
            path.chmod(path.stat().st_mode | stat.S_IXUSR)

    @property
    def calls(self) -> list[dict]:
        """How the programs were called, in order."""
        return [json.loads(line) for line in self.record.read_text().splitlines()] if self.record.exists() else []

    @property
    def words(self) -> list[list[str]]:
        """The arguments of each call."""
        return [call["arguments"] for call in self.calls]


def settings(**changes: object) -> dict:
    """Return config section ``preprocess`` for a tool, with its defaults."""
    tool = {"run": "local", "image": None, "licence": None, "options": [], "surfaces": True, "gpu": 0, "threads": 1}
    tool |= {"at_once": 1, "memory_mb": 16000, "minutes": 1440}
    top = {"backend": "freesurfer", "longitudinal": False, "meshnet": {"weights": None, "labels": None, "layers": None}}
    top |= {key: changes.pop(key) for key in list(changes) if key in top}
    return top | {"tool": tool | changes}
