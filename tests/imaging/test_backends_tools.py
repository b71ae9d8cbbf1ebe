"""Tools are found or refused, run in or out of containers, and what they leave is kept."""

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.imaging.fake_tools import LICENCE, FakeTool, settings
from workflow_scripts.lib.imaging.backends import fastsurfer, freesurfer, tools
from workflow_scripts.lib.imaging.backends.tool_check import check_tool
from workflow_scripts.lib.imaging.backends.tools import Tool, build, run_command
from workflow_scripts.lib.study.errors import StudyError


@pytest.fixture(autouse=True)
def no_installed_tools(monkeypatch, tmp_path):
    """Nothing of this machine counts: neither path nor variables."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in ("FREESURFER_HOME", "FASTSURFER_HOME", "FS_LICENSE", "SUBJECTS_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def licence(tmp_path):
    path = tmp_path / "keys" / "License.txt"
    path.parent.mkdir()
    path.write_text(LICENCE)
    return path


def program(folder: Path, name: str, text: str = "#!/bin/sh\nexit 0\n") -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def test_an_installed_tool_runs_with_licence_and_subjects_and_writes_its_log(tmp_path, licence):
    fake = FakeTool(tmp_path / "bin")
    tool = Tool("freesurfer", licence=str(licence))
    command = freesurfer.cross("a_1", tmp_path / "a.nii", tmp_path / "subjects", tool)
    assert len(command.lacking) == 4
    run_command(command, tool, tmp_path / "logs" / "a_1.log")
    assert command.lacking == []
    [call] = fake.calls
    assert call["program"] == str(tmp_path / "bin" / "recon-all")
    assert call["arguments"][:4] == ["-s", "a_1", "-i", str(tmp_path / "a.nii")]
    assert call["licence"] == str(licence)
    assert call["subjects"] == str(tmp_path / "subjects")
    log = (tmp_path / "logs" / "a_1.log").read_text()
    assert log.startswith("$ ")
    assert "hello from the tool" in log


def test_what_is_complete_is_not_run_again(tmp_path):
    fake, tool = FakeTool(tmp_path / "bin"), Tool("freesurfer")
    command = freesurfer.cross("a_1", tmp_path / "a.nii", tmp_path / "subjects", tool)
    run_command(command, tool, tmp_path / "log")
    run_command(command, tool, tmp_path / "log")
    assert len(fake.calls) == 1
    (tmp_path / "subjects/a_1/stats/rh.aparc.stats").unlink()
    run_command(freesurfer.cross("a_1", tmp_path / "a.nii", tmp_path / "subjects", tool), tool, tmp_path / "log")
    assert len(fake.calls) == 2
    assert "-i" not in fake.words[1]  # continues with what was imported


def test_a_tool_is_found_by_its_own_variable(tmp_path, monkeypatch):
    FakeTool(tmp_path / "elsewhere")
    monkeypatch.setenv("FASTSURFER_HOME", str(tmp_path / "elsewhere"))
    tool = Tool("fastsurfer", surfaces=False)
    argv, _ = build(fastsurfer.prepare("a", ["a_1"], ["/a.nii"], tmp_path, tool), tool)
    assert argv[0] == str(tmp_path / "elsewhere" / "recon_surf" / "long_prepare_template.sh")


def test_a_failed_tool_gives_its_last_words_and_what_it_wrote_stays(tmp_path):
    FakeTool(tmp_path / "bin", fails=("a_1",))
    tool = Tool("freesurfer")
    (tmp_path / "subjects" / "a_1" / "mri").mkdir(parents=True)
    command = freesurfer.cross("a_1", tmp_path / "a.nii", tmp_path / "subjects", tool)
    with pytest.raises(StudyError) as error:
        run_command(command, tool, tmp_path / "log")
    assert str(error.value) == (
        "a_1, reconstruction: recon-all stopped with status 3. Its last words: hello from the tool | white matter peak "
        f"found at -nan (all: {tmp_path / 'log'})"
    )
    assert (tmp_path / "subjects" / "a_1" / "mri").is_dir()


def test_success_without_a_result_is_a_failure(tmp_path):
    program(tmp_path / "bin", "recon-all")
    tool = Tool("freesurfer")
    command = freesurfer.cross("a_1", tmp_path / "a.nii", tmp_path / "subjects", tool)
    with pytest.raises(StudyError, match=r"ended without a_1/scripts/recon-all\.done\. Its last words: none"):
        run_command(command, tool, tmp_path / "log")


def processes_with(word: str) -> list[str]:
    """List command lines of running processes (not zombies) that hold a word."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        found += [line] if word in line else []
    return found


