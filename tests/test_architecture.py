"""The laws of the house, read from the source's syntax trees: who imports whom, who prints, what each room says."""

import ast
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES: Final = ("segcore", "spaces", "search")

FOREIGN: Final = {
    "segcore": {"ray", "optuna", "mlflow", "search", "spaces"},
    "spaces": {"ray", "mlflow", "search", "torch"},
}
"""What a package may not reach, directly or through others."""

_SEGCORE_BASE: Final = {
    "config",
    "expressions",
    "errors",
    "machine",
    "bucket_address",
    "bucket",
    "version",
    "regular",
    "counting",
    "replacing",
    "scratch",
}
_SEGCORE_ROOMS: Final = ("data", "networks", "scoring", "feeding", "prediction", "training", "insight")
_SEARCH_BASE: Final = {
    "tracking_uri",
    "markdown",
    "ending",
    "settings",
    "fetched",
    "storage",
    "requests",
    "drivers",
    "copying",
    "mirror",
    "place",
    "folder",
    "finding",
    "opening",
}
_PURE: Final = ("memory", "space", "propose", "judge", "verdict", "insight", "report")
_ALL_BUT_COMMANDS: Final = {*_PURE, "run", "tracking"}
USES: Final[dict[str, set[str]]] = {
    **{f"segcore.{file}": {"config", "expressions", "errors"} for file in _SEGCORE_BASE},
    "segcore.bucket": {"errors", "bucket_address"},
    **{f"segcore.{room}": {*_SEGCORE_BASE, *_SEGCORE_ROOMS[:n]} for n, room in enumerate(_SEGCORE_ROOMS)},
    "segcore.streets": {*_SEGCORE_BASE, "data"},
    "segcore.commands": {*_SEGCORE_BASE, *_SEGCORE_ROOMS, "streets"},
    "segcore.__main__": {"errors", "commands", "version"},
    "search.markdown": set(),
    "search.ending": set(),
    "search.tracking_uri": set(),
    "search.settings": set(),
    "search.fetched": set(),
    "search.storage": {"fetched"},
    "search.drivers": set(),
    "search.requests": {"storage"},
    "search.mirror": {"storage"},
    "search.copying": {"storage", "drivers", "requests", "mirror"},
    "search.place": {"tracking_uri", "settings", "storage"},
    "search.folder": {"settings", "fetched", "storage", "mirror", "place"},
    "search.finding": {"settings", "storage", "drivers", "mirror", "place", "folder"},
    "search.opening": {"settings", "place", "folder"},
    "search.memory": _SEARCH_BASE,
    "search.space": {"settings"},
    "search.propose": {*_SEARCH_BASE, "memory", "space", "judge"},
    "search.judge": {*_SEARCH_BASE, "memory"},
    "search.verdict": {*_SEARCH_BASE, "memory"},
    "search.insight": {*_SEARCH_BASE, "memory", "judge", "propose", "verdict"},
    "search.report": {*_SEARCH_BASE, "memory", "judge", "verdict", "insight"},
    "search.run": {*_SEARCH_BASE, "memory", "space", "propose", "judge"},
    "search.tracking": {*_SEARCH_BASE, "memory", "verdict", "insight"},
    "search.stages": {*_SEARCH_BASE, *_ALL_BUT_COMMANDS},
    "search.commands": {*_SEARCH_BASE, *_ALL_BUT_COMMANDS, "stages"},
    "search": {"results"},
    "search.results": {*_SEARCH_BASE, "memory", "insight"},
    "search.__main__": {"commands", "ending", "tracking_uri"},
}
"""Rooms, and files beside them, that each may import; what stands in no list may be imported by none."""

ONLY: Final = {"ray": "search.run", "mlflow": "search.tracking"}
"""Of `search`, the one room that may import a library."""

HEAVY: Final = {"ray", "mlflow", "torch"}
LIGHT: Final = tuple(f"search.{name}" for name in (*_PURE, *sorted(_SEARCH_BASE)))
"""These start in no time, so nothing that they reach may import what is heavy."""

Sources = Mapping[str, str]


