"""Escapes other people's text inside Markdown: a class name or a message may hold tags, links and pictures."""

import re
from collections.abc import Sequence
from typing import Final

_SPECIAL: Final = re.compile(r"[\\`*\[\]|~]|(?<!\w)_|_(?!\w)|!(?=\[)")
_OF_TAGS: Final = re.compile(r"[<>]|&(?=#?\w+;)")
_ENTITIES: Final = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
"""After a backslash MLflow's page takes some of them for what they are, and shows the backslash of others."""


def plain(text: object) -> str:
    """Return a text so that Markdown shows it letter by letter, in one line."""
    named = _OF_TAGS.sub(lambda found: _ENTITIES[found[0]], " ".join(str(text).split()))
    return _SPECIAL.sub(r"\\\g<0>", named)


def code(text: str) -> str:
    """Return a text as code between marks that it does not hold itself."""
    mark = "`" * (1 + _longest_mark(text))
    space = " " if len(mark) > 1 else ""
    return f"{mark}{space}{text}{space}{mark}"


def code_block(lines: Sequence[str]) -> str:
    """Return lines as a block of code, which stands alone and breaks no line; nothing without any."""
    mark = "`" * max(3, 1 + max(map(_longest_mark, lines), default=0))
    return "\n".join([mark, *lines, mark]) if lines else ""


def _longest_mark(text: str) -> int:
    """Return how many backquotes stand beside each other at most."""
    return max(map(len, re.findall("`+", text)), default=0)
