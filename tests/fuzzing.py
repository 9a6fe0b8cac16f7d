"""Inputs that someone may have damaged or crafted: any bytes, any JSON, and sound files with something changed.

The readers that they are given to are in `test_readers`.
"""

import copy
import gzip
import io
import json
import tarfile
import warnings
import zipfile
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

_NAMES: Final = (
    *("a", "b", "a/b", "A", "a/b/c", "a/", "a\\", ".", "", "../x", "a/../../x", "..\\x", "/x", "\\x", "C:\\x", "c:x"),
    *("\\\\host\\x", "._a", "__MACOSX/a", ".DS_Store", "\udcff", "a\0b", "a" * 300, "a/" * 40 + "b", "a" * 5000),
    "\x1b[31m",
)
_KINDS: Final = (tarfile.AREGTYPE, *(bytes([number]) for number in b"01234567LKxgSX?"), *3 * (tarfile.REGTYPE,))
_LIES: Final = (0, 0, 0, 1, -1, -512, -1024, 512, 1 << 33, 1 << 62, -(1 << 40), 0o120777, 0o100644, 0o060000)


def _note(keyword: str, value: bytes) -> bytes:
    """Return an extended note of a tar, which begins with its own length of two digits."""
    note = b" " + keyword.encode() + b"=" + value + b"\n"
    return b"%d" % (len(note) + 2) + note


_HELD: Final = (
    *(b"", b"x", b"picture" * 200, bytes(5000), b"99999999 path=x\n", b"0 a=b\n", b"2000\n" + b"0\n" * 600),
    *(_note("path", b"../../../../x"), _note("path", b"/x/././././x"), _note("path", b"././././././x\0y")),
    *(_note("size", b"4398046511"), _note("size", b"-9999"), _note("GNU.sparse.map", b"0,1,9")),
    _note("hdrcharset", b"BINARY") + _note("path", b"\xff" * 9),
    _note("GNU.sparse.major", b"1") + _note("GNU.sparse.minor", b"0"),
)
_ENTRIES: Final = st.tuples(
    st.sampled_from(_NAMES) | WORDS,
    st.sampled_from(_KINDS),
    st.sampled_from(_LIES) | st.integers(-600, 600),
    st.sampled_from(_HELD) | st.binary(max_size=600),
    st.integers(0, 2),
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


def tar_inputs() -> st.SearchStrategy[bytes]:
    """Return tars: files, links, devices and notes in any order, of odd names, that may lie about their sizes."""
    whole = st.tuples(st.lists(_ENTRIES, max_size=4), st.sampled_from((1024, 512, 0))).map(_pack_tar)
    return whole | whole.flatmap(spliced)


def packed_tar_inputs() -> st.SearchStrategy[bytes]:
    """Return tars as gzip packs them, which may be damaged themselves."""
    whole = tar_inputs().map(lambda content: gzip.compress(content, 1, mtime=0))
    return whole | whole.flatmap(spliced)


def zip_inputs() -> st.SearchStrategy[bytes]:
    """Return ZIP files of odd names and kinds, packed by any method."""
    whole = st.lists(_ENTRIES, max_size=4).map(_pack_zip)
    return whole | whole.flatmap(spliced)


def _pack_tar(given: tuple[Sequence[tuple[str, bytes, int, bytes, int]], int]) -> bytes:
    entries, zeros = given
    content = b""
    for name, kind, lie, held, form in entries:
        info = tarfile.TarInfo(name)
        info.type, info.size, info.linkname = kind, len(held) + lie, "/etc/passwd"
        try:
            content += info.tobuf((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT)[form], "utf-8")
        # No tar can hold it.
        except ValueError:
            continue
        content += held + bytes(-len(held) % tarfile.BLOCKSIZE)
    return content + bytes(zeros)


def _pack_zip(entries: Sequence[tuple[str, bytes, int, bytes, int]]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, kind, lie, held, form in entries:
            info = zipfile.ZipInfo(name.encode(errors="replace").decode())
            info.external_attr = (lie & 0xFFFF) << 16
            info.compress_type = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)[form]
            info.flag_bits = kind == tarfile.LNKTYPE
            packed.writestr(info, held)
    return stream.getvalue()


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
