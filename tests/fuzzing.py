"""Inputs that someone may have damaged or crafted: any bytes, any JSON, and sound files with something changed.

The readers that they are given to are in `test_readers`.
"""

import copy
import json
from collections.abc import Sequence
from typing import Any, Final

from hypothesis import strategies as st

_WORDS: Final = (
    *("", "a", "[/red]", "\x1b[31m", "\ud800", "\0", "../x", "/etc/passwd", "x" * 300, "\u202e", "9" * 5000, "-1"),
    *("nan", "car", "0", "iou"),
)
_NUMBERS: Final = (0, 1, -1, 255, 256, 1 << 31, 1 << 63, 10**30, 0.5, 1e308, float("nan"), float("inf"), -0.0)
_PIECES: Final = (
    *(b"", b"\xff", b"\0", b"[" * 100_000, b'{"a":' * 50_000, b"9" * 5000, b"1e400", b"-Infinity", b"NaN", b"null"),
    *(b"true", b'""', b"[]", b"{}", b"\xef\xbb\xbf", b"\n", b",", b'"', b"\x1b[31m", b"\\ud800"),
)

WORDS: Final = st.sampled_from(_WORDS) | st.text(max_size=8)
VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(_NUMBERS) | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
_EDITS: Final = st.lists(
    st.tuples(st.integers(0, 500), st.sampled_from(("replace", "delete", "double", "rename")), VALUES, WORDS),
    min_size=1,
    max_size=3,
)
_SPLICES: Final = st.lists(
    st.tuples(st.integers(0, 1 << 20), st.integers(0, 64), st.sampled_from(_PIECES) | st.binary(max_size=8)),
    min_size=1,
    max_size=3,
)


def spliced(seed: bytes) -> st.SearchStrategy[bytes]:
    """Return a sound file with a few places cut out, overwritten or filled up."""
    return _SPLICES.map(lambda splices: _splice(seed, splices))


def edited(seed: Any) -> st.SearchStrategy[Any]:
    """Return a sound document with a few of its values replaced, removed, doubled or under another name."""
    return _EDITS.map(lambda edits: _edit(seed, edits))


def encode(document: Any) -> bytes:
    """Return a document as JSON; NaN and halves of surrogate pairs are written as Python does."""
    return json.dumps(document).encode()


def json_inputs(seed: Any) -> st.SearchStrategy[bytes]:
    """Return inputs for a reader of a JSON file: any bytes, any JSON, and the sound file with changes."""
    return edited(seed).map(encode) | spliced(encode(seed)) | VALUES.map(encode) | st.binary(max_size=40)


def line_inputs(seed: Sequence[Any]) -> st.SearchStrategy[bytes]:
    """Return inputs for a reader of a file with a JSON document on each line."""
    whole = b"".join(encode(line) + b"\n" for line in seed)
    lines = edited(list(seed)).map(lambda found: b"".join(encode(line) + b"\n" for line in _listed(found)))
    return lines | spliced(whole) | VALUES.map(lambda value: whole + encode(value) + b"\n")


def byte_inputs(*seeds: bytes) -> st.SearchStrategy[bytes]:
    """Return inputs for a reader of any other file."""
    return st.sampled_from(seeds).flatmap(spliced) | st.binary(max_size=40)


def _listed(document: Any) -> list[Any]:
    return document if isinstance(document, list) else [document]


def _splice(seed: bytes, splices: Sequence[tuple[int, int, bytes]]) -> bytes:
    for place, length, piece in splices:
        start = place % (len(seed) + 1)
        seed = seed[:start] + piece + seed[start + length :]
    return seed


def _edit(seed: Any, edits: Sequence[tuple[int, str, Any, str]]) -> Any:
    # The document itself is a value that may be replaced, too.
    root = [copy.deepcopy(seed)]
    for number, kind, value, word in edits:
        places = list(_places(root))
        holder, key = places[number % len(places)]
        if kind == "replace" or holder is root:
            holder[key] = value
        elif kind == "delete":
            del holder[key]
        elif isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        else:
            holder[word] = holder[key] if kind == "double" else holder.pop(key)
    return root[0]


def _places(holder: Any) -> list[tuple[Any, Any]]:
    keys = range(len(holder)) if isinstance(holder, list) else list(holder)
    found = [(holder, key) for key in keys]
    for key in keys:
        if isinstance(holder[key], list | dict):
            found += _places(holder[key])
    return found
