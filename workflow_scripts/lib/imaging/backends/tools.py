"""Run FreeSurfer and FastSurfer where they are: installed, or in an Apptainer or Docker container.

Commands are lists, never shell text. In a container the folder of the subjects is ``/output``, the folder of each input
is ``/data/0``, ``/data/1`` and so on, and the licence ``/fs_license/license.txt``.
"""

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.lib.study.errors import StudyError

LOGGER = logging.getLogger(__name__)
PROGRAMS = {"freesurfer": "recon-all", "fastsurfer": "run_fastsurfer.sh"}
HOMES = {"freesurfer": "FREESURFER_HOME", "fastsurfer": "FASTSURFER_HOME"}
LICENCE_INSIDE = "/fs_license/license.txt"
PATIENCE_S = 10  # between asking a command to end and ending it
RUNNING: set[subprocess.Popen] = set()
ENDING = threading.Event()


@dataclass(frozen=True)
class Tool:
    """How a tool is run: config section ``preprocess.tool`` and the backend's name.

    Attributes
    ----------
    name : {"freesurfer", "fastsurfer"}
    run : {"local", "apptainer", "docker"}
    image : str or None
        Path of the Apptainer image, or name of the Docker image.
    licence : str or None
        Path of FreeSurfer's licence.
    options : tuple of str
        Flags added to every command.
    surfaces : bool
        FastSurfer: whether surfaces follow the segmentation.
    gpu : int
        1 if the segmentation has a GPU.
    threads : int
        Of one command.
    minutes : float
        After which a command is stopped.
    """

    name: str
    run: str = "local"
    image: str | None = None
    licence: str | None = None
    options: tuple[str, ...] = ()
    surfaces: bool = True
    gpu: int = 0
    threads: int = 1
    minutes: float = 1440

    @classmethod
    def from_config(cls, preprocess: dict) -> "Tool":
        """Take the tool from config section ``preprocess``."""
        keys = ("run", "image", "licence", "surfaces", "gpu", "threads", "minutes")
        section = preprocess["tool"]
        return cls(preprocess["backend"], options=tuple(section["options"]), **{key: section[key] for key in keys})

    @property
    def needs_licence(self) -> bool:
        """Whether FreeSurfer's programs take part."""
        return self.name == "freesurfer" or self.surfaces or "--tal_reg" in self.options


@dataclass(frozen=True)
class Command:
    """One call of a tool.

    Attributes
    ----------
    title : str
        For the log and for reasons.
    program : str
        Of FreeSurfer, by name; of FastSurfer, relative to its folder.
    arguments : list of str or Path
        Paths are absolute, as this machine sees them; in a container they become the container's.
    output : Path
        The folder of the subjects.
    done : list of str
        Files below ``output`` that are there once it is complete, ``*`` for any text: it is then not run again.
    """

    title: str
    program: str
    arguments: list[str | Path]
    output: Path
    done: list[str]

    @property
    def lacking(self) -> list[str]:
        """Files that are not there yet."""
        return [pattern for pattern in self.done if not any(self.output.glob(pattern))]


def find_program(tool: Tool, program: str) -> str | None:
    """Find a program of an installed tool on the path or in the folder that its environment variable names."""
    main = shutil.which(PROGRAMS[tool.name])
    home = os.environ.get(HOMES[tool.name])
    homes = [Path(main).resolve().parent] if main else []
    homes += [Path(home), Path(home) / "bin"] if home else []
    return next((str(folder / program) for folder in homes if os.access(folder / program, os.X_OK)), None)


def find_licence(tool: Tool) -> Path | None:
    """Return the licence that config names, or, of an installed tool, the one that FreeSurfer itself would find."""
    if tool.licence:
        return Path(tool.licence).absolute()
    if tool.run != "local":
        return None
    named, home = os.environ.get("FS_LICENSE"), os.environ.get("FREESURFER_HOME")
    places = [Path(named)] if named else []
    places += [Path(home) / name for name in ("license.txt", ".license")] if home else []
    return next((path for path in places if path.is_file()), None)


def build(command: Command, tool: Tool) -> tuple[list[str], dict[str, str]]:
    """Turn a command into what this machine runs.

    Returns
    -------
    argv : list of str; environment : dict of what is added to the environment.

    Raises
    ------
    StudyError
        If an installed program is not found.
    """
    licence = find_licence(tool)
    if tool.run == "local":
        program = find_program(tool, command.program)
        if program is None:
            raise StudyError(say_not_installed(tool, command.program))
        added = {"SUBJECTS_DIR": str(command.output)} | ({"FS_LICENSE": str(licence)} if licence else {})
        return [program, *map(str, command.arguments)], added
    inside, binds = _translate(command, licence)
    # FreeSurfer's containers have it on their path
    program = command.program if tool.name == "freesurfer" else f"/fastsurfer/{command.program}"
    named = {"SUBJECTS_DIR": "/output"} | ({"FS_LICENSE": LICENCE_INSIDE} if licence else {})
    if tool.run == "apptainer":
        # no home and a clean environment: neither may change what the container does
        argv = [find_apptainer() or "apptainer", "exec", "--no-home", "--cleanenv", "--pwd", "/output"]
        argv += ["--nv"] * bool(tool.gpu)
        argv += [part for bind in binds for part in ("-B", bind)]
        argv += [part for key, value in named.items() for part in ("--env", f"{key}={value}")]
        return [*argv, str(Path(tool.image).absolute()), program, *inside], {}
    # --init: the container's first process passes signals on, so that a stopped command stops inside too
    argv = ["docker", "run", "--rm", "--init", "--user", f"{os.getuid()}:{os.getgid()}", "--workdir", "/output"]
    argv += ["--gpus", "all"] * bool(tool.gpu)
    argv += [part for bind in binds for part in ("-v", bind)]
    argv += [part for key, value in named.items() for part in ("-e", f"{key}={value}")]
    return [*argv, "--entrypoint", program, tool.image, *inside], {}


