"""What `python -m search` ends with: every code of the table in docs/command-line.md, and no other."""

import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from search import __main__ as program
from search.ending import ENDS
from segcore.__main__ import app as segcore_app
from segcore.errors import (
    ConfigError,
    HopelessSearchError,
    InterruptedSearchError,
    StorageError,
    TrackingError,
    UnfitClusterError,
)
from segcore.version import VERSION

DOCS = Path(__file__).parents[2] / "docs" / "command-line.md"


@pytest.fixture
def end_with(monkeypatch):
    """Return a function that runs the program with a command that ends in some way, and returns the exit code."""

    def end(error: BaseException | None) -> object:
        def app() -> None:
            if error is not None:
                raise error

        monkeypatch.setattr(program, "app", app)
        try:
            program.main()
        except SystemExit as done:
            return done.code
        return 0

    return end


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, 0),
        (RuntimeError("a bug"), 1),
        (UnfitClusterError("a node has no GPU"), 1),
        (ConfigError("--trials 0"), 2),
        (StorageError("the disk is full"), 2),
        (TrackingError("the port is busy"), 2),
        (HopelessSearchError("all failed"), 2),
        (InterruptedSearchError("go on with resume"), 3),
        (OSError(errno.ENOSPC, "No space left on device"), 2),
        (OSError(errno.EROFS, "Read-only file system", "/s/report.html"), 2),
        (OSError(errno.EMFILE, "Too many open files"), 2),
        (SystemExit(130), 130),
    ],
)
def test_exit_codes_are_those_of_the_docs(end_with, error, code, capsys):
    assert end_with(error) == code
    documented = {int(found) for found in re.findall(r"^\| (\d+) \|", DOCS.read_text(), re.MULTILINE)}
    assert code in documented
    assert documented == {0, 1, 2, 3, 130}
    assert ("Traceback" in capsys.readouterr().err) is isinstance(error, RuntimeError)


def test_a_command_that_a_machine_refused_leaves_the_next_one_its_output(end_with, capfd):
    assert end_with(OSError(errno.EROFS, "Read-only file system", "/s/report.html")) == 2
    capfd.readouterr()
    program.console.print("of the next command")
    assert capfd.readouterr().out == "of the next command\n"


def test_ctrl_c_while_an_interrupted_search_is_left_hides_nothing(end_with, capsys):
    try:
        try:
            raise InterruptedSearchError("go on with resume")
        finally:
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        try:
            # As Typer ends then.
            raise SystemExit(130)
        except SystemExit as ended:
            end = ended
    assert end_with(end) == 3
    assert capsys.readouterr().err == "go on with resume\n"


@pytest.mark.parametrize("number", ENDS)
def test_what_a_job_manager_sends_ends_a_command_as_ctrl_c_does_and_leaves_nothing_behind(tmp_path, number):
    code = (
        "import os\nfrom pathlib import Path\nfrom search import __main__ as program\n"
        "@program.app.command()\n"
        "def wait():\n"
        "    try:\n"
        f"        os.kill(os.getpid(), {int(number)})\n"
        "    finally:\n"
        "        Path('part').unlink()\n"
        "program.main()\n"
    )
    (tmp_path / "part").touch()
    done = subprocess.run(
        [sys.executable, "-c", code, "wait"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 130
    assert done.stderr.endswith("Interrupted; the same command begins again, or goes on.\n")
    assert not (tmp_path / "part").exists()


@pytest.mark.parametrize(("app", "name"), [(program.app, "street-search"), (segcore_app, "segcore of street-search")])
def test_version_is_told(app, name):
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"{name} {VERSION}\n")


@pytest.mark.parametrize("program", ["search", "segcore"])
def test_ctrl_c_while_a_program_is_still_imported_ends_it_without_a_traceback(tmp_path, program):
    """Whoever runs the tests in the background ignores Ctrl-C, and so would their children."""
    (tmp_path / "typer.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-m", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), root])},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


@pytest.mark.parametrize("number", ENDS)
def test_what_a_job_manager_sends_while_the_program_is_still_imported_is_told(tmp_path, number):
    (tmp_path / "typer.py").write_text(f"import os\nos.kill(os.getpid(), {int(number)})\n")
    done = subprocess.run(
        [sys.executable, "-m", "search"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])},
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 130
    assert done.stderr == "Interrupted before it had begun; the same command begins again.\n"


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="there is no /dev/full here")
def test_output_to_a_full_disk_is_told_in_a_line(tmp_path):
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "search", "list", "--storage", str(tmp_path)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("No space left on device (") and done.stderr.count("\n") == 1
