"""Write the page of genetics; from the tables and figures of all its rules to one HTML file."""

from pathlib import Path

from workflow_scripts.lib.figures.genetics_report import TABLES, Found, write_page
from workflow_scripts.lib.genetics.handoff.commands import read_commands
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``genetics_page``."""
    given, params = snakemake.input, snakemake.params
    paths = {name: getattr(given, name, None) for name in TABLES}
    read = {name: tables.read_table(str(path)) for name, path in paths.items() if path}
    # logs are no inputs: a rule's log is there when its output is, and an absent one only shortens the page
    read["commands"] = read_commands(Path(params.logs), params.rules)
    pictures = []
    for path in map(Path, getattr(given, "pictures", [])):
        pictures += sorted(path.rglob("*.png")) if path.is_dir() else [path]
    options = {
        "build": params.build,
        "tool": params.tool,
        "threshold": params.threshold,
        "titles": params.titles,
        "handoffs": params.handoffs,
    }
    write_page(Found(read, pictures, options), snakemake.output.page)


if __name__ == "__main__":
    log.run(main, snakemake)
