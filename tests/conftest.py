"""Small real data for all tests: JPEG, PNG and JSON files in the contest's layout, drawn once per session."""

import itertools
import json
import logging
import os
import re
import signal
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

# Before torch: on small tensors two threads gain nothing, and on a busy machine they wait for each other for minutes.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from segcore.config import TrainConfig
from segcore.data.caching.build import prepare_cache
from segcore.data.caching.cache import PixelCache
from segcore.data.classes import ClassTable, class_table_to_json
from segcore.data.dataset import read_dataset
from segcore.data.encoding import encoding_of
from segcore.data.sources.contest import ANNOTATIONS_FOLDER, IMAGES_FOLDER
from tests.nursery import SHARED
from tests.preloaded import start_servers

hypothesis.settings.register_profile("street", deadline=None, max_examples=40, derandomize=True, database=None)
hypothesis.settings.load_profile("street")

CLASSES: Final = ClassTable(
    names=("road", "car", "person", "sky"),
    colours=((128, 64, 128), (0, 0, 255), (255, 0, 0), (0, 152, 225)),
    scored=("car", "person"),
    void=((0, 0, 0),),
)
ENCODING: Final = encoding_of(CLASSES)
ROUTES: Final = ("Tokyo1", "Saitama")
TIMES: Final = ("day", "night")
VOID: Final = 255
_UNCLOSED_TAGS: Final = {"meta", "img"}


