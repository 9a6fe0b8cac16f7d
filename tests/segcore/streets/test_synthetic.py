import json
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segcore.data.classes import CONTEST_CLASSES, VOID
from segcore.data.encoding import encoding_of
from segcore.errors import ConfigError, StorageError
from segcore.streets import synthetic
from segcore.streets.canvas import LIGHTS, Canvas, View
from segcore.streets.routes import Moment
from segcore.streets.shapes import facing
from segcore.streets.synthetic import write_streets
from segcore.streets.world import draw_moment

CASES, HEIGHT, WIDTH = 20, 96, 144


@pytest.fixture(scope="module")
def streets(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("streets")
    write_streets(folder, cases=CASES, height=HEIGHT, width=WIDTH, test_cases=2)
    return folder


def read_pixels(file: Path) -> np.ndarray:
    with Image.open(file) as picture:
        return np.array(picture)


def read_truths(folder: Path) -> list[np.ndarray]:
    files = sorted((folder / "seg_train_annotations").glob("*.png"))
    return [encoding_of(CONTEST_CLASSES).decode_pixels(read_pixels(file)) for file in files]


def read_tags(folder: Path) -> dict[str, dict]:
    files = sorted((folder / "seg_train_annotations").glob("*.json"))
    return {file.stem: json.loads(file.read_text()) for file in files}


def read_bytes(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.*")}


def test_the_folders_have_the_contests_layout(streets: Path):
    names = [f"train_{number:04d}" for number in range(CASES)]
    expected = {f"seg_train_images/{name}.jpg" for name in names}
    expected |= {f"seg_train_annotations/{name}.{kind}" for name in names for kind in ("png", "json")}
    expected |= {"seg_test_images/test_0000.jpg", "seg_test_images/test_0001.jpg"}
    assert set(read_bytes(streets)) == expected


def test_pictures_and_truths_have_the_asked_size(streets: Path):
    for file in [*streets.rglob("*.jpg"), *streets.rglob("*.png")]:
        assert read_pixels(file).shape == (HEIGHT, WIDTH, 3)


def test_every_pixel_of_the_truth_is_a_class_of_the_contest(streets: Path):
    assert all((truth_HW != VOID).all() for truth_HW in read_truths(streets))


def test_the_json_tells_route_time_of_day_and_frame(streets: Path):
    for tags in read_tags(streets).values():
        assert set(tags) == {"attributes", "frameIndex"}
        assert tags["attributes"]["route"] in {"Tokyo1", "Tokyo2", "Saitama"}
        assert tags["attributes"]["timeofday"] in {"morning", "day", "night"}
        assert isinstance(tags["frameIndex"], int)


def test_a_small_demo_already_has_three_unequal_routes(streets: Path):
    frames = Counter(tags["attributes"]["route"] for tags in read_tags(streets).values())
    assert set(frames) == {"Tokyo1", "Tokyo2", "Saitama"}
    assert len(set(frames.values())) > 1


def test_the_scored_classes_are_in_most_pictures_and_more_than_specks(streets: Path):
    truths = read_truths(streets)
    for name, index in zip(CONTEST_CLASSES.scored, CONTEST_CLASSES.scored_indices, strict=True):
        pixels_N = np.array([np.count_nonzero(truth_HW == index) for truth_HW in truths])
        assert (pixels_N > 0).mean() > 0.8, name
        assert np.median(pixels_N) > 40, name


def test_neighbouring_frames_of_a_drive_are_more_alike_than_others(streets: Path):
    drives = defaultdict(list)
    for (name, tags), truth_HW in zip(read_tags(streets).items(), read_truths(streets), strict=True):
        drives[tags["attributes"]["route"]].append((tags["frameIndex"], name, truth_HW))
    near, firsts = [], []
    for frames in drives.values():
        ordered = [truth_HW for _, _, truth_HW in sorted(frames, key=lambda frame: frame[0])]
        firsts.append(ordered[0])
        near += [(one == other).mean() for one, other in pairwise(ordered)]
    far = [(firsts[0] == other_HW).mean() for other_HW in firsts[1:]]
    assert np.median(near) > np.max(far) + 0.05


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path: Path):
    for name, seed in (("first", 3), ("again", 3), ("other", 4)):
        write_streets(tmp_path / name, cases=2, height=64, width=96, seed=seed, test_cases=1)
    first, again, other = (read_bytes(tmp_path / name) for name in ("first", "again", "other"))
    assert first == again
    assert all(first[name] != other[name] for name in first if name.endswith(".jpg"))


def test_night_is_darker_than_day():
    means = {}
    for time in LIGHTS:
        moment = Moment(route="Tokyo1", timeofday=time, frame_index=500, drive=0, seed=0)
        image_HW3, _ = draw_moment(moment, height=64, width=96)
        means[time] = image_HW3.mean()
    assert means["night"] < 0.6 * means["day"]


def test_the_first_frame_of_a_route_can_be_drawn():
    moment = Moment(route="Saitama", timeofday="day", frame_index=0, drive=0, seed=0)
    image_HW3, truth_HW = draw_moment(moment, height=64, width=64)
    assert image_HW3.shape == (64, 64, 3)
    assert truth_HW.shape == (64, 64)


def test_tall_picture_has_the_street_down_to_its_last_row():
    moment = Moment(route="Tokyo1", timeofday="day", frame_index=500, drive=0, seed=0)
    _, truth_HW = draw_moment(moment, height=256, width=64)
    # The horizon is never below 46 % of the height.
    assert CONTEST_CLASSES.names.index("sky") not in truth_HW[128:]


def test_truth_and_picture_agree_on_the_edges_of_a_shape():
    canvas = Canvas(View(height=100, width=100, x_m=0.0), LIGHTS["day"])
    canvas.paint_sky(np.zeros((4, 4, 3), np.uint8))
    # Focal length 85 pixels, 8.5 m ahead: 10 pixels per metre; the horizon is row 44, the camera 1.4 m up.
    canvas.fill((255, 255, 255), "car", facing(-2.0, 1.0, 0.4, 2.4, 8.5))
    rows, columns = np.nonzero(canvas.truth() == 0)
    assert (rows.min(), rows.max()) == (34, 53)
    assert (columns.min(), columns.max()) == (30, 59)
    bright_HW = canvas.render(np.random.default_rng(0)).mean(axis=2) > 110
    assert (bright_HW == (canvas.truth() == 0)).mean() > 0.99


@pytest.mark.parametrize(
    ("name", "value"), [("cases", 0), ("height", 63), ("width", 63), ("seed", -1), ("test_cases", -1)]
)
def test_numbers_outside_their_range_are_refused(name, value, tmp_path: Path):
    with pytest.raises(ConfigError, match=f"{name} is {value}; it must be at least"):
        write_streets(tmp_path / "demo", **{name: value})
    assert not (tmp_path / "demo").exists()


def test_folder_that_holds_something_is_refused_and_stays_as_it_is(tmp_path: Path):
    # As the contest's own pictures are called.
    picture = tmp_path / "seg_train_images" / "train_0001.jpg"
    picture.parent.mkdir()
    picture.write_bytes(b"the contest's")
    with pytest.raises(StorageError, match="holds something already; give a new or empty folder"):
        write_streets(tmp_path, cases=2, height=64, width=64, test_cases=0)
    assert read_bytes(tmp_path) == {"seg_train_images/train_0001.jpg": b"the contest's"}


def test_one_case_without_test_pictures_is_enough(tmp_path: Path):
    write_streets(tmp_path, cases=1, height=64, width=64, test_cases=0)
    assert len(read_bytes(tmp_path)) == 3


def test_pictures_without_truth_are_none_of_the_labelled_however_many(tmp_path, monkeypatch):
    """Of 9000 labelled ones there are 1125 drives."""
    labelled, others = [], []
    nothing = np.zeros((64, 64, 3), np.uint8)
    monkeypatch.setattr(synthetic, "_write_case", lambda folders, name, moment, **size: labelled.append(moment))
    monkeypatch.setattr(synthetic, "draw_moment", lambda moment, **size: (others.append(moment) or nothing, nothing))
    write_streets(tmp_path / "streets", cases=9000, test_cases=8)
    assert (len(set(labelled)), len(set(others))) == (9000, 8)
    assert not set(labelled) & set(others)
