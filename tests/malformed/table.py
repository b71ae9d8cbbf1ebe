"""Write the table of malformed inputs for the docs: ./run python -m tests.malformed.table."""

import importlib
from pathlib import Path

from tests.malformed.case import Case

HERE = Path(__file__).parent
INTRODUCTION = """# Malformed inputs, and what you will read

Every line is a test (`tests/malformed`): the fault is made in a folder, and the message is the one that appears.
*Set aside*: the scan is in `results/qc/excluded.tsv` with this reason (a 2D image in
`results/radiology/index_images/DATASET/dropped.tsv`) and the study goes on. *Refused*: nothing starts.
*Ignored*: left out and listed in `results/cohort/ignored.tsv`. `{folder}` stands for the folder of the fault.
Written by `./run python -m tests.malformed.table > .docs/malformed_inputs.md`.
"""


def all_cases() -> list[Case]:
    """Collect the cases of all files, by what is malformed."""
    modules = [importlib.import_module(f"tests.malformed.{file.stem}") for file in sorted(HERE.glob("cases_*.py"))]
    return sorted((case for module in modules for case in module.CASES), key=lambda case: case.source)


def render(cases: list[Case]) -> str:
    """Render the cases as Markdown."""
    lines = [INTRODUCTION, f"{len(cases)} faults.", ""]
    lines += ["| input | fault | outcome | message |", "| --- | --- | --- | --- |"]
    for case in cases:
        message = case.message.replace("|", "\\|").replace("\n", " <br> ")
        lines.append(f"| {case.source} | {case.fault} | {case.outcome} | {message} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(render(all_cases()), end="")
