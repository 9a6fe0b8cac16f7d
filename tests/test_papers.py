"""README, CONTRIBUTING and docs: every command in them would be understood, and all that they name exists."""

import ast
import json
import re
from pathlib import Path
from typing import Final

import optuna
import pytest

from segcore.config import TrainConfig
from tests.command_lines import (
    COMMANDS,
    ROOT,
    SCRIPTS,
    check_command,
    find_command,
    read_blocks,
    read_commands,
    read_pins,
)

PAPERS: Final = {
    file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8")
    for file in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
}
MEASURED: Final = {
    file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8")
    for file in (ROOT / "benchmarks" / "RESULTS.md", *sorted((ROOT / "benchmarks" / "results").glob("*.md")))
}
LINES: Final = [(paper, command) for paper, text in PAPERS.items() for command in read_commands(text)]
LANGUAGES: Final = {"sh", "text", "json", "python"}
FOREIGN_OPTIONS: Final = {
    "--env",
    "--exclusive",
    "--gpus-per-node",
    "--no-restart",
    "--nodelist",
    "--secret",
    "--setenv",
    "--shm-size",
    "--yes",
}
"""Options of docker, Slurm, Ray and SkyPilot that papers name."""
_SPAN: Final = re.compile(r"`([^`\n]+)`")
_FOLDERS: Final = "benchmarks|deploy|docs|search|segcore|spaces|tests"
_FILE: Final = re.compile(
    rf"(?<![\w/.])((?:\.\./)?(?:{_FOLDERS})/[\w./]*\w\.\w+|cluster\.yaml|requirements[\w-]*\.(?:txt|lock))"
)


def spans(text: str) -> list[str]:
    """What stands in backquotes outside of blocks; a span may go over the end of a line."""
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return _SPAN.findall(re.sub(r"\n(?!\n)", " ", outside))


def options_of(command) -> set[str]:
    """Options of a command and of those below it."""
    own = {
        option for each in command.params for option in (*each.opts, *each.secondary_opts) if option.startswith("--")
    }
    return own.union({"--help"}, *(options_of(each) for each in getattr(command, "commands", {}).values()))


OPTIONS: Final = {name: options_of(COMMANDS[name]) for name in ("search", "segcore")}


