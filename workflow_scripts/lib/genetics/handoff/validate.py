"""The verdict of the GWAS Catalog's own validator on files in its format."""

import json
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.genetics import tools
from workflow_scripts.lib.genetics.handoff import ssf
from workflow_scripts.lib.genetics.tools import Tool
from workflow_scripts.lib.study.errors import StudyError

# also names the driver for the hash of the code, which follows imports and such names
DRIVER = "workflow_scripts.lib.genetics.handoff.ebi_driver"
VALIDATOR = "gwas-ssf"


def interpreter(program: Path) -> Path:
    """Find the Python of an installed program: beside it, or named in its first line."""
    beside = program.parent / "python"
    if beside.exists():
        return beside
    with program.open("rb") as stream:
        first = stream.readline().decode(errors="replace").strip()
    return Path(first.removeprefix("#!").strip())


def check(path: Path, rows: int, tool: Tool) -> tuple[bool, str]:
    """Validate a table and the metadata beside it.

    Parameters
    ----------
    path : pathlib.Path
    rows : int
        Rows of the table.
    tool : Tool
        The validator.

    Returns
    -------
    valid : bool
    message : str
        The validator's words.

    Raises
    ------
    StudyError
        If the validator itself fails.
    """
    python = Tool(VALIDATOR, str(interpreter(Path(tool.path))), tool.version)
    driver = Path(__file__).with_name(f"{DRIVER.rpartition('.')[2]}.py")
    said = tools.call(python, [str(driver), str(path), str(rows)]).strip().splitlines()
    try:
        answer = json.loads(said[-1])
    except (IndexError, json.JSONDecodeError) as error:
        raise StudyError(
            f"{VALIDATOR} ({tool.version}) gave no verdict on {path.name}: {' '.join(said[-3:]) or 'it said nothing'}. "
            "Make its environment again: remove .venv/tools and start ./run."
        ) from error
    return answer["valid"], answer["message"]


def check_all(tables: dict[str, tuple[Path, int]]) -> pd.DataFrame:
    """Validate one file a trait.

    Parameters
    ----------
    tables : dict
        Trait -> file and its rows.

    Returns
    -------
    pandas.DataFrame
        ``trait``, ``file``, ``rows``, ``valid`` (yes, no; not checked without the validator), ``enough_rows`` (whether
        the GWAS Catalog takes so small a file), ``validator``, ``message``.
    """
    try:
        tool, absent = tools.find(VALIDATOR), ""
    except StudyError as error:
        tool, absent = None, str(error)
    rows = []
    for trait, (path, count) in tables.items():
        if tool:
            valid, message = check(path, count, tool)
            verdict, version = "yes" if valid else "no", tool.version
        else:
            verdict, version, message = "not checked", "none", absent
        enough = count >= ssf.LEAST_ROWS
        rows.append((trait, path.name, count, verdict, enough, version, message))
    return pd.DataFrame(rows, columns=["trait", "file", "rows", "valid", "enough_rows", "validator", "message"])
