import numpy as np
import pytest
import torch

from segcore.errors import ConfigError
from segcore.prediction.components import find_areas, find_next, find_outputs, find_small, name_outputs, remove_small

GREATEST = torch.tensor([[1, 0, 0, 0, 1], [0, 0, 0, 1, 1], [0, 2, 0, 0, 0], [0, 0, 0, 0, 0]])


def _probabilities():
    # What a pixel takes in place of its own: class 2 in the left half, class 0 in the right.
    probabilities_CHW = torch.zeros(3, 4, 5)
    probabilities_CHW.scatter_(0, GREATEST[None], 0.6)
    second = torch.where(torch.arange(5) < 2, 2, 0).expand(4, 5)
    return probabilities_CHW.scatter_add(0, second[None], torch.full((1, 4, 5), 0.3))


def test_small_component_takes_the_next_most_probable_class_of_its_pixels():
    # 20 pixels: 100,000 millionths are 2 pixels. The single pixel of class 1 goes, the three that touch stay.
    found = remove_small(GREATEST, _probabilities(), {1: 100_000})
    expected = GREATEST.clone()
    expected[0, 0] = 2
    assert torch.equal(found, expected)
    # Over 3 pixels all of class 1 go; class 2, which is not named, keeps its single one.
    found = remove_small(GREATEST, _probabilities(), {1: 200_000})
    expected[0, 4] = expected[1, 3] = expected[1, 4] = 0
    assert torch.equal(found, expected)


def test_small_components_of_several_classes_all_go():
    """The single pixels of class 1 and of class 2; what takes the place of the first may be small itself."""
    expected = GREATEST.clone()
    expected[0, 0], expected[2, 1] = 2, 0
    assert torch.equal(remove_small(GREATEST, _probabilities(), {1: 100_000, 2: 100_000}), expected)


def test_pixel_whose_other_classes_are_all_impossible_takes_another_one_still():
    assert find_next(torch.tensor([[[1.0, 1.0]], [[0.0, 0.0]], [[0.0, 1e-9]]]), 0).tolist() == [[1, 2]]


def test_nothing_is_removed_of_classes_that_keep_all():
    assert remove_small(GREATEST, _probabilities(), {}) is GREATEST


def test_area_of_a_component_counts_touching_corners():
    areas = find_areas((GREATEST == 1).numpy())
    assert areas.tolist() == [[1, 0, 0, 0, 3], [0, 0, 0, 3, 3], [0] * 5, [0] * 5]
    assert find_areas(np.eye(2, dtype=bool)).tolist() == [[2, 0], [0, 2]]
    assert find_small(areas, 150_000).sum() == 1, "3 pixels are not less than 3"


def test_outputs_are_found_by_the_names_of_their_classes(classes):
    assert name_outputs(classes, "full") == list(classes.names)
    assert name_outputs(classes, "scored") == [
        *(classes.names[index] for index in classes.scored_indices),
        "background",
    ]
    assert find_outputs({"car": 30}, ["road", "car"]) == {1: 30}
    with pytest.raises(ConfigError, match="least_areas names 'ship', which is none of road, car; leave it out"):
        find_outputs({"ship": 30}, ["road", "car"])


def test_class_that_is_not_there_has_no_components():
    assert not find_areas(np.zeros((3, 4), bool)).any()
