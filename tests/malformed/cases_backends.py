"""What is wrong with tools, their licences and networks, and with the subject folders that they left."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch

from tests.imaging.fake_tools import LICENCE, FakeTool, settings
from tests.imaging.subject_folders import fastsurfer_folder, freesurfer_folder
from tests.malformed.case import Case
from workflow_scripts.lib.imaging.backends.existing import read_existing
from workflow_scripts.lib.imaging.backends.meshnet_files import read_network
from workflow_scripts.lib.imaging.backends.reconstruct import Person, reconstruct
from workflow_scripts.lib.imaging.backends.tool_check import check_tool
from workflow_scripts.lib.imaging.backends.tools import Tool
from workflow_scripts.lib.study.errors import StudyError

REGISTER = "It is free: https://surfer.nmr.mgh.harvard.edu/registration.html"
NETWORK = "The files are at https://github.com/neuroneural/brainchop, folder model21_104class."


def caught(work: Callable, *arguments: object) -> str:
    """Return what a call is refused with."""
    try:
        work(*arguments)
    except StudyError as error:
        return str(error)
    return "not refused"


def alone(folder: Path) -> mock._patch_dict:
    """Hide the machine's own tools."""
    path = str(folder / "bin")
    kept = {name: os.environ[name] for name in ("HOME", "TMPDIR") if name in os.environ}
    return mock.patch.dict(os.environ, kept | {"PATH": path, "FREESURFER_HOME": path}, clear=True)


def licensed(text: str | None) -> Callable[[Path], str]:
    """Make a check of an installed FreeSurfer whose licence file holds a text, or is not there."""

    def provoke(folder: Path) -> str:
        FakeTool(folder / "bin")
        if text is not None:
            (folder / "license.txt").write_text(text)
        with alone(folder):
            return caught(check_tool, settings(licence=str(folder / "license.txt")))

    return provoke


def checked(**changes: object) -> Callable[[Path], str]:
    """Make a check of settings on a machine without tools, with a sound licence."""

    def provoke(folder: Path) -> str:
        (folder / "license.txt").write_text(LICENCE)
        where = {
            key: value.format(folder=folder) if isinstance(value, str) else value for key, value in changes.items()
        }
        with alone(folder):
            return caught(check_tool, settings(licence=str(folder / "license.txt"), **where))

    return provoke


def unset(folder: Path) -> str:
    """Check an installation whose set-up script was not sourced."""
    FakeTool(folder / "bin")
    (folder / "license.txt").write_text(LICENCE)
    with alone(folder):
        del os.environ["FREESURFER_HOME"]
        return caught(check_tool, settings(licence=str(folder / "license.txt")))


def network(change: Callable[[Path], None]) -> Callable[[Path], str]:
    """Make a reading of a small network of which one file was changed."""

    def provoke(folder: Path) -> str:
        names = ["BG", "ctx-lh-entorhinal", "Left-Hippocampus", "Right-Cerebral-White-Matter"]
        layers = [{"in_channels": 1, "out_channels": len(names), "kernel_size": 1, "dilation": 1}]
        torch.save({"0.weight": torch.zeros(4, 1, 1, 1, 1), "0.bias": torch.zeros(4)}, folder / "model.pth")
        (folder / "model.json").write_text(json.dumps({"layers": layers}))
        (folder / "labels.json").write_text(json.dumps({str(place): name for place, name in enumerate(names)}))
        change(folder)
        return caught(read_network, {"weights": folder / "model.pth", "labels": folder / "labels.json"})

    return provoke


def freesurfer(change: Callable[[Path], object]) -> Callable[[Path], str]:
    """Make a reading of a folder of FreeSurfer that was changed."""

    def provoke(folder: Path) -> str:
        subject = freesurfer_folder(folder / "bert")
        (subject / "scripts").mkdir()
        change(subject)
        return caught(read_existing, subject, "freesurfer")

    return provoke


