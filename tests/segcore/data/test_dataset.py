import json
import os
import unicodedata

import numpy as np
import pytest
from PIL import Image

from segcore.data.classes import CONTEST_CLASSES
from segcore.data.dataset import decode_case, find_pixel_problems, read_dataset, scan_dataset
from segcore.data.decoding import read_size
from segcore.data.listing import list_images
from segcore.data.sources.contest import ANNOTATIONS_FOLDER, IMAGES_FOLDER
from segcore.errors import DataError


def _image(folder, name):
    return folder / IMAGES_FOLDER / name


def _annotation(folder, name):
    return folder / ANNOTATIONS_FOLDER / name


def _problems(folder):
    with pytest.raises(DataError) as caught:
        read_dataset(folder)
    return caught.value.problems


def _decode_problems(folder):
    dataset = read_dataset(folder)
    return [line for _, line in find_pixel_problems(dataset)]


def test_whole_folder_is_read_sorted_with_its_annotations(dataset_folder, classes):
    dataset = read_dataset(dataset_folder)
    assert dataset.classes == classes
    assert [case.name for case in dataset.cases] == [f"train_{number:04}" for number in range(12)]
    # Case 3: route 3 % 2 = 1, time 3 // 2 % 2 = 1, frame 3 * 10.
    assert (dataset.cases[3].group, dataset.cases[3].condition, dataset.cases[3].frame) == ("Saitama", "night", 30)
    assert _decode_problems(dataset_folder) == []


@pytest.mark.parametrize("create", [False, True])
def test_folder_that_is_no_data_set_is_said(tmp_path, create):
    folder = tmp_path / "data"
    if create:
        folder.mkdir()
    with pytest.raises(DataError, match="data is no data set"):
        read_dataset(folder)


def test_folder_without_annotations_is_said(make_dataset):
    folder = make_dataset()
    for file in (folder / ANNOTATIONS_FOLDER).iterdir():
        file.unlink()
    (folder / ANNOTATIONS_FOLDER).rmdir()
    # One problem, not two for every image.
    (problem,) = _problems(folder)
    assert problem.startswith(f"{ANNOTATIONS_FOLDER}/ is missing")


def test_folder_without_images_is_said(make_dataset):
    folder = make_dataset()
    for file in (folder / IMAGES_FOLDER).iterdir():
        file.unlink()
    assert any(line.startswith(f"{IMAGES_FOLDER}/ has no image") for line in _problems(folder))


def test_missing_mask_is_named(make_dataset):
    folder = make_dataset()
    _annotation(folder, "train_0001.png").unlink()
    assert _problems(folder) == (f"train_0001.png: missing in {ANNOTATIONS_FOLDER}/; add it, or take the image away",)


def test_missing_annotation_is_named(make_dataset):
    folder = make_dataset()
    _annotation(folder, "train_0001.json").unlink()
    (problem,) = _problems(folder)
    assert problem.startswith(f'train_0001.json: missing in {ANNOTATIONS_FOLDER}/; write {{"attributes": {{"route": ')


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"attributes": {"route": "a"}, "frameIndex": 1}, "train_0000.json: 'timeofday' is missing"),
        ({"attributes": {"timeofday": "day"}, "frameIndex": 1}, "train_0000.json: 'route' is missing"),
        ({"attributes": {"route": "a", "timeofday": "day"}}, "train_0000.json: 'frameIndex' is missing"),
        ({"frameIndex": 1}, "train_0000.json: 'attributes' is missing"),
        (
            {"attributes": {"route": "\x1b[2J", "timeofday": "day"}, "frameIndex": 1},
            r"train_0000.json: cannot be read (route '\x1b[2J' holds a control character; take it out)",
        ),
        (
            {"attributes": {"route": "a", "timeofday": "\ud800"}, "frameIndex": 1},
            r"train_0000.json: cannot be read (timeofday '\ud800' holds a control character; take it out)",
        ),
        (
            {"attributes": {"route": "a", "timeofday": "day"}, "frameIndex": 1.9},
            "train_0000.json: cannot be read (frameIndex is 1.9, not a whole number)",
        ),
        (
            {"attributes": {"route": "a", "timeofday": "day"}, "frameIndex": True},
            "train_0000.json: cannot be read (frameIndex is True, not a whole number)",
        ),
        (
            {"attributes": {"route": None, "timeofday": "day"}, "frameIndex": 1},
            "train_0000.json: cannot be read (route is None, not a text)",
        ),
    ],
)
def test_incomplete_annotation_is_named_with_what_it_lacks(make_dataset, content, complaint):
    folder = make_dataset()
    _annotation(folder, "train_0000.json").write_text(json.dumps(content))
    (problem,) = _problems(folder)
    assert problem.split("; its form is {")[0] == complaint


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"attributes": 3, "frameIndex": 1}',
        '{"attributes": {"route": "a", "timeofday": "b"}, "frameIndex": "x"}',
        '{"attributes": {"route": "a", "timeofday": "b", "pseudo": "no"}, "frameIndex": 1}',
        '{"attributes": {"route": "a", "timeofday": "b"}, "frameIndex": null}',
        '{"attributes": {"route": "a", "timeofday": "b"}, "frameIndex": 1e999}',
        '{"attributes": {"route": "a", "route": "c", "timeofday": "b"}, "frameIndex": 1}',
        '{"attributes": ' + "[" * 100_000,
    ],
)
def test_annotation_of_another_form_is_named(make_dataset, content):
    folder = make_dataset()
    _annotation(folder, "train_0002.json").write_text(content)
    (problem,) = _problems(folder)
    assert problem.startswith("train_0002.json: cannot be read (")


