"""Ask the validator of the GWAS Catalog about one file; run by the Python that has it, prints one line of JSON.

The validator's own command line stops with an error at ``--min-rows`` and otherwise refuses files of fewer than 100,000
rows before it looks at them; hence this call of its functions. Nothing of the project may be imported here.
"""

import contextlib
import json
import sys
import warnings
from pathlib import Path


def describe(preview: object) -> str:
    """Write the first faults of a table of faults: column, check, value."""
    rows = list(preview)[1:4] if preview is not None else []
    return "; ".join(f"{row[1]}: {row[2]} (found {row[4]})" for row in rows)


def check_metadata(path: Path) -> str:
    """Return what is wrong with a file of metadata; empty if nothing is."""
    import yaml
    from gwas_sumstats_tools.schema.metadata import SumStatsMetadata

    try:
        SumStatsMetadata.parse_obj(yaml.safe_load(path.read_text()))
    except Exception as error:
        return " ".join(str(error).split())
    return ""


def main(file: str, rows: str) -> None:
    """Check a table of so many rows and the metadata beside it."""
    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(sys.stderr):  # it prints its progress
        from gwas_sumstats_tools.validate import validate

        path = Path(file)
        valid, message, preview, _ = validate(filename=path, minimum_rows=min(int(rows), 100_000))
        words = [" ".join(str(message).split())]
        if not valid and (faults := describe(preview)):
            words.append(faults)
        fault = check_metadata(path.with_name(f"{path.name}-meta.yaml"))
        words.append(f"metadata: {fault}" if fault else "Metadata are valid.")
    print(json.dumps({"valid": bool(valid) and not fault, "message": " ".join(words)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
