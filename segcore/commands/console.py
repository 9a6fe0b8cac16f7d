"""What the commands share: the console, a progress bar, and what is said of files and folders."""

import io
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from rich.console import Console, HighlighterType, JustifyMethod, OverflowMethod
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.style import Style
from rich.text import Text

from segcore.counting import count_words
from segcore.data.bringing import bring_data
from segcore.data.caching.build import BuildPlan
from segcore.data.caching.cache import Progress as ProgressCall
from segcore.data.caching.disk import DEFAULT_CACHE, resolve_folder, warn_of_network
from segcore.data.decoding import IMAGE_SUFFIXES
from segcore.data.listing import count_below, count_unread
from segcore.data.names import show_controls
from segcore.errors import LeftOutError, StorageError, StreetError

_MOST_LINES: Final = 100


class PlainConsole(Console):
    """Shows a text as it is, wherever it comes from: control characters are written out, never sent.

    When nobody reads any more, as after `| head`, the rest is printed to nowhere and the command goes on.
    """

    def on_broken_pipe(self) -> None:
        """Let the stream lead nowhere from now on; Rich would end the command before its work is done."""
        self._buffer.clear()
        # What is left in the stream's own buffer would raise again as the process ends.
        with suppress(OSError, ValueError), Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), self.file.fileno())

    def render_str(
        self,
        text: str,
        *,
        style: str | Style = "",
        justify: JustifyMethod | None = None,
        overflow: OverflowMethod | None = None,
        emoji: bool | None = None,
        markup: bool | None = None,
        highlight: bool | None = None,
        highlighter: HighlighterType | None = None,
    ) -> Text:
        """Return what Rich prints for a text, in a table too."""
        return super().render_str(
            show_controls(text),
            style=style,
            justify=justify,
            overflow=overflow,
            emoji=emoji,
            markup=markup,
            highlight=highlight,
            highlighter=highlighter,
        )


# A path or the name of a class may hold brackets and colons.
console = PlainConsole(markup=False, emoji=False)
error_console = PlainConsole(markup=False, emoji=False, stderr=True)


def accept_every_text() -> None:
    """Let a terminal that lacks a letter, such as one of ASCII, show its code instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def warn(text: str) -> None:
    """Print what a person is to notice."""
    console.print(text, style="yellow", soft_wrap=True)


def print_error(error: StreetError) -> None:
    """Print what a user has to mend; on a terminal the first lines of very many, so that they can be read."""
    lines = str(error).split("\n")
    if error_console.is_terminal and len(lines) > _MOST_LINES:
        more = f"and {len(lines) - _MOST_LINES:,} more lines; the same command with 2> problems.txt behind it keeps all"
        lines = [*lines[:_MOST_LINES], more]
    error_console.print("\n".join(lines), style="red", soft_wrap=True, highlight=False)


def bring_shown(data: str | Path, root: Path = DEFAULT_CACHE) -> Path:
    """Return the folder of a data set, fetching or unpacking it if need be, and say so.

    Args:
        data: a folder, an archive, or the address of one in a bucket.
        root: folder of this machine's caches.
    """
    with show_progress("fetching, MiB") as progress:
        return bring_data(
            data, resolve_folder("cache", root), progress, lambda line: console.print(line, soft_wrap=True)
        )


def print_unread(folder: Path, *, below: bool = False, apart: Sequence[Path] = ()) -> None:
    """Say how many files of a folder of images are read as none, where there are some, or lie in folders below it.

    Args:
        folder: the folder.
        below: whether it is a data set's, so that folders in it are read too.
        apart: folders of results, which may lie below it.

    Raises:
        DataError: when the folder may not be read.
    """
    counts = count_unread(folder, below=below)
    if counts:
        suffixes = ", ".join(f"{suffix}: {count}" for suffix, count in counts.most_common())
        warn(
            f"{folder}: {count_words(counts.total(), 'file is', 'files are')} not read ({suffixes}); "
            f"images end with {', '.join(IMAGE_SUFFIXES)}"
        )
    left_out = 0 if below else count_below(folder, apart)
    if left_out:
        warn(
            f"{folder}: {count_words(left_out, 'image is', 'images are')} not read in folders below it; "
            "give each such folder by itself"
        )


def require_all_read(problems: Sequence[str], images: int) -> None:
    """End a command whose work is done for all images but those with problems.

    Raises:
        LeftOutError: when there is a problem.
    """
    if problems:
        raise LeftOutError(f"{len(problems)} of {images} images cannot be read, and were left out:", problems)


def print_plan(plan: BuildPlan) -> None:
    """Say what the decoding that has begun takes."""
    console.print(plan.describe(), soft_wrap=True)


def warn_of_slow_cache(root: Path) -> None:
    """Say so when a folder of caches lies on a network file system."""
    if warning := warn_of_network(root):
        warn(warning)


def make_folder(folder: Path) -> None:
    """Make a folder of results, before the work whose results it takes.

    Raises:
        StorageError: when it cannot be made, or nothing can be written into it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written to as a folder ({error.strerror or error}); choose another place."
        ) from error


@contextmanager
def show_progress(label: str, total: int | None = None, done: int = 0) -> Iterator[ProgressCall]:
    """Draw a bar that the yielded call moves; it is gone when the work is done."""
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Elsewhere than on a terminal it would leave blank lines.
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=total, completed=done)
        yield lambda completed, total: bar.update(task, completed=completed, total=total)