def test_two_images_of_one_name_are_refused(make_dataset):
    folder = make_dataset()
    Image.open(_image(folder, "train_0001.jpg")).save(_image(folder, "train_0001.png"))
    assert _problems(folder) == ("train_0001.jpg: same name as train_0001.png; rename or remove one",)


def test_mask_without_an_image_is_named(make_dataset):
    folder = make_dataset()
    _image(folder, "train_0003.jpg").unlink()
    assert _problems(folder) == (
        f"train_0003.png: a mask without an image of that name in {IMAGES_FOLDER}/; take it away",
    )


def test_broken_pixels_are_reported_together_with_what_else_is_wrong(make_dataset):
    folder = make_dataset()
    _annotation(folder, "train_0001.png").unlink()
    _image(folder, "train_0002.jpg").write_bytes(b"no image")
    first, second = _problems(folder)
    assert first.startswith("train_0001.png: missing")
    assert second.startswith("train_0002.jpg: cannot be decoded")


def test_image_cut_short_is_refused_instead_of_filled_with_grey(make_dataset):
    folder = make_dataset()
    file = _image(folder, "train_0001.jpg")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) * 2 // 3])
    (problem,) = _decode_problems(folder)
    assert problem.startswith("train_0001.jpg: cannot be decoded")


def test_file_that_is_no_image_is_refused_without_an_address_in_memory(make_dataset):
    folder = make_dataset()
    _image(folder, "train_0001.jpg").write_bytes(b"\x00" * 100)
    (problem,) = _decode_problems(folder)
    assert problem.startswith("train_0001.jpg: cannot be decoded")
    assert "BytesIO" not in problem


def test_mask_cut_short_is_refused(make_dataset):
    folder = make_dataset()
    file = _annotation(folder, "train_0001.png")
    file.write_bytes(file.read_bytes()[:60])
    (problem,) = _decode_problems(folder)
    assert problem.startswith("train_0001.png: cannot be decoded")


def test_mask_of_another_size_is_named_with_both_sizes(make_dataset):
    folder = make_dataset((32, 48), (32, 48))
    mask = Image.open(_annotation(folder, "train_0001.png"))
    mask.resize((24, 16), Image.Resampling.NEAREST).save(_annotation(folder, "train_0001.png"))
    assert _decode_problems(folder) == [
        "train_0001.png: 24x16 pixels, but train_0001.jpg has 48x32; save the mask at the image's size, resized by its "
        "nearest pixels"
    ]


def test_unknown_colours_are_named_with_their_pixels(make_dataset):
    folder = make_dataset()
    file = _annotation(folder, "train_0001.png")
    mask_HW3 = np.array(Image.open(file))
    mask_HW3[0, :5] = (9, 8, 7)
    Image.fromarray(mask_HW3).save(file)
    assert _decode_problems(folder) == ["train_0001.png: unknown colour (9, 8, 7): 5 pixels; make it a class, or void"]


