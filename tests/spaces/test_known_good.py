"""What is known to be good: the spaces draw it, whatever the size of the data and whatever they draw beside it."""

import pytest

from search.settings import build_settings
from search.space.first import add_known
from spaces import SPACES
from spaces.known_good import KNOWN_GOOD

LARGE, SMALL = 1216, 360
"""Shorter sides of the contest's images and of CamVid's, pixels."""


@pytest.fixture(params=range(4))
def find(request):
    """Return a function that gives the values of what a search with some seed tries first."""

    def find(name, side, **changes):
        settings = build_settings({"name": "known", "space": name, "trials": 20, "seed": request.param, **changes})
        found = add_known([], SPACES[name], settings, {"smallest_side": side}, lambda config: None)
        return [each["values"] for each in found]

    return find


@pytest.mark.parametrize("name", sorted(KNOWN_GOOD))
def test_all_of_it_can_be_drawn_for_small_images(find, name):
    found = find(name, SMALL)
    assert len(found) == len(KNOWN_GOOD[name])
    for values, known in zip(found, KNOWN_GOOD[name], strict=True):
        assert {field: values[field] for field in known} == known


def test_large_images_are_not_made_larger(find):
    assert [values["input_mode"] for values in find("street_offline", SMALL)] == ["resize", "full", "crop"]
    assert [values["input_mode"] for values in find("street_offline", LARGE)] == ["full", "crop"]


@pytest.mark.parametrize(("side", "sizes"), [(LARGE, {768, 512}), (SMALL, {256, 128})])
def test_crops_are_as_large_as_the_data_allows(find, side, sizes):
    assert find("street_offline", side)[-1]["crop_size"] in sizes


def test_what_is_fixed_for_every_trial_is_kept(find):
    found = find("street_offline", SMALL, fixed={"backbone": "tf_efficientnet_lite0"})
    assert {values["backbone"] for values in found} == {"tf_efficientnet_lite0"}
