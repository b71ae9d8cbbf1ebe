"""Refuse a study whose tool cannot run before any job: program, container, image, licence, options.

Used while the Snakefile is parsed: nothing heavy is imported.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from workflow_scripts.lib.imaging.backends import fastsurfer, freesurfer
from workflow_scripts.lib.imaging.backends.tools import (
    HOMES,
    PROGRAMS,
    Tool,
    find_apptainer,
    find_licence,
    find_program,
    say_not_installed,
)
from workflow_scripts.lib.study.errors import StudyError

OWN_FLAGS = {"freesurfer": freesurfer.OWN_FLAGS, "fastsurfer": fastsurfer.OWN_FLAGS}
SOURCES = {"freesurfer": "freesurfer/freesurfer:7.4.1", "fastsurfer": "deepmi/fastsurfer:latest"}
NETWORK = "The files are at https://github.com/neuroneural/brainchop, folder model21_104class."
REGISTER = "It is free: https://surfer.nmr.mgh.harvard.edu/registration.html"


def check_tool(preprocess: dict) -> None:
    """Check that what the backend of config section ``preprocess`` needs is there.

    Raises
    ------
    StudyError
        One message with every fault found and its remedy.
    """
    faults: list[str] = []
    if preprocess["backend"] == "meshnet":
        faults = list(_check_meshnet(preprocess["meshnet"]))
    elif preprocess["backend"] in PROGRAMS:
        tool = Tool.from_config(preprocess)
        faults = [*_check_options(tool, preprocess["longitudinal"]), *_check_place(tool), *_check_licence(tool)]
    if faults:
        raise StudyError("\n".join(faults))


def _check_meshnet(meshnet: dict) -> Iterator[str]:
    """Check that the network's files are there; whether they fit is seen when they are read."""
    for key in ("weights", "labels", "layers"):
        path = meshnet[key]
        if path is None and key != "layers":
            yield f"preprocess.meshnet.{key}: found nothing, but backend meshnet needs it. {NETWORK}"
        elif path is not None and not Path(path).is_file():
            yield f"preprocess.meshnet.{key}: '{path}' does not exist. {NETWORK}"


def _check_options(tool: Tool, longitudinal: bool) -> Iterator[str]:
    for option in tool.options:
        if option in OWN_FLAGS[tool.name]:
            yield f"preprocess.tool.options: '{option}' is set by the study itself. Leave it out."
    if longitudinal and not tool.surfaces:
        yield (
            "preprocess.tool.surfaces: found False, but preprocess.longitudinal needs the surfaces of the template. "
            "Set one of them differently."
        )


def _check_place(tool: Tool) -> Iterator[str]:
    """Check that the program, or the container and its image, are there."""
    if tool.run == "local":
        if find_program(tool, PROGRAMS[tool.name]) is None:
            yield say_not_installed(tool, PROGRAMS[tool.name])
        elif tool.needs_licence and not os.environ.get(HOMES["freesurfer"]):
            # FastSurfer's surfaces are made by FreeSurfer's programs too
            yield (
                f"preprocess.tool.run: {PROGRAMS[tool.name]} is on the path, but ${HOMES['freesurfer']} is not set. "
                "Source SetUpFreeSurfer.sh of the installation before the study is started."
            )
        return
    if not tool.image:
        yield f"preprocess.tool.image: found nothing, expected the image of {tool.run}, e.g. {SOURCES[tool.name]}."
        return
    if tool.run == "apptainer":
        if find_apptainer() is None:
            yield "preprocess.tool.run: neither apptainer nor singularity is on the path. Install one of them."
        if not Path(tool.image).exists():
            yield (
                f"preprocess.tool.image: '{tool.image}' does not exist. Make it once: apptainer build {tool.image} "
                f"docker://{SOURCES[tool.name]}"
            )
        return
    if shutil.which("docker") is None:
        yield "preprocess.tool.run: docker is not on the path. Install it, or set preprocess.tool.run to apptainer."
        return
    answer = subprocess.run(["docker", "image", "inspect", tool.image], capture_output=True, text=True, check=False)
    if answer.returncode:
        words = (answer.stderr.strip().splitlines() or ["no answer"])[-1]
        yield f"preprocess.tool.image: docker does not have '{tool.image}' ({words}). docker pull {tool.image}"


def _check_licence(tool: Tool) -> Iterator[str]:
    """Check that a licence is there, where one is needed, and looks like one."""
    if not tool.needs_licence and not tool.licence:
        return
    path = find_licence(tool)
    if path is None:
        place = f", and ${HOMES['freesurfer']} has none" if tool.run == "local" else ""
        yield (
            f"preprocess.tool.licence: found nothing{place}; FreeSurfer's programs need a licence file. {REGISTER}. "
            "Name the file you get."
        )
        return
    if not path.is_file():
        yield f"preprocess.tool.licence: '{path}' is not a file. Correct the path. No licence yet? {REGISTER}"
        return
    lines = [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()]
    hint = f"Copy the file again as it came by mail. {REGISTER}"
    if not lines:
        yield f"{path} is empty; expected the 4 or 5 lines of FreeSurfer's licence. {hint}"
    elif "@" not in lines[0]:
        yield f"{path}, line 1: found '{lines[0][:40]}', expected the e-mail address that was registered. {hint}"
    elif len(lines) < 4:
        yield f"{path} has {len(lines)} lines; FreeSurfer's licence has 4 or 5. {hint}"
    elif not re.fullmatch(r"\d+", lines[1]):
        yield f"{path}, line 2: found '{lines[1][:40]}', expected a number. {hint}"