def fastsurfer(change: Callable[[Path], object]) -> Callable[[Path], str]:
    """Make a reading of a folder of FastSurfer that was changed."""

    def provoke(folder: Path) -> str:
        subject = fastsurfer_folder(folder / "bert")
        change(subject)
        return caught(read_existing, subject, "fastsurfer")

    return provoke


def reconstruction(**tool: object) -> Callable[[Path], str]:
    """Make a run of FreeSurfer in which the program fails."""

    def provoke(folder: Path) -> str:
        FakeTool(folder / "bin", fails=("sub-01_1",))
        (folder / "t1.nii").touch()
        with alone(folder):
            person = Person("sub-01", {"sub-01_1": str(folder / "t1.nii")})
            table = reconstruct([person], folder / "subjects", Tool("freesurfer", **tool), False, "reconstruct", {})
        return table["reason"][0]

    return provoke


def replaced(folder: Path) -> str:
    """Reconstruct a scan, replace it by another, and reconstruct again."""
    FakeTool(folder / "bin")
    person = Person("sub-01", {"sub-01_1": str(folder / "t1.nii")})
    with alone(folder):
        for content in ("one", "another"):
            (folder / "t1.nii").write_text(content)
            table = reconstruct([person], folder / "subjects", Tool("freesurfer"), False, "reconstruct", {})
    return table["reason"][0]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


