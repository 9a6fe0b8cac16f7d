"""Every reader of a file that someone else may have written: whatever it holds, only an error of our own comes out.

Each is given sixteen inputs; STREET_FUZZ_EXAMPLES=500 gives each so many. What once broke a reader stands below.
"""

import io
import json
import os
import pickle
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from search.commands.console import PlainConsole
from search.commands.tables import insight_report, settings_table, summary_line, trials_table
from search.fetched import Fetched, encode_fetched, mark_fetched, read_fetched
from search.folder import StageFolder
from search.insight.words import tell_moment
from search.judge.progress import build_asha, is_over
from search.memory.best import describe_winner, read_best
from search.memory.history import History
from search.memory.journal import replay
from search.memory.trials import TrialRecord
from search.place import build_place, read_place
from search.settings import SearchSettings, build_settings, read_settings, settings_values
from search.space.first import read_prior
from search.stages.trained import read_scores
from segcore.config import TrainConfig
from segcore.data.caching.build import prepare_cache
from segcore.data.caching.cache import INDEX_FILE, PixelCache
from segcore.data.caching.upkeep import list_caches
from segcore.data.classes import find_class_table
from segcore.data.coco.annotations import read_coco
from segcore.data.coco.conversion import import_coco
from segcore.data.dataset import decode_case, read_dataset
from segcore.data.decoding import decode_colours, decode_rgb, decode_values, read_mode, read_size
from segcore.data.dividing.given_folds import match_folds
from segcore.data.dividing.own_folds import read_own_folds
from segcore.data.dividing.split import read_folds
from segcore.data.encoding import encoding_of
from segcore.data.sources.colours_file import read_colours
from segcore.data.sources.names_file import read_names
from segcore.data.unpacking import unpack
from segcore.errors import StreetError
from segcore.machine import Machine
from segcore.networks.weight_files import read_networks
from segcore.prediction.ensemble_files import load_ensemble, save_ensemble
from segcore.prediction.votes import Ballot, Votes, write_votes
from segcore.scoring.mask_files import read_mask_notes
from segcore.scoring.metrics import summarise_scores
from segcore.scoring.score_text import SCORES_FILE
from segcore.scoring.submission import read_submission
from segcore.training.checkpoint import load_state, read_member_weights, save_state
from segcore.training.saving import SCORE_FILE, _read_score
from segcore.training.state import new_state
from tests.conftest import CLASSES, add_pairs, save_dataset
from tests.fuzzing import (
    byte_inputs,
    edited,
    encode,
    json_inputs,
    line_inputs,
    packed_tar_inputs,
    tar_inputs,
    zip_inputs,
)

EXAMPLES: Final = int(os.environ.get("STREET_FUZZ_EXAMPLES", "16"))
MACHINE: Final = Machine()
SETTINGS: Final = build_settings({"name": "streets", "search_id": "1d", "objective": "iou", "trials": 3, "epochs": 9})
PLACE: Final = build_place({"data": Path("/data"), "storage": Path("/searches")})
VALUES: Final = TrainConfig().values()

