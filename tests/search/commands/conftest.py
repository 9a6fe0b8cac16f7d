"""What the tests of tables share: how they look when they are printed."""

import io
from collections.abc import Callable

import pytest

from search.commands.console import PlainConsole


@pytest.fixture
def render() -> Callable[..., str]:
    """Return a function that prints something to a file of so many columns, and returns it."""

    def show(shown: object, width: int = 200) -> str:
        stream = io.StringIO()
        console = PlainConsole(file=stream)
        console.width = width
        console.print(shown)
        return stream.getvalue()

    return show


@pytest.fixture
def row_of() -> Callable[[str, str], str]:
    """Return a function that finds the one line of a text that begins with a word."""

    def find(text: str, first: str) -> str:
        (line,) = [line for line in text.splitlines() if line.split()[: len(first.split())] == first.split()]
        return line

    return find
