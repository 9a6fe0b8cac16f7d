"""A COCO file becomes a data set of index masks, or nothing is written."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from segcore.data.coco import conversion
from segcore.data.coco.conversion import CocoReport, import_coco
from segcore.data.dataset import decode_case, read_dataset
from segcore.errors import DataError, StorageError

VOID = 255
SQUARE = [[0, 0, 4, 0, 4, 4, 0, 4]]
CORNER = [[2, 2, 4, 2, 4, 4, 2, 4]]


def outline(category: int, segmentation: Any, image: int = 1, crowd: int = 0) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "segmentation": segmentation, "iscrowd": crowd, "id": 7}


def save(folder: Path, *annotations: dict[str, Any], **changes: Any) -> Path:
    content = {
        "images": [{"id": 1, "file_name": "day/a.jpg", "height": 4, "width": 4}],
        "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}],
        "annotations": annotations,
        **changes,
    }
    for image in content["images"]:
        if isinstance(image, dict) and not image["file_name"].startswith(("/", ".")):
            file = folder / "in" / image["file_name"]
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4)).save(file)
    (folder / "coco.json").write_text(json.dumps(content), encoding="utf-8")
    return folder / "coco.json"


def take_in(folder: Path, crowd: Any = "void") -> CocoReport:
    return import_coco(folder / "coco.json", folder / "in", folder / "out", crowd, lambda done, total: None)


def refuse(folder: Path) -> str:
    with pytest.raises(DataError) as refused:
        take_in(folder)
    assert not (folder / "out").exists() and list(folder.glob("out.*")) == []
    return str(refused.value)


def decode(folder: Path) -> list[list[int]]:
    dataset = read_dataset(folder / "out")
    return decode_case(dataset.cases[0]).mask_HW.tolist()


def test_categories_are_classes_in_the_order_of_their_ids_after_the_background(tmp_path):
    save(tmp_path, outline(18, CORNER))
    report = take_in(tmp_path)
    assert decode(tmp_path) == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 2, 2], [0, 0, 2, 2]]
    dataset = read_dataset(tmp_path / "out")
    assert dataset.layout == "described" and dataset.classes.names == ("background", "car", "dog")
    assert dataset.classes.scored == ("car", "dog")
    assert [(case.name, case.group) for case in dataset.cases] == [("a", "day")]
    assert report.objects == {"background": 0, "car": 0, "dog": 1}


@pytest.mark.parametrize("turn", [1, -1])
def test_of_objects_that_overlap_the_smaller_is_on_top_whatever_their_order(tmp_path, turn):
    save(tmp_path, *[outline(3, SQUARE), outline(18, CORNER)][::turn])
    report = take_in(tmp_path)
    assert decode(tmp_path) == [[1] * 4, [1] * 4, [1, 1, 2, 2], [1, 1, 2, 2]]
    assert (report.overlapping, report.vanished) == (4, 0)


def test_an_object_under_another_is_counted_as_vanished(tmp_path):
    save(tmp_path, outline(3, CORNER), outline(18, CORNER), outline(18, [[0.6, 0.6, 0.9, 0.6, 0.9, 0.9]]))
    assert take_in(tmp_path).vanished == 2


@pytest.mark.parametrize(("crowd", "number"), [("void", VOID), ("class", 1)])
def test_crowds_lie_below_all_objects(tmp_path, crowd, number):
    runs = {"counts": [8, 8], "size": [4, 4]}
    save(tmp_path, outline(18, SQUARE), outline(3, runs, crowd=1))
    assert take_in(tmp_path, crowd).crowds == 1
    assert decode(tmp_path) == [[2] * 4] * 4
    (tmp_path / "more").mkdir()
    save(tmp_path / "more", outline(18, [[0, 0, 1, 0, 1, 4, 0, 4]]), outline(3, runs, crowd=1))
    take_in(tmp_path / "more", crowd)
    assert decode(tmp_path / "more") == [[2, 0, number, number]] * 4


def test_runs_as_texts_are_read(tmp_path):
    # 0, 16: all of it; 16 = (16 | 32) + 48 = `, then 0.
    save(tmp_path, outline(3, {"counts": "0`0", "size": [4, 4]}))
    take_in(tmp_path)
    assert decode(tmp_path) == [[1] * 4] * 4


def test_runs_in_a_list_are_one_object_with_its_polygons(tmp_path):
    # Column by column: 2 outside, 2 inside, 12 outside; and 14 outside, 2 inside.
    first, last = {"counts": [2, 2, 12], "size": [4, 4]}, {"counts": [14, 2], "size": [4, 4]}
    save(tmp_path, outline(3, [first, last, [0, 0, 4, 0, 4, 1, 0, 1]]), outline(18, [first]))
    assert take_in(tmp_path).objects == {"background": 0, "car": 1, "dog": 1}
    assert decode(tmp_path) == [[1] * 4, [0] * 4, [2, 0, 0, 1], [2, 0, 0, 1]]


@pytest.mark.parametrize("said", [None, False])
def test_an_object_of_which_nobody_says_that_it_is_a_crowd_is_none(tmp_path, said):
    save(tmp_path, {**outline(3, SQUARE), "iscrowd": said})
    assert take_in(tmp_path).crowds == 0
    assert decode(tmp_path) == [[1] * 4] * 4


def test_a_polygon_may_stand_alone_and_what_was_deleted_is_nothing(tmp_path):
    deleted = {**outline(18, []), "area": 0, "iscrowd": True}
    save(tmp_path, outline(3, SQUARE[0]), deleted)
    assert take_in(tmp_path).vanished == 1
    assert decode(tmp_path) == [[1] * 4] * 4


def test_names_that_look_alike_are_refused_before_anything_is_written(tmp_path):
    save(tmp_path, outline(3, SQUARE), categories=[{"id": 3, "name": "car"}, {"id": 4, "name": "car "}])
    assert "categories: 'car' and 'car ' look alike; rename one" in refuse(tmp_path)


def test_ids_may_be_texts(tmp_path):
    dog, car = "f81d4fae-7dec", "07a1"
    save(
        tmp_path,
        {**outline(0, SQUARE), "image_id": 5, "category_id": dog, "id": "x"},
        {**outline(0, CORNER), "image_id": "5", "category_id": car},
        images=[{"id": "5", "file_name": "a.jpg"}],
        categories=[{"id": dog, "name": "dog"}, {"id": car, "name": "car"}, {"id": 9, "name": "sky"}],
    )
    assert take_in(tmp_path).names == {0: "background", 1: "sky", 2: "dog", 3: "car"}
    assert decode(tmp_path) == [[2] * 4, [2] * 4, [2, 2, 3, 3], [2, 2, 3, 3]]


def test_a_category_called_background_is_the_background(tmp_path):
    save(
        tmp_path,
        outline(5, CORNER),
        outline(3, SQUARE),
        categories=[{"id": 5, "name": "Background"}, {"id": 3, "name": "car"}],
    )
    take_in(tmp_path)
    assert read_dataset(tmp_path / "out").classes.names == ("background", "car")
    assert decode(tmp_path)[2] == [1, 1, 0, 0]


def test_a_category_that_is_called_void_counts_nowhere(tmp_path):
    categories = [{"id": 1, "name": "Ignore"}, {"id": 2, "name": "_background_"}, {"id": 3, "name": "car"}]
    save(tmp_path, outline(3, SQUARE), outline(1, CORNER), categories=categories)
    report = take_in(tmp_path)
    assert report.names == {0: "background", 1: "car"} and report.void == ("Ignore",)
    assert decode(tmp_path) == [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, VOID, VOID], [1, 1, VOID, VOID]]


def test_an_image_without_objects_is_background(tmp_path):
    save(tmp_path)
    assert take_in(tmp_path).blank == 1
    assert decode(tmp_path) == [[0] * 4] * 4


def test_images_are_linked_where_the_disk_allows_it(tmp_path):
    save(tmp_path, outline(3, SQUARE))
    take_in(tmp_path)
    assert (tmp_path / "out/images/day/a.jpg").samefile(tmp_path / "in/day/a.jpg")


@pytest.mark.parametrize(
    "name", ["/etc/a.jpg", "../a.jpg", "x/../../a.jpg", "C:\\a.jpg", "..\\a.jpg", "http://x.org/a.jpg", "a.txt", ""]
)
def test_a_file_name_that_leaves_the_folder_or_is_no_image_is_refused(tmp_path, name):
    save(tmp_path)
    content = json.loads((tmp_path / "coco.json").read_text(encoding="utf-8"))
    content["images"][0]["file_name"] = name
    (tmp_path / "coco.json").write_text(json.dumps(content), encoding="utf-8")
    assert "image 1: file_name" in refuse(tmp_path)


@pytest.mark.parametrize("name", ["day\\a.jpg", "./day/a.jpg", ".\\day\\a.jpg"])
def test_a_path_may_be_written_as_on_windows_or_from_a_dot(tmp_path, name):
    file = save(tmp_path, outline(18, CORNER))
    file.write_text(file.read_text().replace('"day/a.jpg"', json.dumps(name)))
    take_in(tmp_path)
    assert (tmp_path / "out/images/day/a.jpg").is_file()


@pytest.mark.parametrize(
    "size", [{}, {"height": None, "width": None}, {"height": 0, "width": 0}, {"width": 4}, {"height": -1, "width": -1}]
)
def test_an_image_has_its_own_size_where_the_file_does_not_say_it(tmp_path, size):
    save(tmp_path, outline(18, CORNER), images=[{"id": 1, "file_name": "a.jpg", **size}])
    take_in(tmp_path)
    assert decode(tmp_path) == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 2, 2], [0, 0, 2, 2]]


def test_a_category_without_objects_may_have_the_name_of_another(tmp_path):
    """Roboflow names a project as its only class, and makes a category of both."""
    save(tmp_path, outline(1, CORNER), categories=[{"id": 0, "name": "car"}, {"id": 1, "name": "car"}])
    assert take_in(tmp_path).names == {0: "background", 1: "car"}
    assert decode(tmp_path)[3] == [0, 0, 1, 1]


def test_what_does_not_fit_together_is_told_at_once(tmp_path):
    image = {"id": 1, "file_name": "a.jpg", "height": 4, "width": 4}
    save(
        tmp_path,
        outline(99, SQUARE),
        outline(3, SQUARE, image=5),
        outline(4, SQUARE),
        images=[image, {**image, "file_name": "a.png"}],
        categories=[{"id": 3, "name": "car"}, {"id": 4, "name": "car"}, {"id": 5, "name": "car"}],
    )
    told = refuse(tmp_path)
    for line in (
        "images: two have the id 1",
        "images: two are called 'a' without suffix",
        "categories: two with objects are called 'car'; rename one",
        "annotations: 1 have category_id 99, which nothing has",
        "annotations: 1 have image_id 5, which nothing has",
    ):
        assert line in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "invalid JSON"),
        ("[]", "input should be an object"),
        ('{"images": [], "categories": [], "annotations": [{"segments_info": []}]}', "only those of outlined objects"),
        ('{"images": [{"id": 1}], "annotations": []}', "images[0].file_name is missing"),
        ('{"shapes": [], "imagePath": "a.jpg"}', "it is no COCO file: labelme's labelme2coco makes one"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, text, told):
    (tmp_path / "coco.json").write_text(text, encoding="utf-8")
    assert told in refuse(tmp_path)


def test_images_of_another_size_and_missing_ones_are_told(tmp_path):
    images = [{"id": n, "file_name": f"{n}.png", "height": 4, "width": 4} for n in (1, 2)]
    save(tmp_path, images=images)
    Image.new("RGB", (4, 6)).save(tmp_path / "in/1.png")
    (tmp_path / "in/2.png").unlink()
    told = refuse(tmp_path)
    assert "1.png: has 4x6 pixels, upright, and 4x4 by the file" in told and "2.png: there is none in" in told


def test_outlines_that_cannot_be_drawn_are_told_at_once(tmp_path):
    box = {key: value for key, value in outline(5, []).items() if key != "segmentation"}
    odd = [outline(18, [[1, 2, 3]]), outline(18, {"counts": [3], "size": [4, 4]})]
    categories = [{"id": number, "name": str(number)} for number in (3, 4, 5, 18)]
    save(tmp_path, outline(3, []), outline(4, None), box, *odd, categories=categories)
    told = refuse(tmp_path)
    assert "category 4: it has no outline" in told and "category 5: it has no outline" in told
    assert "annotation 7 of category 3: it has no outline" in told
    assert "a polygon has 3 numbers" in told and "its runs are for 3 pixels" in told


def test_more_categories_than_classes_can_be_are_refused(tmp_path):
    save(tmp_path, categories=[{"id": number, "name": f"c{number}"} for number in range(300)])
    assert "301 classes with background: a data set has 2 to 254" in refuse(tmp_path)


def test_nothing_is_written_into_a_folder_that_holds_something(tmp_path):
    save(tmp_path, outline(3, SQUARE))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").touch()
    with pytest.raises(StorageError, match="holds something already"):
        take_in(tmp_path)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("once", "twice"),
    [
        ('"category_id": 18', '"category_id": 3, "category_id": 18'),
        ('"annotations": [', '"annotations": [], "annotations": ['),
    ],
)
def test_a_key_that_stands_twice_is_refused(tmp_path, once, twice):
    """The objects that stand behind the first would be lost."""
    file = save(tmp_path, outline(18, CORNER))
    file.write_text(file.read_text().replace(once, twice))
    assert f"the key {twice.split(':')[0].replace(chr(34), chr(39))} stands twice in one object" in refuse(tmp_path)


def test_outlines_in_shares_of_the_image_are_refused(tmp_path):
    """The second is as large as the image, and would be one pixel of it."""
    save(tmp_path, outline(18, [[0.1, 0.1, 0.4, 0.1, 0.4, 0.4]]), outline(3, [[0, 0, 1, 0, 1, 1, 0, 1]]))
    assert "no outline leads beyond (1, 1); outlines are in pixels" in refuse(tmp_path)


def test_outlines_all_of_which_lie_outside_are_refused(tmp_path):
    save(tmp_path, outline(18, [[5, 5, 9, 5, 9, 9]]), outline(3, [[-9, -9, -5, -9, -5, -5]]))
    assert "None of the 2 objects has a pixel: all lie outside" in refuse(tmp_path)


def test_of_many_problems_the_first_are_told_and_how_many_more(tmp_path):
    save(tmp_path, *[outline(18, None)] * 300)
    lines = refuse(tmp_path).splitlines()
    assert len(lines) == 52 and lines[-1].endswith("and 250 more")


@pytest.mark.parametrize("name", ["._a.jpg", ".day/a.jpg"])
def test_an_image_that_no_listing_shows_is_refused(tmp_path, name):
    save(tmp_path, images=[{"id": 1, "file_name": name, "height": 4, "width": 4}])
    assert "begins with a dot" in refuse(tmp_path)


def test_large_images_are_drawn_one_at_a_time(tmp_path, monkeypatch):
    """An image of 16 megapixels takes 200 MB while it is drawn, and a machine has as many threads as cores."""
    names = [f"{name}.png" for name in "ab"]
    images = [{"id": place, "file_name": name} for place, name in enumerate(names)]
    save(tmp_path, outline(3, SQUARE, image=0), images=images)
    for name in names:
        Image.new("1", (4100, 4000)).save(tmp_path / "in" / name)
    draw, together, met = conversion._draw, threading.Barrier(2), []

    def meet(*given):
        try:
            together.wait(0.5)
            met.append(given[0].file_name)
        except threading.BrokenBarrierError:
            pass
        return draw(*given)

    monkeypatch.setattr(conversion, "_draw", meet)
    assert take_in(tmp_path).images == 2
    assert met == []
