"""Reads command lines as their programs would, and finds them in papers: nothing runs."""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import mlflow.cli
import ray.scripts.scripts
import typer

import search.__main__
import segcore.__main__

ROOT: Final = Path(__file__).parents[1]
COMMANDS: Final = {
    "search": typer.main.get_command(search.__main__.app),
    "segcore": typer.main.get_command(segcore.__main__.app),
    "ray": ray.scripts.scripts.cli,
    "mlflow": mlflow.cli.cli,
}
SCRIPTS: Final = {"street-search": "search", "segcore": "segcore"}
"""Installed scripts and the packages whose command line they are."""
MODULES: Final = ("pytest", "benchmarks")
"""Other modules that a paper may run, by the first part of their names."""
OTHERS: Final = {
    ".",
    "aws",
    "cat",
    "cd",
    "chmod",
    "curl",
    "docker",
    "export",
    "helm",
    "kubectl",
    "mkdir",
    "nvidia-cuda-mps-control",
    "openssl",
    "scancel",
    "set",
    "sky",
    "source",
    "ssh",
    "umask",
}
"""Programs that are no requirement of ours: of these the files that they name are checked alone."""
_BLOCK: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_HEREDOC: Final = re.compile(r"<<(\w+)\n.*?\n\1\n", re.DOTALL)
_AND: Final = re.compile(r'(?: && |; )(?=(?:[^"]*"[^"]*")*[^"]*$)')
"""What joins two commands, outside of quotes."""


def read_pins() -> dict[str, str]:
    """Return the version of each requirement by its name, without extras."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    found = [re.fullmatch(r"([\w-]+)(?:\[[\w,]+\])?==([\w.]+)", line) for line in lines]
    return {match.group(1): match.group(2) for match in found if match}


def find_command(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that a line names, as click has it, and the arguments that are its own."""
    if words[:2] in (["python", "-m"], ["python3", "-m"]):
        words = words[2:]
    name, arguments = SCRIPTS.get(words[0], words[0]), words[1:]
    command: Any = COMMANDS[name]
    # "COMMAND" stands for any of them; options before the command are the program's own.
    while arguments and hasattr(command, "commands") and not arguments[0].startswith("-") and arguments[0] != "COMMAND":
        assert arguments[0] in command.commands, f"{name} has no command {arguments[0]}"
        name, command, arguments = arguments[0], command.commands[arguments[0]], arguments[1:]
    return command, arguments


def understand(line: str) -> dict[str, object]:
    """Parse a command line as its program does, and return the values of its options.

    It raises for unknown commands and options, missing ones and values of another type.
    """
    words = shlex.split(line, comments=True)
    command, arguments = find_command(words)
    if arguments in (["--help"], ["--version"]):
        return {}
    return dict(command.make_context(command.name, arguments).params)


def read_blocks(text: str) -> list[tuple[str, str]]:
    """Return the language and the content of each fenced block of a Markdown text."""
    return _BLOCK.findall(text)


def read_commands(text: str) -> Iterator[str]:
    """Commands of the shell blocks of a Markdown text, one by one, without comments and variables before them."""
    for block in (content for language, content in read_blocks(text) if language == "sh"):
        joined = _HEREDOC.sub("\n", block.replace("\\\n", " "))
        for line in joined.splitlines():
            plain = re.sub(r"(?:^|\s)#.*", "", line)
            for command in _AND.split(plain):
                if without := re.sub(r"^(\w+=(?:\$\([^)]*\)|\S+)(?:\s+|$))+", "", command.strip()):
                    yield without


def check_command(command: str, pins: Mapping[str, str]) -> None:
    """Fail where a command of a paper would not be understood by its program, or names what is not there."""
    words = shlex.split(re.sub(r"(?:~/venv|\.venv)/bin/python", "python", command), comments=True)
    # What a pipe leads to is another's program.
    words = words[: words.index("|")] if "|" in words else words
    line = shlex.join(words)
    if words[:2] == ["ray", "exec"]:
        for part in str(understand(line)["cmd"]).split(" && "):
            check_command(part, pins)
    elif words[0] == "ray" and "--" in words:
        assert understand(line)["entrypoint"]
        check_command(shlex.join(words[words.index("--") + 1 :]), pins)
    elif words[:2] == ["python", "-m"] and words[2].partition(".")[0] in MODULES:
        module = ROOT / words[2].replace(".", "/")
        assert words[2] == "pytest" or module.with_suffix(".py").is_file() or (module / "__main__.py").is_file()
    elif words[0] in ("ray", "mlflow", "python", *SCRIPTS):
        understand(line)
    elif words[0] == "sbatch":
        assert (ROOT / words[1]).is_file()
        understand(shlex.join(["python", "-m", "search", "launch", *words[2:]]))
    elif words[0] == "pip":
        _check_install(command, words, pins)
    elif words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    else:
        assert words[0] in OTHERS, f"nobody checks {words[0]}"


def _check_install(command: str, words: list[str], pins: Mapping[str, str]) -> None:
    assert words[1] == "install"
    named = dict(re.findall(r"([\w-]+)(?:\[\w+\])?==([\d.]+)", command))
    assert {name: version for name, version in named.items() if name in pins and pins[name] != version} == {}