def draw_mask(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Draw class indices: sky over road, one car, one person, a void corner."""
    mask_HW = np.zeros((height, width), np.uint8)
    mask_HW[: height // 3] = 3
    for index, box_height, box_width in ((1, height // 3, width // 3), (2, height // 3, width // 6)):
        top = int(random.integers(height // 3, height - box_height))
        left = int(random.integers(width - box_width))
        mask_HW[top : top + box_height, left : left + box_width] = index
    mask_HW[-4:, :4] = VOID
    return mask_HW


def paint(mask_HW: np.ndarray) -> np.ndarray:
    """Return the colours of class indices; void is black."""
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(CLASSES)] = CLASSES.colours
    return colours[mask_HW]


def save_case(
    folder: Path,
    name: str,
    *,
    size: tuple[int, int] = (64, 96),
    route: str = "Tokyo1",
    timeofday: str = "day",
    frame: int = 0,
    seed: int = 0,
) -> None:
    """Write image, mask and annotation of one case; the image is the mask's colours with noise."""
    random = np.random.default_rng(seed)
    mask_HW3 = paint(draw_mask(random, *size))
    image_HW3 = np.clip(mask_HW3.astype(int) + random.integers(-20, 21, mask_HW3.shape), 0, 255)
    for part in (IMAGES_FOLDER, ANNOTATIONS_FOLDER):
        (folder / part).mkdir(parents=True, exist_ok=True)
    Image.fromarray(image_HW3.astype(np.uint8)).save(folder / IMAGES_FOLDER / f"{name}.jpg", quality=95)
    Image.fromarray(mask_HW3).save(folder / ANNOTATIONS_FOLDER / f"{name}.png")
    document = {"attributes": {"route": route, "timeofday": timeofday}, "frameIndex": frame}
    (folder / ANNOTATIONS_FOLDER / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")


def save_dataset(folder: Path, sizes: list[tuple[int, int]]) -> Path:
    """Write one case of each size (height, width), spread over two routes and two times of day."""
    for number, size in enumerate(sizes):
        save_case(
            folder,
            f"train_{number:04}",
            size=size,
            route=ROUTES[number % 2],
            timeofday=TIMES[number // 2 % 2],
            frame=10 * number,
            seed=number,
        )
    document = json.dumps(class_table_to_json(CLASSES))
    (folder / "classes.json").write_text(document, encoding="utf-8")
    return folder


def save_pairs(folder: Path, images: Mapping[str, int]) -> Path:
    """Write so many pairs of an image and an index mask into each folder, such as train, below images/ and masks/."""
    for part, count in images.items():
        for kind in ("images", "masks"):
            (folder / kind / part).mkdir(parents=True)
        for number in range(count):
            random = np.random.default_rng([len(part), number])
            mask_HW = draw_mask(random, 64, 96)
            image_HW3 = np.clip(paint(mask_HW).astype(int) + random.integers(-20, 21, (64, 96, 3)), 0, 255)
            Image.fromarray(image_HW3.astype(np.uint8)).save(folder / "images" / part / f"{part}_{number}.jpg")
            Image.fromarray(mask_HW).save(folder / "masks" / part / f"{part}_{number}.png")
    (folder / "names.txt").write_text("\n".join(CLASSES.names), encoding="utf-8")
    return folder


def add_pairs(folder: Path, count: int = 4) -> Path:
    """Write images and masks of the numbers 0 and 1 into images/ and masks/ of a folder."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        random = np.random.default_rng(number)
        mask_HW = np.zeros((32, 48), np.uint8)
        mask_HW[16:] = 1
        image_HW3 = random.integers(0, 256, (32, 48, 3), np.uint8)
        Image.fromarray(image_HW3).save(folder / "images" / f"pair_{number}.png")
        Image.fromarray(mask_HW).save(folder / "masks" / f"pair_{number}.png")
    return folder


class _PageReader(HTMLParser):
    """Collects texts, and fails where an element is closed that is not the open one."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        if tag not in _UNCLOSED_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # HTML closes nothing here but what is drawn: <rect/>.
        assert "svg" in self.open, f"<{tag}/> outside a drawing"

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.texts.append(data)


def pytest_configure(config: pytest.Config) -> None:
    # In a shell's background tests, and all that they start, would ignore what a keyboard's quit sends.
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    # What pytest-xdist starts shares the servers of the process that started it.
    if not hasattr(config, "workerinput"):
        config.add_cleanup(start_servers().close)


@pytest.fixture(scope="session")
def classes() -> ClassTable:
    return CLASSES


@pytest.fixture(scope="session")
def dataset_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve cases of 64x96 (height x width); shared, so do not change it."""
    return save_dataset(tmp_path_factory.mktemp("streets"), [(64, 96)] * 12)


@pytest.fixture(scope="session")
def divided_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of 64x96 (height x width) with an official split, 8 train and 4 val; shared, so do not change it."""
    return save_pairs(tmp_path_factory.mktemp("divided"), {"train": 8, "val": 4})


@pytest.fixture(scope="session")
def cache(dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> PixelCache:
    """The prepared cache of `dataset_folder`; shared, so do not change it."""
    return PixelCache(prepare_cache(read_dataset(dataset_folder), tmp_path_factory.mktemp("cache")))


@pytest.fixture
def make_dataset(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes an own data set, one case per size, for tests that break it."""

    def make(*sizes: tuple[int, int], name: str = "data") -> Path:
        return save_dataset(tmp_path / name, list(sizes or [(32, 48)] * 4))

    return make


@pytest.fixture
def two_layouts(make_dataset: Callable[..., Path]) -> Path:
    """Four cases in the contest's layout, train_0000 to train_0003, and four pairs, pair_0 to pair_3, in one folder.

    The table names the numbers of the pairs too, 0 road and 1 car.
    """
    return add_pairs(make_dataset())


@pytest.fixture(scope="session")
def empty_database() -> Path:
    """MLflow's tables, made once for all processes that run the tests: making them takes seconds. Copy it."""
    from mlflow import MlflowClient

    file = Path(os.environ[SHARED]) / "mlflow.db"
    with FileLock(f"{file}.lock"):
        if not file.exists():
            MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Address of a server that speaks S3, which this process and those that it starts take for Amazon's."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "tester")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def make_bucket(s3_server: str) -> Callable[..., str]:
    """Return a function that makes an empty bucket of its own, or one of a given name, and returns s3://NAME."""
    numbers = itertools.count()

    def make(name: str = "") -> str:
        name = name or f"bucket-{next(numbers)}"
        urllib.request.urlopen(urllib.request.Request(f"{s3_server}/{name}", method="PUT")).close()
        return f"s3://{name}"

    return make


@pytest.fixture(scope="session")
def make_config() -> Callable[..., TrainConfig]:
    """Return a function that builds a configuration of a small and fast network, with the given changes."""

    def make(**values: object) -> TrainConfig:
        small = {"backbone": "test_efficientnet", "weights": "none", "decoder_channels": 16}
        return TrainConfig.from_values({**small, **values})

    return make


@pytest.fixture(scope="session")
def read_page() -> Callable[[str], str]:
    """Return a function that checks that a page is well formed and fetches nothing, and returns its text."""

    def read(page: str) -> str:
        reader = _PageReader()
        # An option is in an element of its own, and stands in its sentence all the same.
        reader.feed(re.sub(r'<span class="option">([\w-]+)</span>', r"\1", page))
        reader.close()
        assert reader.open == []
        # A link fetches nothing until somebody follows it.
        unlinked = re.sub(r'<a href="https?://[^"]*"', "<a", page)
        assert re.findall(r"\b\w+://[^\s\"']*", unlinked) == []
        assert re.findall(r"(?:src|href)=\"(?!data:image/|#)[^\"]*", unlinked) == []
        return re.sub(r"\s+", " ", " ".join(reader.texts))

    return read
