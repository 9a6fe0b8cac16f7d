"""The how-tos of `docs/cluster`: every command in them would be understood, and every file that they name exists."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

HOWTOS: Final = sorted((Path(__file__).parents[2] / "docs" / "cluster").glob("*.md"))
_AND: Final = r' && (?=(?:[^"]*"[^"]*")*[^"]*$)'
"""What joins two commands, outside of quotes."""
OTHERS: Final = {
    "aws",
    "cat",
    "chmod",
    "cd",
    "docker",
    "export",
    "helm",
    "kubectl",
    "make",
    "openssl",
    "scancel",
    "sky",
    "source",
    "ssh",
}
"""Programs that are no requirement of ours: of these the files that they name are checked alone."""


def read_commands(howto: Path) -> Iterator[str]:
    """Commands of the blocks of a how-to, one by one, without variables before them."""
    blocks = re.findall(r"^```\n(.*?)^```$", howto.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    for line in (line for block in blocks for line in block.splitlines()):
        for command in re.split(_AND, line):
            yield re.sub(r"^(\w+=\S+ )+", "", command.strip())


COMMANDS: Final = [(howto.stem, command) for howto in HOWTOS for command in read_commands(howto)]


def check(command: str, understand, pins: dict[str, str], root: Path) -> None:
    command = command.replace("~/venv/bin/python", "python")
    words = shlex.split(command)
    if words[0] == "ray" and words[1] == "exec":
        inner = understand(command)["cmd"]
        assert inner
        for part in str(inner).split(" && "):
            check(part, understand, pins, root)
    elif words[0] == "ray" and "--" in words:
        cut = words.index("--")
        assert understand(command)["entrypoint"]
        check(shlex.join(words[cut + 1 :]), understand, pins, root)
    elif words[0] in ("ray", "python"):
        understand(command)
    elif words[0] == "sbatch":
        assert (root / words[1]).is_file()
        understand(shlex.join(["python", "-m", "search", "launch", *words[2:]]))
    elif words[0] == "pip":
        named = dict(re.findall(r"([\w-]+)(?:\[\w+\])?==([\d.]+)", command))
        assert {name: version for name, version in named.items() if name in pins and pins[name] != version} == {}
    elif words[0] == "make":
        assert re.search(rf"^{words[1]}:", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    else:
        assert words[0] in OTHERS, f"nobody checks {words[0]}"


def test_there_is_a_howto_for_each_place():
    assert [howto.stem for howto in HOWTOS] == ["aws", "job_submit", "kubernetes", "local", "sky", "slurm"]
    assert all(any(stem == howto.stem for stem, _ in COMMANDS) for howto in HOWTOS)


@pytest.mark.parametrize(("stem", "command"), COMMANDS)
def test_command_is_understood(stem, command, understand, pins, root):
    check(command, understand, pins, root)


@pytest.mark.parametrize("howto", HOWTOS, ids=lambda howto: howto.stem)
def test_files_that_are_named_exist(howto, root):
    named = re.findall(r"\b(cluster\.yaml|(?:deploy|docs)/[\w./]+\w|requirements[\w-]*\.txt)", howto.read_text("utf-8"))
    assert named
    assert {name for name in named if not (root / name).is_file()} == set()


@pytest.mark.parametrize(
    "command",
    [
        "python -m search launch --data D --name N --trails 3",
        "python -m search lunch",
        "ray up --yess cluster.yaml",
        "ray ups cluster.yaml",
        "pip install ray[default]==2.0.0",
        "sbatch deploy/slurm.sbatch --data D --name N --trails 3",
        "ray job submit --working-dir . -- python -m search launch --data D --nam N",
        'ray exec cluster.yaml "python -m segcore chek DATA"',
        "reticulate splines",
    ],
)
def test_a_mistake_is_found(command, understand, pins, root):
    """The check above can fail."""
    with pytest.raises(Exception):  # noqa: B017
        check(command, understand, pins, root)
