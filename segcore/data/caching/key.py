"""The key of a data set's cache, a digest of what is in its files: equal for equal data, on every node.

A file's content is read once: what the system says of it (size, times of modification and of change, inode) is kept
in `record`, and a file of which it says the same is not read again. So a file that got other content and its old
modification time back is noticed too, for its time of change nobody can set.
"""

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from segcore.data.caching.record import DIGEST_BYTES, SeenFile, SeenPair, State, read_record, write_record
from segcore.data.case import Case, DataSet
from segcore.data.classes import class_table_to_json
from segcore.data.decoding import require_regular
from segcore.errors import DataError

KEY_SEPARATOR: Final = "+"
"""Joins the key of the data set itself, which comes first, with those of the data that is trained on beside it."""


def own_key(keys: str) -> str:
    """Return the key of the data that is validated on: that of the data set itself, without extra ones.

    Args:
        keys: the key of a `PixelCache`.
    """
    return keys.partition(KEY_SEPARATOR)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenData:
    """A data set's files as they were.

    Args:
        key: of its cache.
        files: image and mask of each case, in the order of the cases.
    """

    key: str
    files: tuple[SeenPair, ...]


def see_data(dataset: DataSet, root: Path, cache_format: str) -> SeenData:
    """Return the key of a data set's cache, reading those files alone of which it is not known yet.

    Args:
        dataset: the cases whose files are looked at.
        root: folder of the caches; what is known of the files is remembered in it.
        cache_format: name of the form in which pixels are kept.

    Raises:
        DataError: when a file cannot be read.
    """
    begun_ns = time.time_ns()
    files = _see_files(dataset.cases, read_record(root, dataset.folder))
    seen = SeenData(key=_digest_data(dataset, files, cache_format), files=files)
    pairs = {case.name: pair for case, pair in zip(dataset.cases, files, strict=True)}
    write_record(root, dataset.folder, seen.key, pairs, begun_ns)
    return seen


def require_unchanged(dataset: DataSet, seen: SeenData) -> None:
    """Refuse a data set of which a file has other content than when it was seen.

    Raises:
        DataError: naming each such file.
    """
    problems = [
        f"{file.name}: was changed meanwhile"
        for case, files in zip(dataset.cases, seen.files, strict=True)
        for file, before in zip((case.image, case.mask), files, strict=True)
        if _look_at(file) != before.state and _hash_file(file).digest != before.digest
    ]
    if problems:
        raise DataError(f"{dataset.folder} was changed while it was decoded; start again when it is whole:", problems)


def _digest_data(dataset: DataSet, files: Sequence[SeenPair], cache_format: str) -> str:
    encodings = sorted({case.encoding for case in dataset.cases}, key=repr)
    places = {encoding: place for place, encoding in enumerate(encodings)}
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    digest.update(json.dumps([cache_format, class_table_to_json(dataset.classes), repr(encodings)]).encode())
    for case, (image, mask) in zip(dataset.cases, files, strict=True):
        facts = [case.name, case.group, case.condition, case.frame, case.split, places[case.encoding]]
        digest.update(json.dumps([*facts, image.digest, mask.digest]).encode())
    return digest.hexdigest()


def _see_files(cases: Sequence[Case], known: Mapping[str, SeenPair]) -> tuple[SeenPair, ...]:
    recognised = [_recognise(case, known.get(case.name)) for case in cases]
    unknown = [case for case, pair in zip(cases, recognised, strict=True) if pair is None]
    with ThreadPoolExecutor() as pool:
        hashed = pool.map(_hash_case, unknown)
        return tuple(pair or next(hashed) for pair in recognised)


def _recognise(case: Case, known: SeenPair | None) -> SeenPair | None:
    if known is None:
        return None
    same = all(_look_at(file) == before.state for file, before in zip((case.image, case.mask), known, strict=True))
    return known if same else None


def _hash_case(case: Case) -> SeenPair:
    return _hash_file(case.image), _hash_file(case.mask)


def _hash_file(file: Path) -> SeenFile:
    try:
        require_regular(file)
        with file.open("rb") as stream:
            state = _state_of(os.fstat(stream.fileno()))
            content = hashlib.file_digest(stream, partial(hashlib.blake2b, digest_size=DIGEST_BYTES))
        return SeenFile(state=state, digest=content.hexdigest())
    except OSError as error:
        raise _vanished(file, error) from error


def _look_at(file: Path) -> State:
    try:
        return _state_of(file.stat())
    except OSError as error:
        raise _vanished(file, error) from error


def _state_of(stat: os.stat_result) -> State:
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def _vanished(file: Path, error: OSError) -> DataError:
    return DataError(f"{file} cannot be read ({error.strerror}); the data changed meanwhile.")
