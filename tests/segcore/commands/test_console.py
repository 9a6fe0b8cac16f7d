import os
import re
from pathlib import Path

import pytest
import torch
from rich.table import Table

import segcore.__main__
import segcore.commands
from segcore.commands.console import PlainConsole, console, error_console, make_folder, print_error
from segcore.errors import DataError, StorageError


def test_folder_of_results_is_made_and_left_empty(tmp_path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_folder_of_results_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "afile").write_text("mine")
    for folder in (tmp_path / "afile", tmp_path / "afile" / "masks"):
        with pytest.raises(StorageError, match=r"cannot be written to as a folder \((File exists|Not a directory)\)"):
            make_folder(folder)
    assert (tmp_path / "afile").read_text() == "mine"


def test_brackets_and_colons_of_names_are_printed_as_they_are():
    table = Table("class", title="[b]:car:")
    table.add_row("[red]car[/red] :car: [/x]")
    with console.capture() as printed:
        console.print("/data/[bold]/x[/y]:smile:", table, soft_wrap=True)
    assert "/data/[bold]/x[/y]:smile:" in printed.get()
    assert "[red]car[/red] :car: [/x]" in printed.get()


ESCAPES = "\x1b]0;owned\x07\x1b[31mred\x9b2J\udcff"
WRITTEN_OUT = r"\x1b]0;owned\x07\x1b[31mred\x9b2J\udcff"


def test_escapes_of_names_are_written_out_in_texts_and_tables():
    table = Table(ESCAPES, title=ESCAPES)
    table.add_row(ESCAPES)
    wide = PlainConsole(markup=False, width=200)
    with wide.capture() as printed:
        wide.print(ESCAPES, table, soft_wrap=True)
    assert printed.get().count(WRITTEN_OUT) == 4
    assert not set(printed.get()) & set(ESCAPES[:1] + "\x07\x9b\udcff")


def test_escapes_in_an_error_are_written_out(capsys):
    print_error(DataError("[red]/data/\x1b[2J cannot be used:", ["\x1b]0;owned\x07"]))
    assert capsys.readouterr().err == "[red]/data/\\x1b[2J cannot be used:\n  - \\x1b]0;owned\\x07\n"


def test_what_a_name_has_that_ends_lines_elsewhere_is_written_out(capsys):
    print_error(DataError("/data cannot be used:", ["a\r\x0bb\x85c.png: is damaged"]))
    assert capsys.readouterr().err == "/data cannot be used:\n  - a\\r\\x0bb\\x85c.png: is damaged\n"


def test_device_that_others_have_filled_ends_in_a_message_and_a_bug_does_not(monkeypatch, capsys):
    """As where a network is sent to a GPU: nothing was computed yet, so nothing named the error."""

    def fail(error):
        monkeypatch.setattr(segcore.__main__, "app", lambda: (_ for _ in ()).throw(error))
        segcore.__main__.main()

    with pytest.raises(SystemExit) as ended:
        fail(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB.\nSee notes"))
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "There is too little memory (CUDA out of memory. Tried to allocate 20 MiB); end what else uses it, or, where "
        "it is a GPU's, use --device cpu.\n"
    )
    with pytest.raises(RuntimeError, match="sizes differ"):
        fail(RuntimeError("sizes differ"))


def test_commands_print_through_the_one_console():
    """What is printed elsewise could carry an escape from a user's file to the terminal."""
    for file in Path(segcore.commands.__file__).parent.glob("*.py"):
        source = file.read_text(encoding="utf-8")
        assert not re.search(r"(?<!\.)\bprint\(|typer\.(echo|secho)|\bConsole\(\)", source), file.name


def test_console_that_nobody_reads_any_more_prints_to_nowhere():
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        printer = PlainConsole(file=stream)
        os.close(reading)
        printer.print("one")
        printer.print("two")


def test_very_many_problems_are_cut_short_on_a_terminal_alone(capsys, monkeypatch):
    """The summary is a line, too: of 300 problems it leaves 99."""
    error = DataError("Much is wrong:", [f"{number}.png: is damaged" for number in range(300)])
    print_error(error)
    assert capsys.readouterr().err.count("is damaged") == 300
    monkeypatch.setattr(error_console, "_force_terminal", True)
    print_error(error)
    told = capsys.readouterr().err
    assert told.count("is damaged") == 99
    assert "and 201 more lines; the same command with 2> problems.txt behind it keeps all" in told
