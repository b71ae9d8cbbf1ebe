"""The house's rules that the code itself shows: who imports whom, who knows what, how long files are."""

import ast
import graphlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "workflow_scripts"
LIB = SCRIPTS / "lib"
MODULES = sorted(LIB.rglob("*.py"))

# package -> what it may import beside itself; `study` everybody may
ALLOWED = {
    "study": set(),
    "cohort": set(),
    "imaging": set(),
    "models": set(),
    "features": {"cohort"},
    "pretrain": {"models", "imaging", "cohort"},
    "evaluate": {"cohort", "features"},
    "brainage": {"cohort", "features", "evaluate"},
    "genetics": {"cohort", "features", "evaluate"},
    "finetune": {"evaluate", "pretrain", "models", "imaging", "cohort"},
    "radiology": {"evaluate", "pretrain", "models"},
    "figures": set(),
    "phantom": {"imaging", "genetics"},
}
# edges that one module alone may use: (importing package, imported module's prefix) -> files
ONLY = {
    ("phantom", "workflow_scripts.lib.genetics"): (
        {"genotypes.py", "genetics.py"},
        {"workflow_scripts.lib.genetics.bed"},
    ),
    ("pretrain", "workflow_scripts.lib.cohort"): (None, {"workflow_scripts.lib.cohort.guard"}),
}
# modules that name a study path, each with the reason
PATHS = {LIB / "study/config.py"}  # where the embedded study is made, which its own checks have to know


def package_of(file: Path) -> str:
    return file.relative_to(LIB).parts[0]


def imported(file: Path) -> set[str]:
    """List the modules of the project that a file imports, also inside functions and by name in a string."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                path = ROOT.joinpath(*inner.split("."))
                found.add(inner if path.with_suffix(".py").exists() or path.is_dir() else node.module)
        elif isinstance(node, ast.Constant) and str(node.value).startswith("workflow_scripts."):
            found.add(node.value)
    return {name for name in found if name.split(".")[0] in ("workflow_scripts", "tests")}


def edges() -> dict[str, set[str]]:
    graph = {package_of(file): set() for file in MODULES if file.parent != LIB}
    for file in MODULES:
        for name in imported(file) if file.parent != LIB else ():
            assert name.startswith("workflow_scripts.lib."), f"{file}: the library imports {name}"
            graph[package_of(file)].add(name.split(".")[2])
    return {package: others - {package} for package, others in graph.items()}


def test_every_package_of_the_library_is_known_here():
    assert set(edges()) <= set(ALLOWED)
    assert {"study", "cohort", "imaging", "pretrain", "phantom"} <= set(edges())


def test_imports_point_one_way():
    wrong = {
        f"{package} -> {other}"
        for package, others in edges().items()
        for other in others - ALLOWED[package] - {"study"}
    }
    assert not wrong


def test_there_is_no_circle():
    order = list(graphlib.TopologicalSorter(edges()).static_order())
    assert order.index("study") < order.index("cohort")


def test_no_analysis_package_imports_the_phantom():
    stages = [file for file in SCRIPTS.glob("*/*.py") if file.parent != LIB and file.parent.name != "phantom"]
    users = {file for file in [*MODULES, *stages] if any("lib.phantom" in name for name in imported(file))}
    # the figure of recovery compares what was planted with what was found
    assert {file.relative_to(SCRIPTS).parts[:2] for file in users} <= {
        ("lib", "phantom"),
        ("figures", "planted_truth.py"),
    }


@pytest.mark.parametrize(("package", "prefix"), ONLY)
def test_narrow_edges_stay_narrow(package, prefix):
    files, modules = ONLY[package, prefix]
    for file in (LIB / package).rglob("*.py"):
        used = {name for name in imported(file) if name.startswith(prefix)}
        assert used <= modules, file
        assert not used or files is None or file.name in files, file


def strings(file: Path) -> list[str]:
    """List the strings of a file that are no docstrings."""
    tree = ast.parse(file.read_text())
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation
    ]


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(LIB)))
def test_the_library_knows_neither_snakemake_nor_the_study(file):
    assert not re.search(r"^\s*(import|from)\s+snakemake", file.read_text(), re.M)
    assert not [text for text in strings(file) if re.match(r"(\./)?results\b/?", text)] or file in PATHS
    if file != LIB / "study/log.py":  # which receives the object
        names = {node.id for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Name)}
        assert "snakemake" not in names


def rules_with_scripts() -> dict[str, str]:
    """Map each rule that runs a script to the script's path below workflow_scripts."""
    found = {}
    for file in sorted((ROOT / "rules").glob("*.smk")):
        for block in re.split(r"^(?=(?:rule|checkpoint) )", file.read_text(), flags=re.M):
            name = re.match(r"(?:rule|checkpoint) (\w+)", block)
            script = re.search(r"^\s+script:\s+\"\.\./workflow_scripts/(.+)\.py\"", block, re.M)
            if name and script:
                found[name[1]] = script[1]
    return found


SCRIPT_FILES = sorted(file for file in SCRIPTS.glob("*/*.py") if file.parent.name not in ("lib", "schemas"))


def test_every_rule_has_a_script_of_its_name_and_every_script_a_rule():
    rules = rules_with_scripts()
    assert len(rules) > 20
    assert {rule: path for rule, path in rules.items() if Path(path).name != rule} == {}
    scripts = {str(file.relative_to(SCRIPTS).with_suffix("")) for file in SCRIPT_FILES if file.name != "__init__.py"}
    assert set(rules.values()) == scripts


def test_every_rule_watches_the_code_of_its_own_script():
    for file in sorted((ROOT / "rules").glob("*.smk")):
        for block in re.split(r"^(?=rule )", file.read_text(), flags=re.M):
            script = re.search(r"script:\s+\"\.\./workflow_scripts/(.+)\.py\"", block)
            if script:
                assert re.findall(r"code_hash\(\s*\"(.+?)\"\s*\)", block) == [script[1]]


@pytest.mark.parametrize("file", SCRIPT_FILES, ids=lambda file: str(file.relative_to(SCRIPTS)))
def test_a_script_is_a_page_with_a_guard(file):
    text = file.read_text()
    assert len(text.splitlines()) <= 70
    assert ast.get_docstring(ast.parse(text))
    assert "from __future__" not in text  # Snakemake puts its preamble above it
    assert text.rstrip().endswith('if __name__ == "__main__":\n    log.run(main, snakemake)')


def test_no_file_is_longer_than_400_lines():
    files = [
        *SCRIPTS.rglob("*.py"),
        *(ROOT / "tests").rglob("*.py"),
        *(ROOT / "rules").glob("*.smk"),
        ROOT / "Snakefile",
    ]
    assert {str(file): count for file in files if (count := len(file.read_text().splitlines())) > 400} == {}


def test_no_function_of_the_library_is_longer_than_40_lines_of_code():
    long = {}
    for file in MODULES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                start = node.body[1].lineno if ast.get_docstring(node) and len(node.body) > 1 else node.body[0].lineno
                if (lines := node.end_lineno - start + 1) > 40:
                    long[f"{file.relative_to(LIB)}:{node.name}"] = lines
    assert long == {}
