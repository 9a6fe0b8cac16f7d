import unicodedata
from pathlib import PurePath

import pytest

from segcore.data import listing
from segcore.data.listing import (
    count_below,
    count_unread,
    find_annotations,
    has_images,
    list_folders,
    list_images,
    list_readings,
    name_in_list,
    walk_files,
    walk_images,
)
from segcore.errors import DataError


def test_image_listing_takes_every_suffix_in_any_case_and_nothing_else(tmp_path):
    for name in ("b.JPG", "a.png", "c.jpeg", "d.TIF", "e.tiff", "f.bmp", "g.webp", "notes.txt", "h.gif"):
        (tmp_path / name).write_bytes(b"")
    assert [file.name for file in list_images(tmp_path)] == [
        "a.png", "b.JPG", "c.jpeg", "d.TIF", "e.tiff", "f.bmp", "g.webp"
    ]  # fmt: skip


def test_image_listing_refuses_a_folder_without_images(tmp_path):
    with pytest.raises(DataError, match="has no image"):
        list_images(tmp_path)
    with pytest.raises(DataError, match="is no folder"):
        list_images(tmp_path / "missing")


def test_image_listing_refuses_two_images_of_one_name(tmp_path):
    for name in ("a.png", "a.jpg"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.jpg: same name as a\.png"):
        list_images(tmp_path)


def test_files_that_systems_leave_behind_are_no_images(tmp_path):
    for name in ("a.jpg", "._a.jpg", ".hidden.png", "Thumbs.db", "desktop.ini", ".DS_Store"):
        (tmp_path / name).write_bytes(b"")
    assert [file.name for file in list_images(tmp_path)] == ["a.jpg"]
    assert not count_unread(tmp_path)


def test_folders_that_systems_leave_behind_are_not_gone_into(tmp_path):
    """A store of Synology's has a folder of thumbnails for each image beside the images."""
    (tmp_path / "@eaDir" / "a.jpg").mkdir(parents=True)
    for name in ("a.jpg", "@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg"):
        (tmp_path / name).write_bytes(b"")
    assert walk_images(tmp_path) == ([tmp_path / "a.jpg"], [])
    assert list(walk_files(tmp_path)) == [tmp_path / "a.jpg"]


def test_files_that_are_not_read_are_counted_by_suffix(tmp_path):
    for name in ("a.jpg", "b.gif", "c.GIF", "d.heic", "notes"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder").mkdir()
    assert count_unread(tmp_path) == {".gif": 2, ".heic": 1, "no suffix": 1}


def test_names_of_one_letter_written_in_two_ways_are_one_name(tmp_path):
    composed, divided = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))
    assert composed != divided
    (tmp_path / f"{composed}.jpg").write_bytes(b"")
    (tmp_path / f"{divided}.png").write_bytes(b"")
    assert find_annotations(tmp_path).masks == {composed: tmp_path / f"{divided}.png"}
    with pytest.raises(DataError, match="same name as"):
        list_images(tmp_path)


def test_mask_is_the_png_in_any_case_and_another_suffix_only_without_it(tmp_path):
    for name in ("a.PNG", "a.jpg", "b.BMP", "c.JSON", "._a.png", "d.txt"):
        (tmp_path / name).write_bytes(b"")
    found = find_annotations(tmp_path)
    assert found.masks == {"a": tmp_path / "a.PNG", "b": tmp_path / "b.BMP"}
    assert found.documents == {"c": tmp_path / "c.JSON"}
    assert found.problems == ()


def test_two_masks_or_documents_of_one_name_are_named(tmp_path):
    for name in ("a.PNG", "a.png", "b.bmp", "b.tif", "c.json", "c.JSON"):
        (tmp_path / name).write_bytes(b"")
    assert find_annotations(tmp_path).problems == (
        "a.png: same name as a.PNG; rename or remove one",
        "b.tif: same name as b.bmp; rename or remove one",
        "c.json: same name as c.JSON; rename or remove one",
    )


