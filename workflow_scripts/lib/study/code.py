"""Hash the library code that a script uses, so that editing it reruns the rule.

Snakemake watches the script of a rule but not what it imports. The hash goes into ``params``.
Only the standard library is imported here: the Snakefile uses this at parse time.
"""

import ast
import functools
import hashlib
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2]  # workflow_scripts/


@functools.cache
def _imports(path: Path) -> frozenset[Path]:
    """Return the files of this project that a file imports or names in a string, packages' ``__init__`` included."""
    names = set()
    if path.suffix != ".py":
        return frozenset()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and str(node.value).startswith(f"{PACKAGE.name}."):
            names.add(node.value)  # modules chosen by config are imported by name
    files = set()
    for name in names:
        parts = name.split(".")
        if parts[0] != PACKAGE.name:
            continue
        base = PACKAGE.parent.joinpath(*parts)
        files.update(file for file in (base.with_suffix(".py"), base / "__init__.py") if file.exists())
        # what a module writes out as it is
        files.update((base.parent / "assets").glob("*.*"))
    return frozenset(files)


def used_files(script: str) -> list[Path]:
    """List the library files that a script reaches through imports, sorted.

    Parameters
    ----------
    script : str
        Path of the script relative to ``workflow_scripts``, without ``.py``: ``"probe/probe"``.
    """
    todo, seen = [PACKAGE / f"{script}.py"], set()
    while todo:
        for file in _imports(todo.pop()) - seen:
            seen.add(file)
            todo.append(file)
    return sorted(seen)


@functools.cache
def code_hash(script: str) -> str:
    """Return a short hash of the library files that a script uses (see :func:`used_files`)."""
    digest = hashlib.sha1(usedforsecurity=False)
    for file in used_files(script):
        digest.update(str(file.relative_to(PACKAGE)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]
