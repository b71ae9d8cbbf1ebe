"""The hash of a script's library code: what changes it and what does not."""

import pytest

from workflow_scripts.lib.study import code

FILES = {
    "stage/step.py": "from workflow_scripts.lib.near import near\n\nprint(near.VALUE)\n",
    "stage/other.py": "from workflow_scripts.lib import lonely\n",
    "lib/near/__init__.py": '"""Near."""\n',
    "lib/near/near.py": "import json\nfrom workflow_scripts.lib.far.far import VALUE\n",
    "lib/near/assets/page.js": "let page;\n",
    "lib/far/__init__.py": '"""Far."""\n',
    "lib/far/far.py": "import workflow_scripts.lib.near.near\n\nVALUE = 1\n",
    "lib/lonely.py": 'PLUGINS = {"a": "workflow_scripts.lib.plugin"}\n',
    "lib/plugin.py": "def run():\n    from workflow_scripts.lib import deep\n",
    "lib/deep.py": "DEEP = 1\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    root = tmp_path / "workflow_scripts"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.setattr(code, "PACKAGE", root)
    forget()
    yield root
    forget()


def forget():
    code._imports.cache_clear()
    code.code_hash.cache_clear()


def hash_after(package, file=None, script="stage/step"):
    if file:
        path = package / file
        path.write_text(path.read_text() + "\nEDITED = True\n")
    forget()
    return code.code_hash(script)


def test_files_are_found_transitively_and_circles_end(package):
    used = [str(file.relative_to(package)) for file in code.used_files("stage/step")]
    assert used == ["lib/far/far.py", "lib/near/__init__.py", "lib/near/assets/page.js", "lib/near/near.py"]


@pytest.mark.parametrize(
    "file", ["lib/near/near.py", "lib/far/far.py", "lib/near/__init__.py", "lib/near/assets/page.js"]
)
def test_an_edit_of_an_imported_module_changes_the_hash(package, file):
    before = hash_after(package)
    assert hash_after(package, file) != before


@pytest.mark.parametrize("file", ["stage/step.py", "stage/other.py", "lib/lonely.py"])
def test_an_edit_elsewhere_or_of_the_script_itself_does_not(package, file):
    before = hash_after(package)
    assert hash_after(package, file) == before


@pytest.mark.parametrize("file", ["lib/plugin.py", "lib/deep.py"])
def test_modules_loaded_by_name_or_inside_a_function_count(package, file):
    before = hash_after(package, script="stage/other")
    assert hash_after(package, file, script="stage/other") != before


def test_swapping_the_content_of_two_files_changes_the_hash(package):
    before = hash_after(package)
    one, two = package / "lib/near/near.py", package / "lib/far/far.py"
    texts = one.read_text(), two.read_text()
    two.write_text(texts[0])
    one.write_text(texts[1])
    assert hash_after(package) != before


def test_the_backend_that_config_names_is_watched():
    used = {file.name for file in code.used_files("preprocess/preprocess_scans")}
    assert {"embedded.py", "volumes.py", "ants_tools.py", "tables.py"} <= used
    assert "losses.py" not in used
