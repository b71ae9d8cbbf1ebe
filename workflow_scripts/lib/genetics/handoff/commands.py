"""Which programs ran and with what commands, read from the logs of a study's rules."""

import re
from pathlib import Path

import pandas as pd

# a line that lib/genetics/tools.py logs: time, level, logger, version of the program, command
LINE = re.compile(r"^\S+ \S+ INFO \S*genetics\.tools: (?P<program>[^:]{3,80}?): (?P<command>/?\S.*)$")
TEMPORARY = re.compile(r"/tmp/\S*?/(?=[\w.-]+(?:\s|$))")


def read_commands(folder: Path, rules: list[str]) -> pd.DataFrame:
    """List the commands of outside programs, in the order of rules and of their logs.

    Parameters
    ----------
    folder : pathlib.Path
        With one folder of logs a rule.
    rules : list of str

    Returns
    -------
    pandas.DataFrame
        ``rule``, ``log`` (name of the file without its ending), ``program`` (with its version), ``command`` (program
        without its folder; working files without theirs).
    """
    rows = []
    for rule in rules:
        for log in sorted((folder / rule).rglob("*.log")):
            for line in log.read_text(errors="replace").splitlines():
                if match := LINE.match(line):
                    program, _, arguments = match["command"].partition(" ")
                    command = TEMPORARY.sub("", f"{Path(program).name} {arguments}").strip()
                    rows.append((rule, log.stem, match["program"], command))
    return pd.DataFrame(rows, columns=["rule", "log", "program", "command"])