JOURNAL: Final = [
    {"event": "opened", "time": 1.0, "cache_key": "key"},
    {"event": "asked", "time": 2.0, "trial": 0, "fold": 0, "values": VALUES, "params": {"loss": "ce"}},
    {"event": "started", "time": 3.0, "trial": 0},
    {
        "event": "epoch",
        "time": 4.0,
        "trial": 0,
        "epoch": 1,
        "metrics": {"iou": 0.5, "seconds": 2.0},
        "picture": "a.jpg",
    },
    {"event": "checkpoint", "time": 4.5, "trial": 0, "epoch": 1, "path": "ray/run/trial"},
    {"event": "ended", "time": 5.0, "trial": 0, "outcome": "stopped by ASHA", "message": "rung"},
    {"event": "reopened", "time": 6.0, "trial": 0},
    {"event": "epoch", "time": 7.0, "trial": 0, "epoch": 9, "metrics": {"iou": 0.6}},
    {"event": "ended", "time": 8.0, "trial": 0, "outcome": "finished"},
    {"event": "closed", "time": 9.0, "metrics": {"iou": 0.6}, "note": "done"},
]
BEST: Final = {
    **{"search": "streets", "trial": 0, "split": "folds", "fold": 0, "epoch": 9, "metric": "iou"},
    **{"metrics": {"iou": 0.6}, "values": VALUES, "trials": 3},
    "confirmation": {
        **{"told": "confirmed on 2 further folds", "score": 0.5, "interval": [0.4, 0.6], "folds": [1, 2]},
        **{"optimism": 0.1, "best_of": 1, "choice_bias": None, "rivals": []},
        "contenders": [{"trial": 0, "search_score": 0.6, "fold_scores": {"1": 0.4, "2": 0.6}, "score": 0.5}],
    },
}
FOLDS: Final = {
    "folds": 2,
    "split": "folds",
    "cases": {name: {"fold": number % 2, "block": name} for number, name in enumerate("abcd")},
}
TABLE: Final = {
    "classes": [{"name": "road", "rgb": [1, 2, 3], "id": 0}, {"name": "car", "rgb": [0, 0, 255], "id": 1}],
    "scored": ["car"],
    "void": [[0, 0, 0]],
}
DESCRIPTION: Final = {
    **{"images": "images/{name}.png", "masks": "masks/{name}.png", "encoding": "index"},
    "classes": [{"name": "road", "ids": [0], "rgb": [1, 2, 3]}, {"name": "car", "ids": [1]}],
    **{"void": [255], "ignored": [], "scored": ["car"], "splits": {"train": "train.txt"}},
}
COCO: Final = {
    "images": [{"id": 1, "file_name": "a.png", "height": 8, "width": 8}],
    "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 3, "iscrowd": 0, "segmentation": [[0, 0, 4, 0, 4, 4, 0, 4]]},
        {"id": 2, "image_id": 1, "category_id": 18, "iscrowd": 1, "segmentation": {"size": [8, 8], "counts": [8, 56]}},
    ],
}
NOTES: Final = {"images": {"a": "a.jpg"}, "classes": TABLE}
SCORES: Final = [
    {"name": "a", "condition": "night", "iou": 0.5, "confusion": [[5, 1, 0, 0, 0]] * 4, "boundary": [[1, 2]] * 4},
    {"name": "b", "condition": "", "iou": None, "confusion": [[0, 0, 0, 0, 9]] * 4},
]
SUBMISSION: Final = {"x.jpg": {"car": {"0": [[0, 3]], "7": [[1, 2], [4, 5]]}, "signal": {}}}
SIDES: Final = [{"train": ["a", "b"], "val": ["c", "d"]}, {"train": ["c", "d"], "val": ["a", "b"]}]
VISTAS: Final = {
    "labels": [
        {"name": "a--road", "readable": "Road", "evaluate": True, "color": [1, 2, 3]},
        {"name": "a--car", "readable": "Car", "evaluate": True, "color": [4, 5, 6]},
    ]
}


@dataclass(frozen=True)
class Given:
    """What a reader is given.

    Args:
        sound: contents that it takes.
        any: contents, sound or not.
    """

    sound: tuple[bytes, ...]
    any: st.SearchStrategy[bytes]


@dataclass(frozen=True)
class Reader:
    """A reader and what it is given.

    Args:
        given: makes the contents of the file, from what was prepared.
        read: reads the file, and uses what it read as the project does.
        place: of the file, in a folder of the reader's own.
        prepare: makes what else is in that folder.
        cost: how many inputs of another reader take as long as one of this.
    """

    given: Callable[[Path], Given]
    read: Callable[[Path], object]
    place: str
    prepare: Callable[[Path], object] = lambda folder: None
    cost: int = 1


