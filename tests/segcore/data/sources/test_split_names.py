import pytest

from segcore.data.sources.split_names import find_side


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