def slug(heading: str) -> str:
    """What a heading is called in a link."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_there_is_a_howto_for_each_place():
    howtos = {Path(paper).stem for paper in PAPERS if paper.startswith("docs/cluster/")}
    assert howtos == {"README", "aws", "job_submit", "kubernetes", "local", "sky", "slurm"}


@pytest.mark.parametrize(("paper", "command"), LINES)
def test_command_is_understood(paper, command):
    check_command(command, read_pins())


@pytest.mark.parametrize("paper", PAPERS)
def test_blocks_say_what_they_are(paper):
    """So that no command goes unread in a block that is none of a shell."""
    blocks = read_blocks(PAPERS[paper])
    assert {language for language, _ in blocks} <= LANGUAGES
    assert PAPERS[paper].count("```") == 2 * len(blocks)
    for language, content in blocks:
        if language == "python":
            ast.parse(content)
        elif language == "json":
            json.loads(content)
        elif language == "text":
            assert not re.search(r"^(python|make|segcore|street-search) ", content, re.MULTILINE)


@pytest.mark.parametrize("paper", PAPERS)
def test_commands_within_a_sentence_exist(paper):
    for span in spans(PAPERS[paper]):
        words = span.split()
        if span.startswith("python -m benchmarks"):
            check_command(span, read_pins())
        elif len(words) > 1 and (words[:2] == ["python", "-m"] or words[0] in ("search", *SCRIPTS)):
            command, arguments = find_command(words)
            named = {word for word in arguments if word.startswith("--")}
            assert named <= options_of(command), span
        elif words[0] == "make" and len(words) == 2:
            check_command(span, read_pins())


@pytest.mark.parametrize("paper", PAPERS)
def test_options_within_a_sentence_exist(paper):
    named = {option for span in spans(PAPERS[paper]) for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", span)}
    assert named - OPTIONS["search"] - OPTIONS["segcore"] - FOREIGN_OPTIONS == set()


def test_every_option_of_a_launch_is_explained():
    explained = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAPERS["docs/searching.md"]))
    assert options_of(COMMANDS["search"].commands["launch"]) - explained == {"--help"}


@pytest.mark.parametrize("paper", [*PAPERS, *MEASURED])
def test_links_lead_somewhere(paper):
    for target in re.findall(r"\]\(([^)\s]+)\)", (PAPERS | MEASURED)[paper]):
        if target.startswith("http"):
            continue
        path, _, heading = target.partition("#")
        file = (ROOT / paper).parent / path if path else ROOT / paper
        assert file.exists(), target
        if heading:
            assert heading in {slug(line) for line in re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.MULTILINE)}


@pytest.mark.parametrize("paper", PAPERS)
def test_files_that_are_named_exist(paper):
    named = {name for name in _FILE.findall(PAPERS[paper]) if "NAME" not in name}
    places = (ROOT, (ROOT / paper).parent)
    assert {name for name in named if not any((place / name).exists() for place in places)} == set()


@pytest.mark.parametrize("paper", ["CONTRIBUTING.md"])
def test_names_stand_in_the_file_that_is_named_with_them(paper):
    """`NAME` ... `file.py`: in the paragraphs that say how something is added, each name is in one of their files."""
    for paragraph in PAPERS[paper].partition("## A layout")[2].partition("## How it is written")[0].split("\n\n"):
        files = [ROOT / span for span in spans(paragraph) if span.endswith(".py") and "NAME" not in span]
        text = "".join(file.read_text("utf-8") for file in files)
        names = {span for span in spans(paragraph) if re.fullmatch(r"[A-Za-z_.]+", span) and not span.endswith(".py")}
        for name in names:
            assert all(part in text for part in name.split(".")), name


def test_the_space_of_the_docs_is_one():
    (source,) = (content for language, content in read_blocks(PAPERS["docs/own-space.md"]) if language == "python")
    module: dict[str, object] = {}
    exec(compile(source, "mine.py", "exec"), module)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(8):
        trial = study.ask()
        constants = module["small"](trial)
        TrainConfig.from_values({**trial.params, **constants})


def test_the_layout_of_the_code_names_folders_that_exist():
    """The tree of CONTRIBUTING: folders and files as they are indented."""
    tree = next(content for language, content in read_blocks(PAPERS["CONTRIBUTING.md"]) if language == "text")
    parents: list[str] = []
    for line in tree.splitlines():
        match = re.match(r"^( *)([\w]+/)", line)
        if match:
            parents = [*parents[: len(match.group(1)) // 2], match.group(2)]
            assert (ROOT / "".join(parents)).is_dir(), line
        files = re.findall(r"(?<![\w./])(\w+\.py)", line)
        folder = ROOT / "".join(parents)
        top = ROOT / (parents[0] if parents else "")
        assert all((folder / file).exists() or (top / file).exists() for file in files), line
    rooms = {file.parent for name in ("search", "segcore") for file in (ROOT / name).glob("*/__init__.py")}
    assert {room.name for room in rooms if f"\n  {room.name}/ " not in tree} == set()


@pytest.mark.parametrize(
    "command",
    [
        "python -m search launch --data D --name N --trails 3",
        "python -m search lunch",
        "street-search launch --data D --nam N",
        "segcore chek DATA",
        "python -m benchmarks.qualty",
        "mlflow models serve -m models:/first/1 --prot 1",
        "ray up --yess cluster.yaml",
        "ray ups cluster.yaml",
        "pip install ray[default]==2.0.0",
        "make demmo",
        "sbatch deploy/slurm.sbatch --data D --name N --trails 3",
        "ray job submit --working-dir . -- python -m search launch --data D --nam N",
        'ray exec cluster.yaml "python -m segcore chek DATA"',
        "reticulate splines",
    ],
)
def test_a_mistake_is_found(command):
    """The check above can fail."""
    with pytest.raises(Exception):  # noqa: B017
        check_command(command, read_pins())


def test_commands_are_read_as_a_shell_does():
    text = """```sh
A=1 B=$(date -u) python -m search ui   # a comment
umask 077; cat > file <<EOF
python -m search nothing
EOF
mlflow server --port 1 \\
  --host h && echo "a && b"
MODEL=x
```
```text
python -m search no
```
"""
    commands = ["python -m search ui", "umask 077", "cat > file", "mlflow server --port 1    --host h", 'echo "a && b"']
    assert [*read_commands(text)] == commands
