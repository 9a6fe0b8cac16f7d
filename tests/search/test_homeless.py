"""Users without a home, as containers have them: known by a number alone, or with a home that cannot be written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A number that no user has; which user it is, the system itself would say only to root.
_RUN_AS_NOBODY = """
import os, runpy, sys
os.getuid = lambda: 4242424
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


def _run(module, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-c", _RUN_AS_NOBODY, module, *map(str, arguments)],
        cwd=ROOT,
        env={**{name: value for name, value in os.environ.items() if name != "HOME"}, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        ("search", ["status", "first", "--storage", "searches-of-nobody"], "No search 'first' in"),
        ("search", ["status", "first", "--storage", "~/searches"], "No search 'first' in /nonexistent/searches"),
        (
            "search",
            ["status", "first", "--storage", "~nobody-here/searches"],
            "--storage '~nobody-here/searches'",
        ),
        ("segcore", ["cache"], "--cache '~/.cache/street-search' is no folder"),
    ],
)
def test_without_a_home_a_message_says_what_to_give(module, arguments, message):
    done = _run(module, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert "Traceback" not in done.stderr


def test_without_a_home_another_folder_is_used(tmp_path):
    done = _run("segcore", "cache", "--cache", tmp_path / "cache")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{tmp_path.name}/cache: 0 caches" in done.stdout.replace("\n", "")


def test_a_home_that_cannot_be_written_is_said_with_the_option(tmp_path, make_dataset):
    (tmp_path / "home").write_text("not a folder")
    arguments = ["train", make_dataset(), "--out", tmp_path / "out", "--folds", "2", "--set", "weights=none"]
    done = _run("segcore", *arguments, HOME=str(tmp_path / "home"))
    assert done.returncode == 2
    assert "The cache cannot be written to" in done.stderr
    assert "choose another folder with --cache" in done.stderr
    assert "Traceback" not in done.stderr
