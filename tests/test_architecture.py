"""The law of imports and of who may print or exit, read from the source's syntax trees."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("segcore", "spaces", "search")
FORBIDDEN = {
    "segcore": {"ray", "optuna", "mlflow", "search", "spaces"},
    "spaces": {"ray", "mlflow", "search", "torch"},
    "search": set(),
}
FILES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))


def find_imports(source: str, module: str) -> set[str]:
    """Dotted names that a module's source imports, anywhere in it; `from a import b` gives a and a.b."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            names |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return names


def find_speech(source: str) -> list[int]:
    """Lines that print or end the process."""
    return [node.lineno for node in ast.walk(ast.parse(source)) if _speaks(node)]


def _speaks(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return ast.unparse(node.func) in {"print", "exit", "quit", "sys.exit", "os._exit"}
    if isinstance(node, ast.ImportFrom):
        return node.module == "sys" and any(alias.name == "exit" for alias in node.names)
    return isinstance(node, ast.Name) and node.id == "SystemExit"


def find_circle(imports_of: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle, or none."""
    finished: set[str] = set()

    def walk(module: str, path: list[str]) -> list[str]:
        if module in path:
            return path[path.index(module) :]
        if module not in finished:
            for imported in sorted(imports_of.get(module, ())):
                if circle := walk(imported, [*path, module]):
                    return circle
            finished.add(module)
        return []

    return next((circle for module in sorted(imports_of) if (circle := walk(module, []))), [])


def _name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def _imports(file: Path) -> set[str]:
    name = _name(file)
    module = f"{name}.__init__" if file.name == "__init__.py" else name
    return find_imports(file.read_text(encoding="utf-8"), module)


@functools.cache
def _project_imports() -> dict[str, set[str]]:
    modules = {_name(file) for file in FILES}
    return {_name(file): (_imports(file) & modules) - {_name(file)} for file in FILES}


def _reached(module: str, imports_of: dict[str, set[str]]) -> Iterator[str]:
    """The module and all modules of the project that it imports, directly or not."""
    waiting, seen = [module], set()
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            yield current
            waiting += imports_of.get(current, ())


def test_the_law_is_held_over_real_files():
    assert len([file for file in FILES if file.parent.name == "segcore"]) >= 20
    assert {"segcore.loader", "segcore.state"} <= _project_imports()["segcore.train"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: _name(file))
def test_imports_run_one_way(file):
    imports_of = _project_imports()
    forbidden = FORBIDDEN[file.relative_to(ROOT).parts[0]]
    of_name = {_name(other): other for other in FILES}
    for reached in _reached(_name(file), imports_of):
        tops = {imported.partition(".")[0] for imported in _imports(of_name[reached])}
        assert not tops & forbidden, f"{_name(file)} imports {sorted(tops & forbidden)} through {reached}"


def test_no_modules_import_each_other_in_a_circle():
    assert find_circle(_project_imports()) == []


@pytest.mark.parametrize("file", [file for file in FILES if file.name != "__main__.py"], ids=lambda file: _name(file))
def test_only_command_lines_print_and_exit(file):
    assert find_speech(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "file", [file for file in FILES if file.parts[-2:-1] != ("commands",)], ids=lambda file: _name(file)
)
def test_only_commands_use_the_console(file):
    if file.name != "__main__.py":
        libraries = {name.partition(".")[0] for name in _imports(file)} & {"typer", "rich"}
        assert not libraries or file.parts[-2] == "search", f"{_name(file)} imports {sorted(libraries)}"
        assert not any(name.startswith("segcore.commands") for name in _imports(file))


def test_law_sees_imports_of_every_form():
    source = """
import ray.tune
from mlflow import a as b
if x:
    from . import y
from .z import w
def f():
    import v
"""
    assert find_imports(source, "pack.module") == {
        "ray.tune", "mlflow", "mlflow.a", "pack", "pack.y", "pack.z", "pack.z.w", "v",
    }  # fmt: skip


def test_law_sees_circles():
    assert find_circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": set()}) == ["a", "b", "c"]
    assert find_circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize(
    "source", ["print(1)", "import sys\nsys.exit(1)", "raise SystemExit(1)", "from sys import exit", "exit()"]
)
def test_law_sees_printing_and_exiting(source):
    assert find_speech(source) != []


def test_law_lets_other_calls_pass():
    assert find_speech("console.print(1)\ntable.exit()\n'print(1)'") == []
