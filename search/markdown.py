"""Escapes other people's text inside Markdown: a class name or a message may hold tags, links and pictures."""

import re
from typing import Final

_SPECIAL: Final = re.compile(r"[\\`*\[\]<>|~]|(?<!\w)_|_(?!\w)|!(?=\[)|&(?=#?\w+;)")


def plain(text: object) -> str:
    """Return a text so that Markdown shows it letter by letter, in one line."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(str(text).split()))


def code(text: str) -> str:
    """Return a text as code between marks that it does not hold itself."""
    mark = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if len(mark) > 1 else ""
    return f"{mark}{space}{text}{space}{mark}"