def assert_gone(word: str) -> None:
    """A killed process may show for a moment more."""
    for _ in range(100):
        if not processes_with(word):
            return
        time.sleep(0.1)
    pytest.fail(f"still running: {processes_with(word)}")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_a_tool_that_hangs_is_stopped_with_all_it_started(tmp_path):
    FakeTool(tmp_path / "bin", hangs=("a_1",))
    tool = Tool("freesurfer", minutes=0.05)
    command = freesurfer.cross("a_1", tmp_path / "a.nii", tmp_path / "subjects", tool)
    with pytest.raises(StudyError, match=r"was stopped after 0.05 minutes \(preprocess.tool.minutes\)"):
        run_command(command, tool, tmp_path / "log")
    assert_gone(str(tmp_path / "bin"))
    assert not tools.RUNNING


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_a_job_that_is_ended_ends_its_tool(tmp_path):
    FakeTool(tmp_path / "bin", hangs=("a_1",))
    script = (
        "from pathlib import Path\n"
        "from workflow_scripts.lib.imaging.backends.reconstruct import Person, reconstruct\n"
        "from workflow_scripts.lib.imaging.backends.tools import Tool, ending_with_us\n"
        f"people = [Person(name, {{f'{{name}}_1': {str(tmp_path / 'a.nii')!r}}}) for name in 'ab']\n"
        "with ending_with_us():\n"
        f"    subjects = Path({str(tmp_path / 'subjects')!r})\n"
        "    reconstruct(people, subjects, Tool('freesurfer'), False, 'reconstruct', {})\n"
    )
    (tmp_path / "a.nii").touch()
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    job = subprocess.Popen([sys.executable, "-c", script], env=environment, stderr=subprocess.DEVNULL)
    log = tmp_path / "subjects" / "logs" / "a_1.log"
    while not (log.exists() and "hello" in log.read_text()) and job.poll() is None:
        time.sleep(0.05)
    job.send_signal(signal.SIGTERM)
    assert job.wait(60) == 128 + signal.SIGTERM
    assert_gone(str(tmp_path / "bin"))
    assert not (tmp_path / "subjects" / "logs" / "b_1.log").exists()  # nothing new is begun


def pairs(argv: list[str], flag: str) -> list[str]:
    return [value for word, value in itertools.pairwise(argv) if word == flag]


def test_in_apptainer_paths_are_those_of_the_container(tmp_path, licence):
    program(tmp_path / "bin", "apptainer")
    tool = Tool("fastsurfer", "apptainer", str(tmp_path / "fast.sif"), str(licence), gpu=1)
    argv, added = build(fastsurfer.segment("a_1", tmp_path / "in" / "a.nii", tmp_path / "subjects", tool), tool)
    assert argv[:2] == [str(tmp_path / "bin" / "apptainer"), "exec"]
    assert {"--nv", "--no-home", "--cleanenv"} <= set(argv)
    assert pairs(argv, "-B") == [
        f"{tmp_path / 'subjects'}:/output",
        f"{tmp_path / 'in'}:/data/0:ro",
        f"{licence}:/fs_license/license.txt:ro",
    ]
    inside = argv[argv.index(str(tmp_path / "fast.sif")) + 1 :]
    assert inside[0] == "/fastsurfer/run_fastsurfer.sh"
    assert pairs(inside, "--t1") == ["/data/0/a.nii"]
    assert pairs(inside, "--sd") == ["/output"]
    assert pairs(inside, "--fs_license") == ["/fs_license/license.txt"]
    assert pairs(argv, "--env") == ["SUBJECTS_DIR=/output", "FS_LICENSE=/fs_license/license.txt"]
    assert not [word for word in inside if str(tmp_path) in word]
    assert added == {}