CASES = [
    Case(
        "config",
        "licence file missing",
        "refused",
        f"preprocess.tool.licence: '{{folder}}/license.txt' is not a file. Correct the path. No licence yet? "
        f"{REGISTER}",
        licensed(None),
    ),
    Case(
        "config",
        "licence file empty",
        "refused",
        "{folder}/license.txt is empty; expected the 4 or 5 lines of FreeSurfer's licence. Copy the file again as "
        f"it came by mail. {REGISTER}",
        licensed("\n"),
    ),
    Case(
        "config",
        "licence file is another file",
        "refused",
        "{folder}/license.txt, line 1: found '<!DOCTYPE html>', expected the e-mail address that was registered. "
        f"Copy the file again as it came by mail. {REGISTER}",
        licensed("<!DOCTYPE html>\n<html>\n"),
    ),
    Case(
        "config",
        "licence file cut short",
        "refused",
        "{folder}/license.txt has 2 lines; FreeSurfer's licence has 4 or 5. Copy the file again as it came by mail. "
        f"{REGISTER}",
        licensed("someone@example.org\n12345\n"),
    ),
    Case(
        "config",
        "FreeSurfer not installed",
        "refused",
        "preprocess.tool.run: recon-all of FreeSurfer is not on the path, nor in $FREESURFER_HOME. Install "
        "FreeSurfer and put its folder on the path, or set preprocess.tool.run to apptainer or docker.",
        checked(),
    ),
    Case(
        "config",
        "FreeSurfer installed but not set up",
        "refused",
        "preprocess.tool.run: recon-all is on the path, but $FREESURFER_HOME is not set. Source SetUpFreeSurfer.sh of "
        "the installation before the study is started.",
        unset,
    ),
    Case(
        "config",
        "container image missing",
        "refused",
        "preprocess.tool.run: neither apptainer nor singularity is on the path. Install one of them.\n"
        "preprocess.tool.image: '{folder}/fast.sif' does not exist. Make it once: apptainer build {folder}/fast.sif "
        "docker://deepmi/fastsurfer:latest",
        checked(backend="fastsurfer", run="apptainer", image="{folder}/fast.sif"),
    ),
    Case(
        "config",
        "option that the study sets",
        "refused",
        "preprocess.tool.options: '--sid' is set by the study itself. Leave it out.\n"
        "preprocess.tool.run: docker is not on the path. Install it, or set preprocess.tool.run to apptainer.",
        checked(backend="fastsurfer", run="docker", image="deepmi/fastsurfer", options=["--3T", "--sid"]),
    ),
    Case(
        "config",
        "longitudinal without surfaces",
        "refused",
        "preprocess.tool.surfaces: found False, but preprocess.longitudinal needs the surfaces of the template. "
        "Set one of them differently.\n"
        "preprocess.tool.run: docker is not on the path. Install it, or set preprocess.tool.run to apptainer.",
        checked(backend="fastsurfer", run="docker", image="x", surfaces=False, longitudinal=True),
    ),
    Case(
        "config",
        "network without weights",
        "set aside",
        f"preprocess.meshnet.weights: '{{folder}}/model.pth' does not exist. {NETWORK}",
        network(lambda folder: (folder / "model.pth").unlink()),
    ),
    Case(
        "config",
        "weights of another network",
        "set aside",
        "{folder}/model.pth has the weights of another network: layer 1 has 2x1x3x3x3, the description wants "
        "4x1x1x1x1. Name files that belong together.",
        network(
            lambda folder: torch.save(
                {"0.weight": torch.zeros(2, 1, 3, 3, 3), "0.bias": torch.zeros(2)}, folder / "model.pth"
            )
        ),
    ),
    Case(
        "config",
        "weights that are no state dict",
        "set aside",
        f"{{folder}}/model.pth holds a list that is no state dict (tensors by name). {NETWORK}",
        network(lambda folder: torch.save([1, 2], folder / "model.pth")),
    ),
    Case(
        "config",
        "weights that would run code",
        "set aside",
        f"{{folder}}/model.pth cannot be read as weights: it is damaged, or holds more than tensors. {NETWORK}",
        network(lambda folder: torch.save(Tool("freesurfer"), folder / "model.pth")),
    ),
    Case(
        "config",
        "weights cut short",
        "set aside",
        f"{{folder}}/model.pth cannot be read as weights: it is damaged, or holds more than tensors. {NETWORK}",
        network(lambda folder: cut(folder / "model.pth")),
    ),
    Case(
        "config",
        "labels of another network",
        "set aside",
        "{folder}/labels.json: found 1 labels, the network has 4. Name files that belong together.",
        network(lambda folder: (folder / "labels.json").write_text('{"0": "BG"}')),
    ),
    Case(
        "freesurfer",
        "run that stopped with an error",
        "set aside",
        "{folder}/bert: the run stopped with an error (scripts/recon-all.error; the end of scripts/recon-all.log says "
        "why). Run the subject again, or leave it out.",
        freesurfer(lambda subject: (subject / "scripts" / "recon-all.error").touch()),
    ),
    Case(
        "freesurfer",
        "run that was killed",
        "set aside",
        "{folder}/bert: the run has not finished (scripts/IsRunning.lh+rh is there). Wait for it; if it was "
        "killed, run the subject again.",
        freesurfer(lambda subject: (subject / "scripts" / "IsRunning.lh+rh").touch()),
    ),
    Case(
        "freesurfer",
        "brain volume damaged",
        "set aside",
        "{folder}/bert/mri/norm.mgz: file cannot be read as an image, truncated or damaged (Compressed file ended "
        "before the end-of-stream marker was reached). Copy it again or run the subject again.",
        freesurfer(lambda subject: cut(subject / "mri" / "norm.mgz")),
    ),
    Case(
        "fastsurfer",
        "brain mask missing",
        "set aside",
        "{folder}/bert/mri has orig_nu.mgz but no mask.mgz: the brain is made of both. Run the segmentation again "
        "(without --no_biasfield), or remove the folder mri to use the statistics alone.",
        fastsurfer(lambda subject: (subject / "mri" / "mask.mgz").unlink()),
    ),
    Case(
        "freesurfer",
        "tool that fails",
        "set aside",
        "sub-01_1, reconstruction: recon-all stopped with status 3. Its last words: hello from the tool | white matter "
        "peak found at -nan (all: {folder}/subjects/logs/sub-01_1.log)",
        reconstruction(),
    ),
    Case(
        "freesurfer",
        "scan replaced after its reconstruction",
        "set aside",
        "sub-01_1: its subject folder was made with another T1w volume than now. To make it anew, delete "
        "{folder}/subjects/sub-01_1, {folder}/subjects/made_from/sub-01_1.json. Or undo the change.",
        replaced,
    ),
]