def show(*parts: Any) -> None:
    """Print as the commands do; nothing that a terminal obeys may come out."""
    stream = io.StringIO()
    PlainConsole(file=stream).print(*parts, soft_wrap=True)
    assert not {*stream.getvalue()} & {"\x1b", "\0", "\u202e", "\x07"}


def read_journal(file: Path) -> None:
    history, asha = History("iou"), build_asha(SETTINGS)
    replay(file, history, asha)
    history.halt()
    if history.trials:
        show(trials_table(history.in_order, history.metric))
    show(summary_line(history, SETTINGS))
    if history.ranked:
        show(insight_report(history, SETTINGS))
    is_over(SETTINGS, history, asha)


def read_stored_scores(file: Path) -> None:
    trial = TrialRecord(number=0, fold=0, values=VALUES, params={}, started=0.0, checkpoint="ray/0")
    scores = read_scores(StageFolder(root=file.parents[2]), trial, len(CLASSES))
    summarise_scores(scores, CLASSES, every_class=True)


def read_mark(file: Path) -> None:
    """What is no mark is none; it is refused where it is brought."""
    found = read_fetched(file.parent)
    if found is not None:
        show(found.storage, found.driven, tell_moment(found.seconds))
    try:
        mark_fetched(file.parent, file.read_bytes())
    except ValueError as error:
        raise StreetError("refused") from error


def read_what(file: Path) -> None:
    found = read_settings(file)
    assert isinstance(found, SearchSettings)
    build_asha(found)
    # Those of a search that was never built are of the file alone.
    show(settings_table(found, PLACE))


def read_winner(file: Path) -> None:
    describe_winner(read_best(file))


def read_division(file: Path) -> None:
    split = read_folds(file)
    show(split.describe())
    split.split("abcd", 0)


def read_table(file: Path) -> None:
    table = find_class_table(file.parent)
    assert table is not None
    show(*table.names)
    encoding_of(table)


def read_own(file: Path) -> None:
    match_folds(read_own_folds(file), read_dataset(file.parent / "data").cases)


def read_data(file: Path) -> None:
    folder = next(each for each in file.parents if (each / ".data").exists())
    dataset = read_dataset(folder)
    show(*dataset.notes, *(f"{case.name} {case.group} {case.condition}" for case in dataset.cases))
    for case in dataset.cases:
        decode_case(case)


def take_in(file: Path) -> None:
    read_coco(file)
    shutil.rmtree(file.parent / "out", ignore_errors=True)
    import_coco(file, file.parent / "in", file.parent / "out", "void", lambda done, total: None)


def read_cache(file: Path) -> None:
    list_caches(file.parents[1])
    cache = PixelCache(file.parent)
    for index, case in enumerate(cache.cases):
        show(case.name, case.group, case.condition)
        cache.image_HW3(index), cache.mask_HW(index)


def read_model(file: Path) -> None:
    load_ensemble(file.parent, MACHINE).predict(np.zeros((32, 32, 3), np.uint8))


def read_state(file: Path) -> None:
    read_member_weights(file)
    load_state(file, SMALL, MACHINE)


def count_votes(file: Path) -> None:
    Ballot([file], "full", CLASSES).score([(1, 1), (0, 1)])


def read_picture(file: Path) -> None:
    for read in (read_mode, decode_colours, decode_values):
        with suppress(StreetError):
            read(file)
    read_size(file)
    decode_rgb(file)


def unpack_anew(file: Path) -> None:
    """Unpack into a folder in a folder; nothing may come to lie beside it, and nothing but files in it."""
    room = file.parent / "room"
    shutil.rmtree(room, ignore_errors=True)
    (room / "out").mkdir(parents=True)
    try:
        unpack(file, room / "out")
    finally:
        found = list((room / "out").rglob("*"))
        assert sorted(room.iterdir()) == [room / "out"] and not Path("/x").exists()
        assert all((each.is_file() or each.is_dir()) and not each.is_symlink() for each in found)
        assert sum(each.stat().st_size for each in found if each.is_file()) < 64 << 20


