"""FreeSurfer's commands: one scan, and the three steps of the longitudinal stream.

``recon-all`` (https://surfer.nmr.mgh.harvard.edu/fswiki/recon-all); longitudinal: Reuter et al. 2012, NeuroImage
61:1402, https://surfer.nmr.mgh.harvard.edu/fswiki/LongitudinalProcessing. People with one session take part too: their
template has one time point, so that all have gone through the same steps.
"""

from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.lib.imaging.backends.tools import Command, Tool

# what the study sets itself, or what would change which files come out
# fmt: off
OWN_FLAGS = frozenset({
    "-s", "-subjid", "-subject", "-i", "-sd", "-all", "-base", "-base-tp", "-tp", "-long", "-openmp", "-threads",
    "-parallel", "-autorecon1", "-autorecon2", "-autorecon3", "-make",
})
# fmt: on


def _common(tool: Tool, subjects: Path) -> list[str | Path]:
    """Return what every step gets; steps with different flags would not be comparable."""
    parallel = ["-parallel"] * (tool.threads > 1)
    # a killed run leaves a mark for which recon-all would not start again; the study never runs a subject twice at once
    return ["-sd", subjects, "-all", "-no-isrunning", *parallel, "-openmp", str(tool.threads), *tool.options]


def _done(name: str, stats: Sequence[str] = ("aseg", "lh.aparc", "rh.aparc")) -> list[str]:
    return [f"{name}/scripts/recon-all.done", *(f"{name}/stats/{part}.stats" for part in stats)]


def cross(name: str, t1w: str | Path, subjects: Path, tool: Tool) -> Command:
    """Return the command for one scan by itself.

    Parameters
    ----------
    name : str
        Of the subject folder.
    t1w : path
        The head.
    subjects : Path
        The folder of the subjects, absolute.
    tool : Tool
    """
    # once imported, naming the input again is an error
    imported = (subjects / name / "mri" / "orig" / "001.mgz").exists()
    given = [] if imported else ["-i", Path(t1w).absolute()]
    arguments = ["-s", name, *given, *_common(tool, subjects)]
    return Command(f"{name}, reconstruction", "recon-all", arguments, subjects, _done(name))


def base(template: str, names: Sequence[str], subjects: Path, tool: Tool) -> Command:
    """Return the command for a person's template of all time points, each of which :func:`cross` made before."""
    points = [part for name in names for part in ("-tp", name)]
    arguments = ["-base", template, *points, *_common(tool, subjects)]
    return Command(f"{template}, template", "recon-all", arguments, subjects, _done(template, ()))


def long(name: str, template: str, subjects: Path, tool: Tool) -> Command:
    """Return the command for a time point that starts from the template."""
    arguments = ["-long", name, template, *_common(tool, subjects)]
    return Command(f"{name}, longitudinal", "recon-all", arguments, subjects, _done(f"{name}.long.{template}"))
