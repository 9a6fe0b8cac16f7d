"""The console of the commands: what it prints is plain text with the commands' own styles, whatever the data says."""

import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

_UNSEEN: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters, which terminals obey, but for the end of a line; and those that turn the direction of text."""
LOADING: Final = "loading Ray, MLflow and torch"
_SLOW_SECONDS: Final = 10.0
_SIMPLER: Final = str.maketrans({"·": "-", "…": ".", "±": "~", "–": "-", "“": '"', "”": '"'})


class PlainConsole(Console):
    """Prints text as it is: brackets are no markup, and no character from data moves the cursor or sets a colour.

    What the terminal's encoding lacks becomes a simpler character. When nobody reads any more, as after `| head`, the
    rest is printed to nowhere and the command goes on.

    Args:
        stderr: whether to print to the standard error stream.
        file: another stream; None for the standard ones.
    """

    def __init__(self, *, stderr: bool = False, file: IO[str] | None = None) -> None:
        super().__init__(stderr=stderr, file=file, markup=False, emoji=False)
        self._cut: IO[str] | None = None

    @property
    def is_cut(self) -> bool:
        """Whether nobody reads its stream any more; a process may give its commands another one."""
        return self._cut is self.file

    @property
    def encoding(self) -> str:
        """Of the stream, also of a standard one."""
        return (getattr(self.file, "encoding", None) or "utf-8").lower()

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render, with every text plain."""
        encoding = self.encoding
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(make_plain(segment.text, encoding), segment.style)

    def on_broken_pipe(self) -> None:
        """Let the stream lead nowhere from now on; Rich would end the command, and the search with it."""
        self._cut = self.file
        self._buffer.clear()
        # What is left in the stream's own buffer would raise again as the process ends.
        with suppress(OSError, ValueError), Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), self.file.fileno())

    def drop_refused(self) -> None:
        """Let the stream lead nowhere if it takes no more, as on a full disk."""
        try:
            self.file.flush()
        except (OSError, ValueError):
            self.on_broken_pipe()


def make_plain(text: str, encoding: str) -> str:
    """Return a text without what a terminal would obey, in the characters of an encoding."""
    text = _UNSEEN.sub("", text)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_SIMPLER).encode(encoding, "replace").decode(encoding)
    return text


@contextmanager
def told_if_slow(doing: str, after_seconds: float = _SLOW_SECONDS) -> Iterator[None]:
    """Say what a command is doing if it takes long, lest it be taken for hung.

    Args:
        doing: what it does.
        after_seconds: how long it may say nothing.
    """
    timer = threading.Timer(after_seconds, _tell_slow, [doing])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _tell_slow(doing: str) -> None:
    # Of an output that takes no more the command itself is told as it prints next.
    with suppress(OSError):
        console.print(f"{doing} ...", soft_wrap=True)


def warn(text: str) -> None:
    """Print what a person is to notice."""
    console.print(text, style="yellow", soft_wrap=True)


def print_whole(text: str) -> None:
    """Print what programs read: no line is broken, and nothing is coloured."""
    console.print(text, soft_wrap=True, highlight=False)


console: Final = PlainConsole()