SMALL: Final = TrainConfig.from_values(
    {"backbone": "tf_efficientnet_lite0", "weights": "none", "decoder_channels": 16, "epochs": 1}
)
TENSORS: Final = {"conv_stem.weight": torch.ones(2, 3), "bn1.bias": torch.zeros(2)}


def make_pairs(folder: Path) -> None:
    (folder / ".data").touch()
    add_pairs(folder, 2)
    (folder / "train.txt").write_text("pair_0\n")


def make_listed(folder: Path) -> None:
    make_pairs(folder)
    (folder / "dataset.json").write_text(json.dumps({**DESCRIPTION, "splits": {"train": "train.txt"}}))


def make_contest(folder: Path) -> None:
    (folder / ".data").touch()
    save_dataset(folder, [(16, 24)] * 2)


def make_named(folder: Path) -> None:
    save_dataset(folder / "data", [(16, 24)] * 4)
    names = zip("abcd", sorted((folder / "data" / "seg_train_images").glob("*")), strict=True)
    for name, image in names:
        for file in (folder / "data").glob(f"*/{image.stem}.*"):
            file.rename(file.with_stem(name))


def make_coco(folder: Path) -> None:
    (folder / "in").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "in" / "a.png")


def make_vistas(folder: Path) -> None:
    (folder / ".data").touch()
    for part, mode in (("images", "RGB"), ("v2.0/labels", "L")):
        (folder / "training" / part).mkdir(parents=True)
        suffix = "jpg" if mode == "RGB" else "png"
        Image.new(mode, (8, 8)).save(folder / "training" / part / f"a.{suffix}")


def make_cache(folder: Path) -> None:
    made = prepare_cache(read_dataset(save_dataset(folder / "data", [(16, 24)] * 2)), folder / "caches")
    made.rename(folder / "caches" / ("0" * 32))


def make_model(folder: Path) -> None:
    states = iter([new_state(SMALL, 4, MACHINE).model.state_dict()])
    save_ensemble(folder / "model", states, config=SMALL, classes=CLASSES, notes={})


def make_state(folder: Path) -> None:
    save_state(new_state(SMALL, 4, MACHINE), folder / "sound.pt")


def make_votes(folder: Path) -> None:
    draw = np.random.default_rng(0)
    votes = Votes(
        name="a",
        condition="night",
        agreed_CP=np.ones((4, 5), np.int64),
        disputed_KOP=draw.random((2, 4, 6)).astype(np.float16),
        truth_P=draw.integers(0, 4, 6, np.uint8),
    )
    write_votes(votes, folder / "sound.npz")


def of(seed: Any) -> Callable[[Path], Given]:
    return lambda folder: Given((encode(seed),), json_inputs(seed))


def of_file(place: str) -> Callable[[Path], Given]:
    """A JSON file that was prepared."""
    return lambda folder: of(json.loads((folder / place).read_text()))(folder)


def of_bytes(*seeds: bytes) -> Callable[[Path], Given]:
    return lambda folder: Given(seeds, byte_inputs(*seeds))


def of_archive(kind: str, inputs: Callable[[], st.SearchStrategy[bytes]]) -> Callable[[Path], Given]:
    def give(folder: Path) -> Given:
        add_pairs(folder / "packed", 2)
        sound = Path(shutil.make_archive(str(folder / "sound"), kind, folder / "packed")).read_bytes()
        return Given((sound,), inputs() | byte_inputs(sound))

    return give


def of_votes(folder: Path) -> Given:
    sound = (folder / "sound.npz").read_bytes()
    return Given((sound,), byte_inputs(sound))


def of_journal(folder: Path) -> Given:
    return Given((b"".join(encode(line) + b"\n" for line in JOURNAL),), line_inputs(JOURNAL))


