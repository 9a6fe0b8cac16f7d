import io
import os
import subprocess
import sys
import time

import pytest
from rich.table import Table
from rich.text import Text

from search.commands.console import PlainConsole, make_plain, told_if_slow

NASTY = "a\x1b[31mb\x07c\x9b1md\re\u202ef[/red][bold]:smile:"
PLAIN = "a[31mbc1mdef[/red][bold]:smile:"


def print_to(encoding: str, *shown: object) -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="")
    PlainConsole(file=stream).print(*shown, soft_wrap=True)
    stream.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("text", "encoding", "plain"),
    [
        (NASTY, "utf-8", PLAIN),
        ("two\nlines", "utf-8", "two\nlines"),
        ("Straße · ü", "utf-8", "Straße · ü"),
        ("Straße · 3 ± 1 …", "ascii", "Stra?e - 3 ~ 1 ."),
        ("lone \ud800 surrogate", "utf-8", "lone ? surrogate"),
        ("ü · €", "latin-1", "ü - ?"),
    ],
)
def test_plain_text_holds_nothing_that_a_terminal_obeys_or_cannot_show(text, encoding, plain):
    assert make_plain(text, encoding) == plain


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("form", [str, Text, lambda text: Text(text, style="bold red")], ids=["str", "Text", "styled"])
def test_text_from_data_is_printed_as_it_is_wherever_it_stands(form, encoding):
    table = Table(title=form(NASTY), caption=form(NASTY))
    table.add_column(form(NASTY))
    table.add_row(form(NASTY))
    printed = print_to(encoding, form(NASTY), table)
    assert printed.count(PLAIN) == 5
    assert "\x1b" not in printed


def test_boxes_on_an_ascii_terminal_are_drawn_in_ascii():
    table = Table("a")
    table.add_row("b")
    assert "| b |" in print_to("ascii", table)
    assert "│ b │" in print_to("utf-8", table)


def test_own_styles_still_reach_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in print_to("utf-8", Text("done", style="green"))


def test_console_that_nobody_reads_any_more_prints_to_nowhere():
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        printer = PlainConsole(file=stream)
        printer.print("one")
        assert not printer.is_cut
        os.close(reading)
        printer.print("two")
        assert printer.is_cut
        printer.print("three")


def test_console_that_is_given_another_stream_prints_again(monkeypatch):
    reading, writing = os.pipe()
    printer = PlainConsole()
    with os.fdopen(writing, "w", encoding="utf-8") as cut:
        os.close(reading)
        monkeypatch.setattr("sys.stdout", cut)
        printer.print("one")
        assert printer.is_cut
        read = io.StringIO()
        monkeypatch.setattr("sys.stdout", read)
        printer.print("two")
        assert not printer.is_cut
        assert read.getvalue() == "two\n"


def test_process_that_nobody_reads_any_more_ends_as_it_would_have():
    program = (
        "from search.commands.console import console\n"
        "for number in range(20000):\n    console.print(number)\n"
        "raise SystemExit(7)\n"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 7


def test_step_that_takes_long_is_told_once_and_a_quick_one_is_not(monkeypatch):
    said = io.StringIO()
    monkeypatch.setattr("sys.stdout", said)
    with told_if_slow("importing mine:small", after_seconds=0):
        while not said.getvalue().endswith("\n"):
            time.sleep(0.01)
    with told_if_slow("starting Ray", after_seconds=3600):
        pass
    assert said.getvalue() == "importing mine:small ...\n"