def _translate(command: Command, licence: Path | None) -> tuple[list[str], list[str]]:
    """Return the arguments as the container sees them, and its binds."""
    binds, folders, inside = [f"{command.output}:/output"], {}, []
    for argument in command.arguments:
        if not isinstance(argument, Path):
            inside.append(argument)
        elif argument == command.output or command.output in argument.parents:
            inside.append(str(Path("/output") / argument.relative_to(command.output)))
        elif argument == licence:
            inside.append(LICENCE_INSIDE)
        else:
            # a link into another folder would lead nowhere inside
            real = argument.resolve()
            place = folders.setdefault(real.parent, f"/data/{len(folders)}")
            inside.append(f"{place}/{real.name}")
    binds += [f"{folder}:{place}:ro" for folder, place in folders.items()]
    binds += [f"{licence}:{LICENCE_INSIDE}:ro"] if licence else []
    return inside, binds


def find_apptainer() -> str | None:
    """Return the path of Apptainer, or of Singularity as it was called before; None without one."""
    return shutil.which("apptainer") or shutil.which("singularity")


def say_not_installed(tool: Tool, program: str) -> str:
    """Say that an installed tool was not found, and what to do."""
    names = {"freesurfer": "FreeSurfer", "fastsurfer": "FastSurfer"}
    return (
        f"preprocess.tool.run: {program} of {names[tool.name]} is not on the path, nor in ${HOMES[tool.name]}. Install "
        f"{names[tool.name]} and put its folder on the path, or set preprocess.tool.run to apptainer or docker."
    )


def run_command(command: Command, tool: Tool, log: str | Path) -> None:
    """Run a command unless its files are there; its words go to the end of a log file.

    What a failed command wrote stays, so that a later run continues from it.

    Raises
    ------
    StudyError
        If it cannot start, fails, takes too long, or leaves no result; with its last words.
    """
    if not command.lacking:
        LOGGER.info("%s: there already", command.title)
        return
    if ENDING.is_set():
        raise StudyError(f"{command.title}: the study was stopped before it began")
    argv, added = build(command, tool)
    LOGGER.info("%s: %s", command.title, " ".join(argv))
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    command.output.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with open(log, "a") as stream:
        print("$", *argv, file=stream, flush=True)
        try:
            status = _wait(argv, os.environ | added, stream, tool.minutes * 60)
        except OSError as error:
            raise StudyError(f"{command.title}: {argv[0]} cannot be started ({error.strerror})") from error
    minutes = (time.monotonic() - start) / 60
    LOGGER.info("%s: ended with status %s after %.1f minutes", command.title, status, minutes)
    if status is None:
        what = f"was stopped after {tool.minutes:g} minutes (preprocess.tool.minutes)"
    elif status:
        what = f"stopped with status {status}"
    elif command.lacking:
        what = f"ended without {command.lacking[0]}"
    else:
        return
    raise StudyError(f"{command.title}: {command.program} {what}. Its last words: {last_words(log)} (all: {log})")


def _wait(argv: Sequence[str], environment: dict[str, str], stream: object, seconds: float) -> int | None:
    """Return the status of a command, None if the time ran out."""
    # a group of its own, since these tools are scripts that start others
    process = subprocess.Popen(
        argv,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=stream,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    RUNNING.add(process)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            _end(process)
        RUNNING.discard(process)


def _end(process: subprocess.Popen) -> None:
    """End a command and all it started: first asked, then told."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_S)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def ending_with_us() -> Iterator[None]:
    """End running commands too if this process is asked to end (a cluster's time limit, a cancelled study)."""

    def end_all(number: int, frame: object) -> None:
        ENDING.set()
        for process in list(RUNNING):
            _end(process)
        raise SystemExit(128 + number)

    signals = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, end_all) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def last_words(log: str | Path, lines: int = 3) -> str:
    """Return the last lines of a log that are not empty, as one line."""
    with open(log, errors="replace") as stream:
        words = [line.strip() for line in stream if line.strip() and not line.startswith("$ ")]
    return " | ".join(words[-lines:]) or "none"