def of_state(folder: Path) -> Given:
    """A checkpoint with other values beside its tensors, and one with other bytes."""
    content = torch.load(folder / "sound.pt", weights_only=True)
    plain = {name: value for name, value in content.items() if name != "learnt"}
    kept = {"learnt": content["learnt"]}

    def save(document: Any) -> bytes:
        return saved({**document, **kept} if isinstance(document, dict) else document)

    sound = (folder / "sound.pt").read_bytes()
    return Given((sound,), edited(plain).map(save) | byte_inputs(sound))


def picture(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    """An image of 32x48 (height x width) whose levels are those of black and white, or of the classes 0 and 1."""
    stream = io.BytesIO()
    whites_HW = np.random.default_rng(0).integers(0, 2, (32, 48), np.uint8)
    white = {"I;16": 65535, "F": 1, "L": 1, "P": 1}.get(mode, 255)
    kind_of = {"I;16": np.uint16, "F": np.float32}.get(mode, np.uint8)
    image = Image.fromarray(whites_HW.astype(kind_of) * kind_of(white))
    (image.convert(mode) if mode in ("RGB", "1") else image).save(stream, kind, **options)
    return stream.getvalue()


def saved(content: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


CONTEST_NOTE: Final = {"attributes": {"route": "Tokyo1", "timeofday": "day", "pseudo": False}, "frameIndex": 4}
READERS: Final = {
    "journal": Reader(of_journal, read_journal, "journal.jsonl"),
    "settings.json": Reader(of({**settings_values(SETTINGS)}), read_what, "settings.json"),
    "place.json": Reader(
        of({"data": "/data", "layout": "", "extra": ["/more"], "gpus_per_trial": 0.5, "tracking_uri": "http://h:5000"}),
        read_place,
        "streets/place.json",
    ),
    "best.json": Reader(of(BEST), read_winner, "streets/best.json"),
    "seed configuration": Reader(of(BEST), read_prior, "seed.json"),
    "folds.json": Reader(of(FOLDS), read_division, "folds.json"),
    "own folds, JSON": Reader(of({"a": 0, "b": 1, "c": "train", "d": 0}), read_own, "own.json", make_named),
    "own folds, folds.json": Reader(of(FOLDS), read_own, "folds.json", make_named),
    "own folds, splits_final.json": Reader(of(SIDES), read_own, "splits_final.json", make_named),
    "own folds, CSV": Reader(of_bytes(b"name,fold\na,0\nb,1\nc,train\nd,0\n"), read_own, "own.csv", make_named),
    "classes.json": Reader(of(TABLE), read_table, "classes.json"),
    "dataset.json": Reader(of(DESCRIPTION), read_data, "dataset.json", make_pairs),
    "contest annotation": Reader(of(CONTEST_NOTE), read_data, "seg_train_annotations/train_0000.json", make_contest),
    "cases.csv": Reader(
        of_bytes(b"name,group,condition,frame,split\npair_0,a,day,1,train\npair_1,b,,2,val\n"),
        read_data,
        "cases.csv",
        make_pairs,
    ),
    "names.txt": Reader(of_bytes(b"road\ncar\n"), read_data, "names.txt", make_pairs),
    "objectInfo150.txt": Reader(
        of_bytes(b"Idx\tRatio\tTrain\tVal\tStuff\tName\n1\t0.2\t9\t1\t1\twall\n2\t0.1\t9\t1\t1\tsky, heaven\n"),
        read_names,
        "objectInfo150.txt",
    ),
    "class_dict.csv": Reader(of_bytes(b"name,r,g,b\nroad,1,2,3\ncar,0,0,9\n"), read_colours, "class_dict.csv"),
    "label_colors.txt": Reader(of_bytes(b"1 2 3\troad\n0 0 9\tcar\n"), read_colours, "label_colors.txt"),
    "labelmap.txt": Reader(of_bytes(b"# label\nroad:1,2,3::\ncar:0,0,9::\n"), read_colours, "labelmap.txt"),
    "list of a split": Reader(
        of_bytes(b"pair_0\n", b"images/pair_0.png masks/pair_0.png\n"), read_data, "train.txt", make_listed
    ),
    "facts beside an image": Reader(
        of({"group": "a", "condition": "day", "frame": 1}),
        read_data,
        "images/pair_0.json",
        make_pairs,
    ),
    "Vistas' config.json": Reader(of(VISTAS), read_data, "config_v2.0.json", make_vistas),
    "COCO": Reader(of(COCO), take_in, "coco.json", make_coco),
    "cache index.json": Reader(
        of_file(f"caches/{'0' * 32}/{INDEX_FILE}"), read_cache, f"caches/{'0' * 32}/{INDEX_FILE}", make_cache
    ),
    "mask notes": Reader(of(NOTES), lambda file: read_mask_notes(file.parent), "images.json"),
    "submission": Reader(of(SUBMISSION), read_submission, "submission.json"),
    "ensemble.json": Reader(of_file("model/ensemble.json"), read_model, "model/ensemble.json", make_model, cost=8),
    "scores.json": Reader(of(SCORES), read_stored_scores, f"ray/0/{SCORES_FILE}"),
    "score.json": Reader(of({"epoch": 3, "score": 0.5}), lambda file: _read_score(file, 3), SCORE_FILE),
    "votes": Reader(of_votes, count_votes, "votes.npz", make_votes),
    "mark of a fetched search": Reader(
        of(json.loads(encode_fetched(Fetched(storage="/data", stage="search", seconds=5.0)))),
        read_mark,
        ".fetched.json",
    ),
    "state.pt": Reader(of_state, read_state, "state.pt", make_state, cost=8),
    "weights": Reader(of_bytes(saved(TENSORS), saved({"a": TENSORS, 7: torch.ones(1)})), read_networks, "weights.pt"),
    "safetensors": Reader(of_bytes(safetensors.torch.save(TENSORS)), read_networks, "weights.safetensors"),
    "image": Reader(
        of_bytes(
            *(picture("JPEG"), picture("PNG"), picture("TIFF"), picture("BMP"), picture("WEBP")),
            *(picture("PNG", "L"), picture("TIFF", "I;16"), picture("TIFF", "F")),
            picture("TIFF", compression="tiff_lzw"),
        ),
        read_picture,
        "picture",
    ),
    "tar": Reader(of_archive("tar", tar_inputs), unpack_anew, "data.tar"),
    "tar.gz": Reader(of_archive("gztar", packed_tar_inputs), unpack_anew, "data.tar.gz"),
    "zip": Reader(of_archive("zip", zip_inputs), unpack_anew, "data.zip"),
    "mask": Reader(
        of_bytes(picture("PNG", "L"), picture("PNG", "1"), picture("TIFF", "I;16")),
        read_data,
        "masks/pair_0.png",
        make_pairs,
    ),
}


@pytest.fixture(scope="module")
def prepare(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Reader, Path, Path]]:
    """Return a function that gives a reader, its folder with what else must lie there, and its file."""

    def make(name: str) -> tuple[Reader, Path, Path]:
        reader, folder = READERS[name], tmp_path_factory.mktemp("reader")
        reader.prepare(folder)
        file = folder / reader.place
        file.parent.mkdir(parents=True, exist_ok=True)
        return reader, folder, file

    return make


def is_refused(reader: Reader, file: Path, content: bytes) -> bool:
    """Say whether a reader refuses a content, with a message that can be shown; anything else it raises comes out."""
    file.write_bytes(content)
    try:
        reader.read(file)
    except StreetError as error:
        show(str(error))
        assert 0 < len(str(error)) < 20_000
        return True
    return False


@pytest.mark.parametrize("name", READERS)
def test_whatever_a_file_holds_only_errors_of_our_own_come_out(name, prepare, record_property):
    reader, folder, file = prepare(name)
    given_to_it = reader.given(folder)
    assert [content for content in given_to_it.sound if is_refused(reader, file, content)] == []
    counts: Counter[bool] = Counter()

    @settings(max_examples=max(2, EXAMPLES // reader.cost), suppress_health_check=list(HealthCheck))
    @given(content=given_to_it.any)
    def check(content: bytes) -> None:
        counts[is_refused(reader, file, content)] += 1

    check()
    record_property("inputs", counts.total())
    record_property("refused", counts[True])


def changed(seed: Any, **changes: Any) -> bytes:
    return encode({**seed, **changes})


def classes_of(*entries: Any, **changes: Any) -> bytes:
    return changed(TABLE, classes=list(entries), scored=["car"], **changes)


def changed_score(**changes: Any) -> dict[str, Any]:
    return {**SCORES[0], **changes}


def npz_of(**changes: Any) -> bytes:
    """Votes on an image of six disputed pixels."""
    stream, classes = io.BytesIO(), len(CLASSES)
    sound = {
        "agreed": np.ones((classes, classes + 1), np.int64),
        "disputed": np.ones((2, classes, 6), np.float16),
        "truth": np.zeros(6, np.uint8),
        "pixels_each": np.float64(1),
        "told": np.array(["a", "night"]),
    }
    np.savez(stream, **{**sound, **changes})
    return stream.getvalue()


ROAD, CAR = TABLE["classes"]
DEEP: Final = b"[" * 100_000
BROKE: Final = {
    "journal": (
        *(b"7\n", b'{"event":"opened","time":2}\n', b"\xff\n", DEEP + b"\n"),
        b'{"event":"opened","time":1e400,"cache_key":"k"}\n',
        b'{"event":"opened","time":1e30,"cache_key":"k"}\n',
    ),
    "classes.json": (
        *(encode(TABLE).replace(b"[1, 2, 3]", b"[1e400, 0, 0]"), DEEP, classes_of({**ROAD, "name": None}, CAR)),
        *(changed(TABLE, scored="ab"), encode(TABLE).replace(b'"scored"', b'"void": [], "scored"')),
        classes_of(*({"name": f"c{number}", "rgb": [0, 0, 0]} for number in range(50_000))),
    ),
    "contest annotation": (
        *(changed(CONTEST_NOTE, attributes={"route": "\ud800", "timeofday": "day"}), DEEP),
        *(changed(CONTEST_NOTE, frameIndex=value) for value in (True, 1.9, "12", None)),
    ),
    "folds.json": (
        *(encode(FOLDS).replace(b'"folds": 2', b'"folds": ' + value) for value in (b"-Infinity", b"1e400", b"true")),
        *(changed(FOLDS, folds=10**12), changed(FOLDS, folds=0), DEEP),
    ),
    "scores.json": (
        *(DEEP, b"\xff", b"[7]", encode([changed_score(iou="x")]), encode([changed_score(condition=["night"])])),
        *(encode([changed_score(confusion=[[10**30] * 5] * 4)]), encode([changed_score(confusion=[[1] * 4] * 4)])),
        encode([changed_score(iou=0.5)]).replace(b"0.5", b"1e400"),
    ),
    "score.json": (DEEP, b'{"epoch": 3, "score": 1e400}', b'{"epoch": 3, "score": "0.5"}'),
    "votes": (
        *(npz_of(disputed=np.zeros(3)), npz_of(agreed=np.zeros((4, 5))), npz_of(pixels_each=np.float64("nan"))),
        *(npz_of(truth=np.full(6, 9, np.uint8)), npz_of(truth=np.full(7, 1, np.uint8))),
    ),
    "mark of a fetched search": (b'{"storage": "/data", "stage": "", "seconds": 1e30}',),
    "place.json": (encode({"data": "/data", "cpus_per_trial": 1e308}),),
    "best.json": (changed(BEST, confirmation={"folds": "12"}), changed(BEST, metrics={}), changed(BEST, fold=None)),
    "cache index.json": (b'{"format": 1e400}', DEEP, b"7"),
    "ensemble.json": (b"7", b"{}", DEEP),
    "state.pt": (saved({"format": "street-state-2"}), saved(7), b"PK\x03\x04"),
    "image": (bytes.fromhex("01da0001001300100010000300"), b"DDS |\0\0\0", b"\0\0\0 ftypavif", b"%!PS-Adobe"),
    "submission": (encode({"x.jpg": {"car": {"9" * 5000: [[0, 1]]}}}), changed(SUBMISSION, y=7), DEEP),
    "own folds, CSV": (b"name,fold\na,0\n" + DEEP + b",1\n",),
    "seed configuration": (encode({"a" * 100_000: 1}), encode({"loss": "a" * 100_000})),
    "dataset.json": (changed(DESCRIPTION, splits={"a" * 100_000: "x"}), changed(DESCRIPTION, images="a" * 100_000)),
    "cases.csv": (b"name," + DEEP + b"\n", b"name\n" + b"a" * 200_000 + b"\n"),
}
"""Smallest inputs that let something else than an error of ours out, or made a message of megabytes."""


@pytest.mark.parametrize("name", BROKE)
def test_what_once_broke_a_reader_is_refused(name, prepare):
    reader, _, file = prepare(name)
    assert [content[:80] for content in BROKE[name] if not is_refused(reader, file, content)] == []


CHANGES: Final = (
    lambda document: document["classes"]["classes"][0].update(rgb=[0]),
    lambda document: document["classes"]["classes"][0].update(rgb="abc"),
    lambda document: document.update(members=[]),
    lambda document: document.update(members=["../../member_0.safetensors", 7]),
    lambda document: document.update(config=7),
    lambda document: document.update(predict=[1]),
    lambda document: document["config"].update(decoder_channels=10**9),
)


def test_model_with_a_changed_description_is_refused(prepare):
    reader, folder, file = prepare("ensemble.json")
    sound = (folder / reader.place).read_text()
    for change in CHANGES:
        document = json.loads(sound)
        change(document)
        assert is_refused(reader, file, encode(document)), document


def test_pickles_are_never_run(tmp_path):
    """Not in weights, nor in a checkpoint: what is no tensor and no plain value is refused."""

    class Evil:
        def __reduce__(self):
            return (Path(tmp_path / "ran").touch, ())

    for name, read in (("weights.pt", read_networks), ("state.pt", read_member_weights)):
        for content in (saved({"a": torch.ones(1), "b": Evil()}), pickle.dumps(Evil())):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(StreetError):
                read(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_what_a_terminal_obeys_is_shown_plain(prepare):
    reader, _, file = prepare("journal")
    message = "[/red][bold]\x1b]0;title\x07\x1b[31m\u202e"
    lines = [*JOURNAL[:-2], {**JOURNAL[-2], "outcome": "failed", "message": message}]
    # `show` fails on each of these characters.
    assert not is_refused(reader, file, b"".join(encode(line) + b"\n" for line in lines))


@contextmanager
def ended_after(seconds: int) -> Iterator[None]:
    """Fail where something is waited for."""

    def fail(number: int, frame: object) -> None:
        pytest.fail(f"it waited {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    "name",
    [
        *("journal", "settings.json", "place.json", "best.json", "folds.json", "scores.json", "score.json"),
        *("ensemble.json", "state.pt", "safetensors", "image", "mask", "dataset.json", "cases.csv", "names.txt"),
    ],
)
def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(name, prepare):
    reader, _, file = prepare(name)
    file.unlink(missing_ok=True)
    os.mkfifo(file)
    with ended_after(60), pytest.raises(StreetError):
        reader.read(file)


def test_a_winner_whose_file_holds_fewer_values_has_the_defaults_of_the_others(prepare):
    _, _, file = prepare("best.json")
    file.write_bytes(changed(BEST, values={"loss": "focal"}))
    assert read_best(file).values == {**VALUES, "loss": "focal"}