def test_in_docker_files_belong_to_the_user_and_nothing_stays(tmp_path, licence):
    tool = Tool("freesurfer", "docker", "freesurfer/freesurfer:7.4.1", str(licence), threads=2)
    argv, _ = build(freesurfer.cross("a_1", tmp_path / "a.nii", tmp_path / "subjects", tool), tool)
    assert argv[:3] == ["docker", "run", "--rm"]
    assert pairs(argv, "--user") == [f"{os.getuid()}:{os.getgid()}"]
    assert "--gpus" not in argv
    assert pairs(argv, "--entrypoint") == ["recon-all"]
    inside = argv[argv.index("freesurfer/freesurfer:7.4.1") + 1 :]
    assert pairs(inside, "-i") == ["/data/0/a.nii"]
    assert pairs(inside, "-sd") == ["/output"]
    with_gpu = Tool("fastsurfer", "docker", "deepmi/fastsurfer:latest", str(licence), gpu=1)
    argv, _ = build(fastsurfer.segment("a_1", tmp_path / "a.nii", tmp_path / "subjects", with_gpu), with_gpu)
    assert pairs(argv, "--gpus") == ["all"]


def test_a_link_to_a_scan_is_bound_where_it_leads(tmp_path):
    (tmp_path / "annex").mkdir()
    (tmp_path / "annex" / "key.nii").touch()
    (tmp_path / "bids").mkdir()
    (tmp_path / "bids" / "a.nii").symlink_to(tmp_path / "annex" / "key.nii")
    tool = Tool("fastsurfer", "docker", "image", surfaces=False)
    argv, _ = build(fastsurfer.segment("a_1", tmp_path / "bids" / "a.nii", tmp_path / "subjects", tool), tool)
    assert f"{tmp_path / 'annex'}:/data/0:ro" in pairs(argv, "-v")
    assert pairs(argv, "--t1") == ["/data/0/key.nii"]


def test_several_scans_of_a_folder_are_bound_once(tmp_path):
    tool = Tool("fastsurfer", "docker", "image", surfaces=False)
    t1ws = [tmp_path / "x" / "a.nii", tmp_path / "y" / "b.nii", tmp_path / "x" / "c.nii"]
    argv, _ = build(fastsurfer.prepare("a", ["a_1", "a_2", "a_3"], t1ws, tmp_path / "subjects", tool), tool)
    start = argv.index("--t1s") + 1
    assert argv[start : start + 3] == ["/data/0/a.nii", "/data/1/b.nii", "/data/0/c.nii"]
    assert len(pairs(argv, "-v")) == 3


def test_a_container_runs_for_real_through_a_stand_in(tmp_path, licence):
    """A program called apptainer that drops its own words and runs the rest shows that the words are in order."""
    text = (
        f"#!{sys.executable}\nimport os, sys\n"
        "words = sys.argv[1:]\n"
        "inside = words[words.index(sys.argv[0].replace('bin/apptainer', 'fast.sif')) + 1:]\n"
        "output = next(word for word in words if word.endswith(':/output')).removesuffix(':/output')\n"
        "inside = [word.replace('/output', output).replace('/fastsurfer/', sys.argv[0][:-9]) for word in inside]\n"
        "os.execv(inside[0], inside)\n"
    )
    fake = FakeTool(tmp_path / "bin")
    program(tmp_path / "bin", "apptainer", text)
    tool = Tool("fastsurfer", "apptainer", str(tmp_path / "fast.sif"), str(licence))
    run_command(fastsurfer.segment("a_1", tmp_path / "a.nii", tmp_path / "subjects", tool), tool, tmp_path / "log")
    assert (tmp_path / "subjects/a_1/mri/mask.mgz").exists()
    assert len(fake.calls) == 1