@pytest.mark.parametrize("mode", ["P", "RGBA"])
def test_mask_of_another_colour_mode_reads_like_rgb(make_dataset, mode):
    folder = make_dataset()
    before = decode_case(_first(folder)).mask_HW
    file = _annotation(folder, "train_0000.png")
    rgb = Image.open(file)
    # ADAPTIVE keeps colours exact: the mask has five of them.
    changed = rgb.convert("P", palette=Image.Palette.ADAPTIVE) if mode == "P" else rgb.convert("RGBA")
    changed.save(file)
    assert Image.open(file).mode == mode
    np.testing.assert_array_equal(decode_case(_first(folder)).mask_HW, before)


def test_decoded_case_has_the_files_pixels(make_dataset, classes):
    case = _first(make_dataset())
    decoded = decode_case(case)
    np.testing.assert_array_equal(decoded.image_HW3, np.array(Image.open(case.image)))
    mask_HW3 = np.array(Image.open(case.mask))
    for index, colour in enumerate(classes.colours):
        np.testing.assert_array_equal(decoded.mask_HW == index, (mask_HW3 == colour).all(axis=2))
    assert (decoded.mask_HW == 255).sum() == 16  # the void corner of 4 x 4 pixels


def test_size_is_height_and_width(make_dataset):
    assert read_size(_image(make_dataset((32, 48)), "train_0000.jpg")) == (32, 48)


def test_scan_gives_usable_cases_beside_problems(make_dataset):
    folder = make_dataset()
    _annotation(folder, "train_0001.json").unlink()
    dataset, problems = scan_dataset(folder)
    assert [case.name for case in dataset.cases] == ["train_0000", "train_0002", "train_0003"]
    assert [problem.split(" in ")[0] for problem in problems] == ["train_0001.json: missing"]


@pytest.fixture
def closed(tmp_path):
    """A folder that this process may not list."""
    folder = tmp_path / "closed"
    (folder / "seg_train_images").mkdir(parents=True)
    folder.chmod(0)
    root = os.geteuid() == 0
    if root:
        # Nothing is closed to root.
        os.seteuid(65534)
    yield folder
    if root:
        os.seteuid(0)
    folder.chmod(0o700)


@pytest.mark.parametrize("read", [list_images, scan_dataset])
def test_folder_that_may_not_be_read_is_said(closed, read):
    with pytest.raises(DataError, match=r"cannot be read .*give yourself the right to read it"):
        read(closed)


def _first(folder):
    dataset = read_dataset(folder)
    return dataset.cases[0]


def test_image_whose_name_holds_an_escape_is_named_and_never_shown_raw(make_dataset):
    folder = make_dataset((32, 48))
    (folder / IMAGES_FOLDER / "\x1b[2Ja.jpg").write_bytes(b"")
    _, problems = scan_dataset(folder)
    assert problems == [r"'\x1b[2Ja.jpg': the name holds a control character; rename the file"]


def test_mask_whose_content_is_jpeg_is_named_as_such(make_dataset):
    folder = make_dataset((32, 48))
    file = _annotation(folder, "train_0000.png")
    Image.open(file).save(file, format="JPEG")
    problems = _decode_problems(folder)
    assert problems[-1].startswith("train_0000.png: its content is JPEG, or compressed like it, which changes")
    assert len(problems) == 2 and "soft borders" in problems[0]


def test_image_of_a_camera_on_its_side_belongs_to_an_upright_mask(make_dataset):
    folder = make_dataset((32, 48))
    upright_HW3 = decode_case(_first(folder)).image_HW3
    exif = Image.Exif()
    exif[0x0112] = 6
    # 6 tells a viewer to turn the picture clockwise: stored, it lies turned the other way.
    lying = Image.fromarray(np.ascontiguousarray(np.rot90(upright_HW3)))
    lying.save(_image(folder, "train_0000.jpg"), exif=exif, quality=100, subsampling=0)
    decoded = decode_case(_first(folder))
    assert decoded.image_HW3.shape[:2] == decoded.mask_HW.shape == (32, 48)
    assert np.abs(decoded.image_HW3.astype(int) - upright_HW3).mean() < 2


