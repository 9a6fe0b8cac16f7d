"""What is remembered of the files of a data folder, so that their contents are not read at every start.

    CACHE/DIGEST.files    a digest of the rest, then JSON; named after the path of the data folder

A record is trusted as far as it is whole and of its form; any other is as good as none. What was changed less than two
seconds before it was read is not remembered: another change within the same tick of a coarse clock would not show.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from segcore.replacing import replacing

_RECORD_SUFFIX: Final = ".files"
DIGEST_BYTES: Final = 16
SETTLED_NS: Final = 2_000_000_000

_FORMAT: Final = "street-files-1"

State = tuple[int, int, int, int]
"""Size in bytes, times of modification and of change in nanoseconds, inode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenFile:
    """A file as it was when its content was hashed.

    Args:
        state: what the system said of it.
        digest: of its content, hexadecimal.
    """

    state: State
    digest: str


SeenPair = tuple[SeenFile, SeenFile]
"""Image and mask of a case."""


def read_record(root: Path, folder: Path) -> dict[str, SeenPair]:
    """Return what is known of the files of a data folder, by case; what is damaged is not known.

    Args:
        root: folder of the caches.
        folder: the data set's.
    """
    document = _read_document(_name_record(root, folder))
    if document is None or document["data"] != str(folder.resolve()):
        return {}
    return {
        name: (SeenFile(state=(*image[:4],), digest=image[4]), SeenFile(state=(*mask[:4],), digest=mask[4]))
        for name, (image, mask) in document["files"].items()
    }


def write_record(root: Path, folder: Path, key: str, pairs: Mapping[str, SeenPair], begun_ns: int) -> None:
    """Remember the files of a data folder that were settled when reading began, if there is room for it.

    Args:
        root: folder of the caches.
        folder: the data set's.
        key: of its cache.
        pairs: image and mask of each case, by its name.
        begun_ns: when reading began, nanoseconds since 1970.
    """
    document = {
        "format": _FORMAT,
        "data": str(folder.resolve()),
        "key": key,
        "files": {
            name: [[*file.state, file.digest] for file in pair]
            for name, pair in pairs.items()
            if _latest_ns(pair) < begun_ns - SETTLED_NS
        },
    }
    record = _name_record(root, folder)
    body = json.dumps(document).encode()
    content = _digest_of(body) + b"\n" + body
    if _read_bytes(record) == content:
        return
    # What is not remembered is read again.
    with suppress(OSError), replacing(record) as temporary:
        temporary.write_bytes(content)


def read_last_keys(root: Path) -> dict[str, str]:
    """Return, by data folder, the key that its files had when they were last seen.

    Args:
        root: folder of the caches.
    """
    documents = (_read_document(file) for file in sorted(root.glob(f"*{_RECORD_SUFFIX}")))
    return {document["data"]: document["key"] for document in documents if document}


def is_digest(text: object) -> bool:
    """Say whether a value is a digest as keys and contents have them."""
    return isinstance(text, str) and len(text) == 2 * DIGEST_BYTES and set(text) <= set("0123456789abcdef")


def _name_record(root: Path, folder: Path) -> Path:
    name = hashlib.blake2b(os.fsencode(folder.resolve()), digest_size=DIGEST_BYTES).hexdigest()
    return root / f"{name}{_RECORD_SUFFIX}"


def _latest_ns(files: SeenPair) -> int:
    return max(max(file.state[1:3]) for file in files)


def _read_document(record: Path) -> dict[str, Any] | None:
    """Return what a record holds, or None: what is damaged or of another form is as good as none."""
    head, _, body = _read_bytes(record).partition(b"\n")
    if head != _digest_of(body):
        return None
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if _is_record(document) else None


def _read_bytes(record: Path) -> bytes:
    try:
        return record.read_bytes() if record.is_file() else b""
    except OSError:
        return b""


def _digest_of(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=DIGEST_BYTES).hexdigest().encode()


def _is_record(document: object) -> bool:
    return (
        isinstance(document, dict)
        and document.keys() == {"format", "data", "key", "files"}
        and document["format"] == _FORMAT
        and isinstance(document["data"], str)
        and is_digest(document["key"])
        and isinstance(document["files"], dict)
        and all(_is_pair(pair) for pair in document["files"].values())
    )


def _is_pair(pair: object) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(_is_file(file) for file in pair)


def _is_file(file: object) -> bool:
    if not isinstance(file, list) or len(file) != 5:
        return False
    return all(type(number) is int for number in file[:4]) and is_digest(file[4])
