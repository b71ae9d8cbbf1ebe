"""FastSurfer's commands: segmentation and surfaces of one scan, and the steps of the longitudinal stream.

Segmentation and surfaces are two commands: the first wants a GPU for minutes, the second a processor for an hour or
more. Options: ``run_fastsurfer.sh --help``; https://deep-mi.org/FastSurfer/dev/scripts/RUN_FASTSURFER.html. The
longitudinal steps are those that ``long_fastsurfer.sh`` takes one after the other
(https://deep-mi.org/FastSurfer/dev/overview/LONG.html); taken singly they continue after a failure, leave the GPU free
during the surfaces, and spare that script's habit of turning the licence's path to lower case.
"""

from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.lib.imaging.backends.tools import Command, Tool, find_licence

# what the study sets itself, or what would change which files come out
# fmt: off
OWN_FLAGS = frozenset({
    "--sid", "--sd", "--t1", "--t1s", "--tid", "--tpids", "--seg_only", "--surf_only", "--base", "--long", "--stage",
    "--fs_license", "--threads", "--device", "--vox_size", "--native_image", "--keepgeom", "--no_asegdkt",
    "--no_biasfield", "--asegdkt_segfile", "--conformed_name", "--norm_name",
})
# fmt: on
SEGMENTATION = ("mri/orig_nu.mgz", "mri/mask.mgz", "mri/aparc.DKTatlas+aseg.deep.mgz")
# versions name it aparc.DKTatlas+aseg.deep.volume, aseg+DKT or aseg+DKT.VINN; it is written last
SEGMENTATION += ("stats/a*DKT*.stats",)
SURFACES = ("stats/aseg.stats", "stats/lh.aparc.DKTatlas.mapped.stats", "stats/rh.aparc.DKTatlas.mapped.stats")
# the features need neither; they would double the time of a segmentation
SKIPPED = ("--no_cereb", "--no_hypothal")


def _device(tool: Tool) -> list[str]:
    return ["--device", "cuda" if tool.gpu else "cpu"]


def _run(title: str, name: str, subjects: Path, tool: Tool, arguments: list, done: Sequence[str]) -> Command:
    """Return a call of ``run_fastsurfer.sh`` with what all of them get."""
    licence = find_licence(tool) if tool.needs_licence else None
    # 1 mm for all: the default keeps finer voxels, and people would differ by their scanner's voxel size
    common = ["--sd", subjects, "--sid", name, "--vox_size", "1", "--threads", str(tool.threads)]
    named = ["--fs_license", licence] if licence else []
    files = [f"{name}/{path}" for path in done]
    return Command(title, "run_fastsurfer.sh", [*common, *named, *arguments, *tool.options], subjects, files)


def segment(name: str, t1w: str | Path, subjects: Path, tool: Tool) -> Command:
    """Return the command that segments one scan.

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
    arguments = ["--t1", Path(t1w).absolute(), "--seg_only", *SKIPPED, *_device(tool)]
    return _run(f"{name}, segmentation", name, subjects, tool, arguments, SEGMENTATION)


def surfaces(name: str, subjects: Path, tool: Tool) -> Command:
    """Return the command that makes the surfaces of a segmented scan."""
    return _run(f"{name}, surfaces", name, subjects, tool, ["--surf_only"], SURFACES)


def prepare(template: str, names: Sequence[str], t1ws: Sequence[str | Path], subjects: Path, tool: Tool) -> Command:
    """Return the command that aligns a person's scans and makes their template; one scan is allowed."""
    scans = [Path(t1w).absolute() for t1w in t1ws]
    arguments = ["--tid", template, "--t1s", *scans, "--tpids", *names, "--sd", subjects, "--vox_size", "1"]
    files = [f"{template}/base-tps.fastsurfer", f"{template}/mri/orig.mgz"]
    program = (
        "recon_surf/long_prepare_template.sh"  # takes the options of run_fastsurfer.sh and ignores those of others
    )
    return Command(f"{template}, template", program, [*arguments, *_device(tool), *tool.options], subjects, files)


def segment_template(template: str, subjects: Path, tool: Tool) -> Command:
    """Return the command that segments a template."""
    # the segmentation alone is needed
    arguments = ["--base", "--seg_only", *_device(tool)]
    title = f"{template}, segmentation of the template"
    return _run(title, template, subjects, tool, arguments, SEGMENTATION[2:3])


def surfaces_of_template(template: str, subjects: Path, tool: Tool) -> Command:
    """Return the command that makes the surfaces of a template."""
    title = f"{template}, surfaces of the template"
    done = ("surf/lh.pial", "surf/rh.pial")
    return _run(title, template, subjects, tool, ["--base", "--surf_only"], done)


def segment_long(name: str, template: str, subjects: Path, tool: Tool) -> Command:
    """Return the command that segments a time point in the space of the template."""
    arguments = ["--long", template, "--seg_only", *SKIPPED, *_device(tool)]
    return _run(f"{name}, longitudinal segmentation", name, subjects, tool, arguments, SEGMENTATION)


def surfaces_long(name: str, template: str, subjects: Path, tool: Tool) -> Command:
    """Return the command that makes the surfaces of a time point, starting from the template's."""
    arguments = ["--long", template, "--surf_only"]
    return _run(f"{name}, longitudinal surfaces", name, subjects, tool, arguments, SURFACES)
