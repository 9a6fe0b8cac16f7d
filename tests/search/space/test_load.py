import sys
import textwrap

import pytest

from search.space.draw import draw
from search.space.load import load_space
from segcore.errors import ConfigError
from spaces import SPACES

FIND = "start in the folder that holds the module, or put it on PYTHONPATH"
NAME = "a module is given by its name, folders before it with dots"
MEND = "the module was found and does not run: mend it"


@pytest.fixture
def write_module(tmp_path, monkeypatch):
    """Return a function that writes a module into a folder of the import path."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))

    return write


@pytest.mark.parametrize("name", sorted(SPACES))
def test_spaces_of_the_project_are_found_by_name(name):
    assert load_space(name) is SPACES[name]


def test_own_space_is_found_by_its_import_path(write_module):
    write_module("my_space_a", "def mine(trial):\n    return {'batch_size': trial.suggest_int('batch_size', 1, 2)}\n")
    found = draw(load_space("my_space_a:mine"), {}, seed=0)
    assert found.values == found.params
    assert found.params["batch_size"] in (1, 2)


def test_own_space_is_found_by_the_name_of_its_file(write_module):
    write_module("my_space_f", "def mine(trial):\n    return {}\n")
    assert callable(load_space("my_space_f.py:mine"))


def test_own_space_is_found_where_an_installed_command_starts(tmp_path, monkeypatch):
    """An installed script has its own folder on the path, and `python -m` the one that it starts in."""
    (tmp_path / "my_space_here.py").write_text("def mine(trial):\n    return {}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(tmp_path))])
    assert load_space("my_space_here:mine")(None) == {}


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("streets", "is no space; use contest, demo, street, street_offline, street_small, or package.module:function"),
        ("street.py", "is no space"),
        ("no_such_module:mine", f"No module named 'no_such_module'); {FIND}"),
        ("no_such_folder.no_such_module:mine", f"No module named 'no_such_folder'); {FIND}"),
        ("my_space_b:yours", "there is no 'yours' in "),
        ("my_space_b:", "there is no '' in "),
        (":mine", NAME),
        ("./my_space_b.py:mine", NAME),
        ("folder/my_space_b.py:mine", NAME),
        ("..my_space_b:mine", NAME),
        ("my_space_b:number", "is no function"),
    ],
)
def test_path_that_leads_nowhere_is_refused_with_how_to_write_it(write_module, path, told):
    write_module("my_space_b", "number = 3\ndef mine(trial): ...\n")
    with pytest.raises(ConfigError) as caught:
        load_space(path)
    assert f"--space {path!r}" in str(caught.value)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module' (FILE, line 1)"),
        ("def mine(trial:\n", "SyntaxError: '(' was never closed (my_broken_1.py, line 1)"),
        ("\n1 / 0\n", "ZeroDivisionError: division by zero (FILE, line 2)"),
        ("exit(0)\n", "SystemExit: 0 (FILE, line 1)"),
        ("from . import x\n", "ImportError: attempted relative import with no known parent package (FILE, line 1)"),
    ],
)
def test_module_that_does_not_run_is_refused_with_its_line(write_module, tmp_path, source, told, request):
    name = f"my_broken_{request.node.callspec.indices['source']}"
    write_module(name, source)
    with pytest.raises(ConfigError) as caught:
        load_space(f"{name}:mine")
    told = told.replace("FILE", str(tmp_path / f"{name}.py"))
    assert str(caught.value) == f"--space '{name}:mine' cannot be imported ({told}); {MEND}."