def test_masks_and_annotations_of_upper_case_suffixes_are_found(make_dataset):
    folder = make_dataset((32, 48), (32, 48))
    _annotation(folder, "train_0000.png").rename(_annotation(folder, "train_0000.PNG"))
    _annotation(folder, "train_0001.json").rename(_annotation(folder, "train_0001.JSON"))
    assert len(read_dataset(folder).cases) == 2
    assert _decode_problems(folder) == []


@pytest.mark.parametrize("suffix", ["tif", "bmp", "webp"])
def test_images_and_masks_of_other_suffixes_are_read(make_dataset, suffix):
    folder = make_dataset((32, 48))
    before = decode_case(_first(folder))
    for file in (_image(folder, "train_0000.jpg"), _annotation(folder, "train_0000.png")):
        Image.open(file).save(file.with_suffix(f".{suffix}"), lossless=True)
        file.unlink()
    decoded = decode_case(_first(folder))
    np.testing.assert_array_equal(decoded.image_HW3, before.image_HW3)
    np.testing.assert_array_equal(decoded.mask_HW, before.mask_HW)


def test_mask_of_an_image_that_is_no_regular_file_is_named_and_no_orphan(make_dataset):
    folder = make_dataset((32, 48), (32, 48), (32, 48))
    for number, make in enumerate((os.mkfifo, lambda file: file.symlink_to("/dev/zero"), lambda file: file.mkdir())):
        _image(folder, f"train_000{number}.jpg").unlink()
        make(_image(folder, f"train_000{number}.jpg"))
    assert _problems(folder) == tuple(
        f"train_000{number}.jpg: is no regular file; put a copy in its place" for number in range(3)
    )


def test_annotation_that_is_a_pipe_is_named(make_dataset):
    folder = make_dataset((32, 48))
    for name in ("train_0000.json", "train_0000.png"):
        _annotation(folder, name).unlink()
        os.mkfifo(_annotation(folder, name))
    _, problems = scan_dataset(folder)
    assert sorted(problems) == [
        f"train_0000.{suffix}: is no regular file; put a copy in its place" for suffix in ("json", "png")
    ]


def test_ghosts_of_a_mac_are_no_cases_and_no_masks(make_dataset):
    folder = make_dataset((32, 48))
    for file in (_image(folder, "._train_0000.jpg"), _annotation(folder, "._train_0000.png")):
        file.write_bytes(b"Mac OS X")
    assert [case.name for case in read_dataset(folder).cases] == ["train_0000"]


def test_annotation_with_a_byte_order_mark_is_read(make_dataset):
    folder = make_dataset((32, 48))
    file = _annotation(folder, "train_0000.json")
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert read_dataset(folder).cases[0].group == "Tokyo1"


def test_names_of_a_mac_and_of_other_systems_match(make_dataset):
    folder = make_dataset((32, 48))
    composed, divided = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))
    _image(folder, "train_0000.jpg").rename(_image(folder, f"{divided}.jpg"))
    for suffix in ("png", "json"):
        _annotation(folder, f"train_0000.{suffix}").rename(_annotation(folder, f"{composed}.{suffix}"))
    assert [case.name for case in read_dataset(folder).cases] == [composed]


def test_mask_drawn_on_a_picture_on_its_side_is_named_with_what_to_do(make_dataset):
    folder = make_dataset((32, 48))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(_image(folder, "train_0000.jpg")).save(_image(folder, "train_0000.jpg"), exif=exif)
    assert _decode_problems(folder) == [
        "train_0000.png: 48x32 pixels, but train_0000.jpg has 32x48; images are turned upright by their EXIF "
        "orientation: turn the mask too"
    ]


def test_images_in_folders_below_are_left_out_and_said(make_dataset):
    folder = make_dataset()
    _image(folder, "more").mkdir()
    _image(folder, "train_0001.jpg").rename(_image(folder, "more") / "x.jpg")
    _annotation(folder, "train_0001.png").unlink()
    dataset, problems = scan_dataset(folder)
    assert problems == []
    assert dataset.notes == ("left out: 1 image in folders below seg_train_images/",)


def test_contest_folder_without_a_table_has_the_contests_classes_and_says_so(make_dataset):
    folder = make_dataset()
    (folder / "classes.json").unlink()
    dataset, _ = scan_dataset(folder)
    assert dataset.classes is CONTEST_CLASSES
    (note,) = dataset.notes
    assert note.startswith("classes: the contest's 20, for there is no classes.json; if the masks have others, 'python")