def test_a_sound_installation_is_accepted(tmp_path, licence, monkeypatch):
    FakeTool(tmp_path / "bin")
    check_tool(settings(backend="fastsurfer", surfaces=False))
    for backend in ("freesurfer", "fastsurfer"):
        with pytest.raises(StudyError, match=r"is on the path, but \$FREESURFER_HOME is not set"):
            check_tool(settings(backend=backend, licence=str(licence)))
    monkeypatch.setenv("FREESURFER_HOME", str(tmp_path))
    check_tool(settings(licence=str(licence)))
    check_tool(settings(backend="fastsurfer", licence=str(licence), options=["--3T"]))
    check_tool(settings(backend="embedded"))
    with pytest.raises(StudyError, match=r"preprocess.tool.licence: found nothing, and \$FREESURFER_HOME has none"):
        check_tool(settings())
    monkeypatch.setenv("FS_LICENSE", str(licence))
    check_tool(settings())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "License.txt is empty; expected the 4 or 5 lines"),
        ("not a licence\n1\n2\n3\n", "line 1: found 'not a licence', expected the e-mail address"),
        ("a@b.org\n12345\n", "has 2 lines; FreeSurfer's licence has 4 or 5"),
        ("a@b.org\nx\n *C\n FS\n", "line 2: found 'x', expected a number"),
    ],
)
def test_a_malformed_licence_is_refused(tmp_path, licence, monkeypatch, text, message):
    FakeTool(tmp_path / "bin")
    monkeypatch.setenv("FREESURFER_HOME", str(tmp_path))
    licence.write_text(text)
    with pytest.raises(StudyError, match=message):
        check_tool(settings(licence=str(licence)))


def test_containers_and_images_that_are_not_there_are_refused(tmp_path, licence):
    def message(**changes: object) -> str:
        with pytest.raises(StudyError) as error:
            check_tool(settings(backend="fastsurfer", licence=str(licence), **changes))
        return str(error.value)

    assert message(run="apptainer").startswith("preprocess.tool.image: found nothing, expected the image of apptainer")
    both = message(run="apptainer", image="none.sif").splitlines()
    assert both[0].startswith("preprocess.tool.run: neither apptainer nor singularity is on the path")
    assert both[1].endswith("apptainer build none.sif docker://deepmi/fastsurfer:latest")
    assert message(run="docker", image="x").startswith("preprocess.tool.run: docker is not on the path")
    program(tmp_path / "bin", "docker", "#!/bin/sh\necho 'Error: No such image: x' >&2\nexit 1\n")
    assert message(run="docker", image="x") == (
        "preprocess.tool.image: docker does not have 'x' (Error: No such image: x). docker pull x"
    )
    program(tmp_path / "bin", "docker", "#!/bin/sh\n[ \"$1 $2 $3\" = 'image inspect x' ]\n")
    check_tool(settings(backend="fastsurfer", licence=str(licence), run="docker", image="x"))


def test_every_fault_is_named_at_once(tmp_path):
    with pytest.raises(StudyError) as error:
        check_tool(settings(options=["-all", "-3T"], licence=str(tmp_path / "none.txt")))
    lines = str(error.value).splitlines()
    assert lines[0] == "preprocess.tool.options: '-all' is set by the study itself. Leave it out."
    assert lines[1].startswith("preprocess.tool.run: recon-all of FreeSurfer is not on the path")
    assert lines[2].startswith(f"preprocess.tool.licence: '{tmp_path / 'none.txt'}' is not a file")


def test_a_program_that_vanished_after_the_check_gives_a_reason(tmp_path):
    tool = Tool("freesurfer", "apptainer", "x.sif")
    with pytest.raises(StudyError, match="a_1, reconstruction: apptainer cannot be started"):
        run_command(freesurfer.cross("a_1", "/a.nii", tmp_path / "subjects", tool), tool, tmp_path / "log")
