"""Patterns of paths: what fits, what the path says, what is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segcore.data.sources.patterns import find_files, find_mismatch, find_pattern_fault, list_places


def save(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(file)


def find(folder: Path, pattern: str) -> dict[str, dict[str, str]]:
    found, problems = find_files(folder, pattern)
    assert problems == []
    return {one.file.relative_to(folder).as_posix(): dict(one.said) for one in found}


def test_a_path_says_what_stands_in_its_places(tmp_path):
    save(tmp_path / "left/train/aachen/aachen_01_left.PNG")
    save(tmp_path / "left/train/aachen/other.png")
    assert find(tmp_path, "left/{split}/{group}/{group}_{name}_left.png") == {
        "left/train/aachen/aachen_01_left.PNG": {"split": "train", "group": "aachen", "name": "01"}
    }


def test_two_stars_stand_for_any_folders_or_none(tmp_path):
    for path in ("images/a.png", "images/x/b.png", "images/x/y/c.png"):
        save(tmp_path / path)
    said = find(tmp_path, "images/**/{name}.png")
    assert [(one["folders"], one["name"]) for one in said.values()] == [("", "a"), ("x", "b"), ("x/y", "c")]
    assert list_places("images/**/{name}.png") == {"folders", "name"}


def test_a_name_may_hold_dots_and_a_star_takes_any_suffix(tmp_path):
    save(tmp_path / "a.b.png")
    save(tmp_path / "c.jpg")
    assert [one["name"] for one in find(tmp_path, "{name}.*").values()] == ["a.b", "c"]


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("/etc/{name}.png", "no path below"),
        ("C:/x/{name}.png", "no path below"),
        ("x\\{name}.png", "no path below"),
        ("../{name}.png", "'..'"),
        ("x\udcff/{name}.png", "half a letter"),
        ("a/../../{name}.png", "'..'"),
        ("a//{name}.png", "empty folder name"),
        ("images/x.png", "lacks {name}"),
        ("images/{nam}.png", "did you mean {name}?"),
        ("images/{name.png", "brace"),
        ("images/**{name}.png", "one **"),
        ("a/**/b/**/{name}.png", "one **"),
        ("images/{name}/**", "one **"),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_refused(pattern, fault):
    assert fault in find_pattern_fault(pattern)


def test_links_are_followed_wherever_they_lead(tmp_path):
    save(tmp_path / "elsewhere/a.png")
    data = tmp_path / "data"
    save(data / "images/own.png")
    (data / "images/b.png").symlink_to(tmp_path / "elsewhere/a.png")
    (data / "images/c.png").symlink_to(data / "images/own.png")
    assert sorted(find(data, "images/{name}.png")) == ["images/b.png", "images/c.png", "images/own.png"]
    (data / "masks").symlink_to(tmp_path / "elsewhere")
    assert list(find(data, "masks/{name}.png")) == ["masks/a.png"]


def test_nothing_that_fits_is_told(tmp_path):
    save(tmp_path / "images/a.png")
    assert find_files(tmp_path, "imgs/{name}.png")[1] == [f"imgs/{{name}}.png: there is no folder {tmp_path / 'imgs'}"]
    assert find_files(tmp_path, "images/{name}.jpg")[1] == ["images/{name}.jpg: no image file fits"]


def test_letters_that_a_mac_writes_in_two_are_found_by_one(tmp_path):
    save(tmp_path / "fotos_zu\u0308rich/Gru\u0308n.png")
    (said,) = find(tmp_path, "fotos_z\u00fcrich/{name}.png").values()
    assert said["name"] == "Gr\u00fcn"


LONG = "a" * 200


@pytest.mark.parametrize(
    ("pattern", "file", "name"),
    [
        ("*a*b_{name}.png", "xaxb_b_c.png", "c"),
        ("*(*)*_{name}.png", "x(1)(2)_a_b.png", "b"),
        ("{name}*a*b*.png", "1a2b3a4b5.png", "1a2b3"),
        ("*a{name}*b*.png", "xayab1b2.png", "b1"),
        # The last star takes what it can, and what stands before it does not change that.
        ("*_*_{name}.png", "a_b_c_d.png", "d"),
    ],
)
def test_what_stands_between_stars_leaves_names_as_they_are(tmp_path, pattern, file, name):
    save(tmp_path / file)
    assert find(tmp_path, pattern)[file]["name"] == name


def test_many_stars_and_a_long_name_that_fits_not_take_no_longer_than_one_reads(tmp_path):
    """Tried one after the other, the ways to place nine letters among 200 would take for ever."""
    save(tmp_path / f"{LONG}.png")
    found, problems = find_files(tmp_path, "*a" * 9 + "*b{name}.png")
    assert found == [] and problems == ["*a*a*a*a*a*a*a*a*a*b{name}.png: no image file fits"]


def test_of_names_that_are_known_the_longest_that_fits_is_taken(tmp_path):
    for path in ("a_car.png", "a_1_traffic_light.png", "b_x_car.png"):
        save(tmp_path / path)
    found, _ = find_files(tmp_path, "{name}_{class}.png", {"a", "a_1"})
    assert [(one.said["name"], one.said["class"]) for one in found] == [
        ("a_1", "traffic_light"),
        ("a", "car"),
        ("b_x", "car"),
    ]


def test_a_class_is_named_by_masks_of_one_class_alone():
    assert find_pattern_fault("masks/{class}/{name}.png", of_one_class=True) == ""
    assert "lacks {class}" in find_pattern_fault("masks/{name}.png", of_one_class=True)
    assert "has {class}" in find_pattern_fault("masks/{class}/{name}.png")


def test_a_frame_is_all_digits_that_stand_there_and_the_file_is_called_as_it_is(tmp_path):
    for name in ("0001TP_006690.png", "0006R0_f00930.png", "notes.png"):
        (tmp_path / name).touch()
    found, _ = find_files(tmp_path, "{group}_*{frame}.png")
    assert [(one.said["group"], one.said["frame"], one.said["name"]) for one in found] == [
        ("0001TP", "006690", "0001TP_006690"),
        ("0006R0", "00930", "0006R0_f00930"),
    ]


def test_a_frame_may_stand_for_a_name_in_both_patterns_or_neither():
    assert find_pattern_fault("images/{frame}.png") == ""
    assert "lacks {name}" in find_pattern_fault("masks/{class}/{frame}.png", of_one_class=True)
    assert find_mismatch("images/{frame}.png", "masks/{frame}_L.png") == ""
    assert find_mismatch("images/{name}.png", "masks/{frame}.png").endswith(
        "share neither {name} nor {frame}; write one in both"
    )
