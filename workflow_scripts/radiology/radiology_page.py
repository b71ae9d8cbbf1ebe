"""Write the page of the 2D arm; from the tables and figures of all its rules to one HTML file."""

from workflow_scripts.lib.figures.factor_boxes import join
from workflow_scripts.lib.figures.radiology_report import TABLES, write_page
from workflow_scripts.lib.figures.radiology_sections import Found
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``radiology_page``."""
    given, params = snakemake.input, snakemake.params
    found = {}
    for name, (schema, kind) in TABLES.items():
        if paths := list(getattr(given, name, [])):
            # explained grids are those whose weights were kept
            names = params.explained if schema.startswith("explain") else params.names[kind]
            read = [tables.read_table(path, schema) for path in paths]
            found[name] = join(dict(zip(names, read, strict=True)), kind)
    pictures = list(getattr(given, "pictures", []))
    write_page(Found(found, params.titles, params.links, pictures), snakemake.output.page)


if __name__ == "__main__":
    log.run(main, snakemake)
