import pytest

from segcore.data.sources.split_names import find_side, find_stems, put_split


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("train2017", "train"),
        ("training_set", "train"),
        ("valid", "val"),
        ("validation-data", "val"),
        ("val2017", "val"),
        ("test", "test"),
        ("TestSet", "test"),
        ("test_2017", "test"),
        ("trains", ""),
        ("train_extra", ""),
        ("test7", ""),
        ("dev", ""),
        ("", ""),
    ],
)
def test_a_folder_is_for_the_side_that_it_is_named_after(name, side):
    assert find_side(name) == side


@pytest.mark.parametrize(
    ("name", "put"),
    [
        ("Train", ("Train", "{split}")),
        ("train_images", ("train", "{split}_images")),
        ("Images-val2017", ("val2017", "Images-{split}")),
        ("images", ("", "images")),
        ("test_drive_7", ("", "test_drive_7")),
        ("old_train_images", ("", "old_train_images")),
    ],
)
def test_a_side_may_stand_beside_a_known_name_alone(name, put):
    assert put_split(name, ("images", "masks")) == put


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        (("city_train", "City_val"), {"city"}),
        (("train_parts", "test_parts", "val"), {"parts"}),
        (("city_train", "city_7"), set()),
        (("city_val", "city_test"), set()),
        (("city_train", "town_val"), set()),
    ],
)
def test_what_stands_beside_train_and_another_side_is_known_by_that(names, stems):
    assert find_stems(names) == stems