def read_sources() -> dict[str, str]:
    """Every module of the project by dotted name; a package by its own."""
    files = (file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py")))
    return {_name(file): file.read_text(encoding="utf-8") for file in files}


def _name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def find_imports(source: str, module: str) -> set[str]:
    """Dotted names that a module's source imports, anywhere in it; `from a import b` gives a and a.b.

    What is imported for types alone counts too: a name is a dependence.
    """
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            names |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return names


def room_of(module: str) -> str:
    """`search.run.loop` and `search.run` are in the room `search.run`."""
    return ".".join(module.split(".")[:2])


def _graph(sources: Sources) -> dict[str, set[str]]:
    return {name: (_imports(source, name) & sources.keys()) - {name} for name, source in sources.items()}


@functools.cache
def _imports(source: str, module: str) -> frozenset[str]:
    return frozenset(find_imports(source, module))


def _tops(names: set[str] | frozenset[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def _reached(module: str, graph: Mapping[str, set[str]]) -> Iterator[str]:
    """The module and all modules of the project that it imports, directly or not."""
    waiting, seen = [module], set()
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            yield current
            waiting += graph.get(current, ())


def find_circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Nodes that import each other in a circle, or none."""
    finished: set[str] = set()

    def walk(node: str, path: list[str]) -> list[str]:
        if node in path:
            return path[path.index(node) :]
        if node not in finished:
            for imported in sorted(graph.get(node, ())):
                if circle := walk(imported, [*path, node]):
                    return circle
            finished.add(node)
        return []

    return next((circle for node in sorted(graph) if (circle := walk(node, []))), [])


def find_broken_laws(sources: Sources) -> list[str]:
    """Every import that the house forbids, in words."""
    graph = _graph(sources)
    return [*_foreign_imports(sources, graph), *_room_imports(graph), *_heavy_imports(sources, graph)]


def _foreign_imports(sources: Sources, graph: Mapping[str, set[str]]) -> Iterator[str]:
    for module in sources:
        for reached in _reached(module, graph):
            found = _tops(_imports(sources[reached], reached)) & FOREIGN.get(module.partition(".")[0], set())
            if found:
                yield f"{module} reaches {sorted(found)} through {reached}"


def _room_imports(graph: Mapping[str, set[str]]) -> Iterator[str]:
    for module, imported in graph.items():
        room = room_of(module)
        if module.partition(".")[0] == "spaces":
            continue
        for other in sorted(map(room_of, imported)):
            package, _, name = other.partition(".")
            if name and other != room and package == room.partition(".")[0] and name not in USES.get(room, set()):
                yield f"{module} imports {other}"


def _heavy_imports(sources: Sources, graph: Mapping[str, set[str]]) -> Iterator[str]:
    for module, source in sources.items():
        for library in _tops(_imports(source, module)) & ONLY.keys():
            if room_of(module) != ONLY[library]:
                yield f"{module} imports {library}; only {ONLY[library]} may"
        if room_of(module) in LIGHT:
            for reached in _reached(module, graph):
                if found := _tops(_imports(sources[reached], reached)) & HEAVY:
                    yield f"{module} reaches {sorted(found)} through {reached}"


def find_speech(source: str) -> list[int]:
    """Lines that print or end the process; to catch a user's code that would end it is neither."""
    tree = ast.parse(source)
    caught = [node.type for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.type is not None]
    named = {name for kind in caught for name in ast.walk(kind)}
    return [node.lineno for node in ast.walk(tree) if node not in named and _speaks(node)]


def _speaks(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return ast.unparse(node.func) in {"print", "exit", "quit", "sys.exit", "os._exit"}
    if isinstance(node, ast.ImportFrom):
        return node.module == "sys" and any(alias.name == "exit" for alias in node.names)
    return isinstance(node, ast.Name) and node.id == "SystemExit"


SOURCES = read_sources()


def test_the_house_keeps_its_laws():
    assert find_broken_laws(SOURCES) == []


def test_no_modules_import_each_other_in_a_circle():
    assert find_circle(_graph(SOURCES)) == []


def test_no_rooms_import_each_other_in_a_circle():
    rooms: dict[str, set[str]] = {}
    for module, imported in _graph(SOURCES).items():
        rooms.setdefault(room_of(module), set()).update({room_of(other) for other in imported} - {room_of(module)})
    assert find_circle(rooms) == []


@pytest.mark.parametrize("room", sorted({room_of(name) for name in SOURCES if name.count(".") >= 2}))
def test_every_room_says_what_lives_there_and_what_it_may_use(room):
    docstring = ast.get_docstring(ast.parse(SOURCES[room])) or ""
    assert "Uses " in docstring and len(docstring) > 80


DATA_ROOMS: Final = {
    "sources": {"sources"},
    "dividing": {"dividing"},
    "caching": {"caching", "dividing"},
    "coco": {"coco", "sources", "caching"},
}
"""Rooms inside of `segcore.data`, and which of them each may import."""


@pytest.mark.parametrize("room", DATA_ROOMS)
def test_a_room_inside_of_data_imports_only_those_that_it_may(room):
    inside = {name: source for name, source in SOURCES.items() if name.startswith(f"segcore.data.{room}.")}
    assert inside, room
    for name, source in inside.items():
        parts = {imported.split(".")[2] for imported in find_imports(source, name) if imported.count(".") >= 2}
        assert parts & DATA_ROOMS.keys() <= DATA_ROOMS[room], name


@pytest.mark.parametrize("module", [name for name in SOURCES if not name.endswith("__main__")])
def test_only_command_lines_print_and_exit(module):
    assert find_speech(SOURCES[module]) == []


@pytest.mark.parametrize("module", list(SOURCES))
def test_only_commands_use_the_console(module):
    libraries = _tops(_imports(SOURCES[module], module)) & {"typer", "rich"}
    assert not libraries or ".commands" in module or module.endswith("__main__")


@pytest.mark.parametrize(
    ("module", "source", "told"),
    [
        ("search.judge.planted", "import ray", "search.judge.planted imports ray; only search.run may"),
        ("search.stages.planted", "def f():\n    from ray import tune", "search.stages.planted imports ray"),
        ("search.run.planted", "import mlflow.entities", "search.run.planted imports mlflow; only search.tracking may"),
        ("search.verdict.planted", "import torch", "search.verdict.planted reaches ['torch']"),
        ("search.insight.planted", "from segcore.networks.model import x", "search.insight.planted reaches ['torch']"),
        (
            "search.memory.planted",
            "from search.propose import proposer",
            "search.memory.planted imports search.propose",
        ),
        ("search.tracking.planted", "import search.run.loop", "search.tracking.planted imports search.run"),
        ("search.run.planted", "from search import commands", "search.run.planted imports search.commands"),
        ("segcore.data.planted", "from segcore.training import train", "segcore.data.planted imports segcore.training"),
        ("segcore.data.planted", "import optuna", "segcore.data.planted reaches ['optuna']"),
        ("segcore.machine", "from segcore.prediction import tiling", "segcore.machine imports segcore.prediction"),
        ("spaces.planted", "import torch", "spaces.planted reaches ['torch']"),
    ],
)
def test_a_planted_import_breaks_a_law(module, source, told):
    broken = find_broken_laws({**SOURCES, module: source})
    assert any(line.startswith(told) for line in broken), broken


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
    assert find_speech("try:\n    f()\nexcept (OSError, SystemExit) as error:\n    g(error)") == []


@pytest.mark.parametrize(
    "module",
    [
        "segcore.errors",
        "segcore.config",
        "segcore.data.names",
        "segcore.data.dividing.split",
        "segcore.training.schedule",
    ],
)
def test_what_a_light_command_needs_of_segcore_reaches_no_pixels(module):
    sources = read_sources()
    reached = _reached(module, _graph(sources))
    libraries = set().union(*(_tops(_imports(sources[name], name)) for name in reached))
    assert not libraries & {"torch", "numpy", "cv2", "PIL", "pandas", "albumentations", "matplotlib", "rich", "typer"}