def test_files_that_are_not_read_are_counted_in_all_folders_of_a_data_set(tmp_path):
    for name in (
        "a.jpg",
        "a.json",
        "b.json",
        "city/c.jpg",
        "city/c.JSON",
        "city/d.heic",
        "city/drive/e.gif",
        ".git/f",
        "dataset.json",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    # The JSON of an image tells facts about it.
    assert count_unread(tmp_path, below=True) == {".json": 1, ".heic": 1, ".gif": 1}
    assert count_unread(tmp_path) == {".json": 3}


def test_images_are_found_below_and_a_link_to_a_folder_above_is_not_followed(tmp_path):
    for name in ("a.txt", "below/b.txt", "below/.c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "below" / "round").symlink_to(tmp_path, target_is_directory=True)
    assert not has_images(tmp_path)
    (tmp_path / "below" / "further").mkdir()
    (tmp_path / "below" / "further" / "d.PNG").write_bytes(b"")
    assert has_images(tmp_path)
    files, problems = walk_images(tmp_path)
    assert [file.name for file in files] == ["d.PNG"]
    assert [file.name for file in walk_files(tmp_path)] == ["d.PNG"]
    assert problems == []


def test_link_that_leads_to_itself_is_no_folder_and_hides_no_other(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "a.jpg").symlink_to("a.jpg")
    (tmp_path / "b.jpg").symlink_to("nowhere")
    assert list_folders(tmp_path) == [tmp_path / "below"]


def test_images_are_found_through_a_link_to_a_folder_elsewhere(tmp_path):
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    for folder in (data, elsewhere):
        folder.mkdir()
    (elsewhere / "a.png").write_bytes(b"")
    (data / "city").symlink_to(elsewhere, target_is_directory=True)
    # A circle that leads through both.
    (elsewhere / "round").symlink_to(data, target_is_directory=True)
    assert walk_images(data) == ([data / "city/a.png"], [])
    assert list(walk_files(data)) == [data / "city/a.png"]
    assert has_images(data)


def test_counting_what_is_not_read_compares_no_two_files_of_a_large_folder(tmp_path, monkeypatch):
    """Every two of 400 are 80,000 pairs; what is looked up in a set is compared once at most."""
    names = [f"{number:06d}.{suffix}" for number in range(200) for suffix in ("jpg", "json")]
    monkeypatch.setattr(listing, "_list_names", lambda folder: names)
    compared = []
    equals = PurePath.__eq__
    monkeypatch.setattr(PurePath, "__eq__", lambda one, other: compared.append(one) or equals(one, other))
    assert not count_unread(tmp_path, below=True)
    assert len(compared) <= len(names)


def test_images_in_folders_below_are_counted_where_one_folder_is_asked_for(tmp_path):
    (tmp_path / "city").mkdir()
    (tmp_path / "city" / "a.png").write_bytes(b"")
    assert count_below(tmp_path) == 1
    assert count_below(tmp_path, [tmp_path / "city", tmp_path / "none"]) == 0
    with pytest.raises(DataError, match="has no image; 1 lie in folders below it: give one of these"):
        list_images(tmp_path)


@pytest.mark.parametrize(
    ("line", "name"),
    [("a", "a"), (" a.JPG ", "a"), ("a.b", "a.b"), ("a.b.png", "a.b"), ("cafe\u0301.png", "caf\u00e9"), ("", "")],
)
def test_line_of_a_list_names_an_image_with_or_without_its_suffix(line, name):
    assert name_in_list(line) == name


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("a b.jpg", "a b.jpg"),
        (" images/a.jpg masks/a.png ", "images/a.jpg"),
        ("/images/a.jpg /masks/a.png", "images/a.jpg"),
        ("./images/a.jpg,./masks/a.png", "images/a.jpg"),
        ("images\\a.jpg", "images/a.jpg"),
        ("images/a.jpg  1", "images/a.jpg"),
        ("images/a.jpg|masks/a.png", "images/a.jpg"),
        ("images\\a (2).JPG masks\\a (2).png", "images/a (2).JPG"),
        ("u\u0308.jpg", "\u00fc.jpg"),
    ],
)
def test_a_line_of_a_list_may_be_a_path_and_have_more_columns(line, meant):
    assert meant in list_readings(line)


@pytest.mark.parametrize("name", ["a b", "a b.jpg", "a 1b"])
def test_a_name_of_two_words_is_not_the_first_of_them(name):
    assert set(list_readings(name)) == {name}
