"""Text files of other tools: read wholly or refused."""

import re
from pathlib import Path

from workflow_scripts.lib.study.errors import StudyError

# all but tab; in a number they would pass for the space after it
CONTROL = re.compile(r"[\x01-\x08\x0b-\x1f\x7f-\x9f]")
REMEDY = "Copy the file again, or make it again."


def fault(path: str | Path, line: int, found: str, expected: str, remedy: str = REMEDY) -> StudyError:
    """Put a fault of a file into words."""
    return StudyError(f"{path}, line {line}: found {found}, expected {expected}. {remedy}")


def read_lines(path: str | Path) -> list[str]:
    """Read the lines of a text file.

    Returns
    -------
    list of str
        Without line ends; of Windows files too.

    Raises
    ------
    StudyError
        If the file is missing, a link to nothing, empty, not text, or ends in the middle of a line.
    """
    path = Path(path)
    if path.is_symlink() and not path.exists():
        raise StudyError(
            f"{path}: the link points to a file that is not here. Fetch the content first (datalad get, or git annex "
            "get)."
        )
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise StudyError(f"{path}: no such file. Correct the path.") from error
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror}). Give a file that you may read.") from error
    if not content.strip():
        raise StudyError(f"{path}: the file is empty. {REMEDY}")
    if content.startswith((b"/annex/objects/", b"version https://git-lfs")):
        raise StudyError(f"{path}: holds only a pointer to its content. Fetch it first (datalad get, or git lfs pull).")
    if b"\0" in content:
        raise StudyError(f"{path}: not a text file (it has zero bytes). {REMEDY}")
    # headers name users and folders in any encoding; what is read is ASCII
    lines = content.decode("utf-8-sig", errors="backslashreplace").split("\n")
    if lines[-1]:
        raise fault(path, len(lines), "the end of the file inside a line", "a line end")
    lines = [line.removesuffix("\r") for line in lines[:-1]]
    for number, line in enumerate(lines, start=1):
        if mark := CONTROL.search(line):
            raise fault(path, number, f"the control character {mark[0]!a}", "printable text")
    return lines
