from pathlib import Path

import numpy as np
import pytest

from segcore.data.case import Case
from segcore.data.classes import ClassTable
from segcore.data.content import Content, describe_content, find_nothing_to_learn, warn_of_content
from tests.conftest import ENCODING

STREET = ClassTable(
    names=("road", "car", "person", "sky"),
    colours=((128, 64, 128), (0, 0, 255), (255, 0, 0), (0, 152, 225)),
    scored=("car", "person"),
)


def make_content(*pixels_C, sizes=None):
    """Return what masks with so many pixels of each class, and of void last, would tell."""
    cases = tuple(
        Case(name=f"x{number}", image=Path(f"x{number}.jpg"), mask=Path("m"), encoding=ENCODING, group="g")
        for number in range(len(pixels_C))
    )
    return Content(
        cases=cases,
        sizes=sizes or ((32, 48),) * len(cases),
        pixels_NC=np.array(pixels_C),
        looks_NHW=np.zeros((len(cases), 1, 1), np.uint8),
        masks=(None,) * len(cases),
    )


def make_pair(*names):
    """Return a table of numbers from 0 on, all scored."""
    colours = tuple((number, 0, 0) for number in range(len(names)))
    return ClassTable(names=names, colours=colours, scored=names, ids=tuple(range(len(names))))


@pytest.mark.parametrize(
    ("pixels_C", "told"),
    [
        ([0, 0, 0, 0, 9], "every pixel of every mask is void"),
        ([9, 0, 0, 0, 9], "every pixel that counts is 'road'"),
        ([9, 0, 0, 9, 0], "no mask has a scored class (car, person)"),
        ([9, 1, 0, 0, 0], None),
    ],
)
def test_masks_of_which_nothing_can_be_learnt_are_told(pixels_C, told):
    found = list(find_nothing_to_learn(make_content(pixels_C, pixels_C), STREET))
    assert [problem[: len(told or "")] for problem in found] == ([] if told is None else [told])


def test_images_of_void_alone_and_classes_that_lack_are_told():
    content = make_content([9, 9, 0, 0, 0], [0, 0, 0, 0, 18])
    assert warn_of_content(content, STREET) == [
        "1 image is all void, nothing is learnt of them: x1",
        "scored, but in no mask: person",
    ]
    assert describe_content(content, STREET) == ["in no mask: sky"]


def test_small_image_is_named_once():
    (note,) = describe_content(make_content(*[[1, 1, 1, 1, 0]] * 4, sizes=((24, 40), *[(64, 96)] * 3)), STREET)
    assert note == (
        "smaller than usual: 1 image has a side of less than 64 pixels, x0.jpg with 40x24 the smallest; a crop that is "
        "larger than its image is filled up with void"
    )


@pytest.mark.parametrize(
    ("pixels_NC", "told"),
    [
        ([[9, 9, 0], [9, 0, 9]], ["1 mask has the number 255, which is void, without pole"]),
        ([[9, 9, 0], [9, 8, 1]], []),
        ([[9, 9, 0], [9, 9, 0]], []),
    ],
    ids=["0 and 255 beside 0 and 1", "void at a border", "no void"],
)
def test_masks_of_0_and_255_beside_masks_of_0_and_1_are_told_of(pixels_NC, told):
    warnings = warn_of_content(make_content(*pixels_NC), make_pair("background", "pole"))
    assert [warning.split(":")[0] for warning in warnings] == told


@pytest.mark.parametrize(
    ("names", "told"),
    [(("road", "car", "void"), True), (("void", "car"), False), (("road", "car", "avoid"), False)],
)
def test_class_that_is_called_void_is_told_of_where_it_is_not_everything_else(names, told):
    warnings = warn_of_content(make_content([9] * len(names) + [0]), make_pair(*names))
    assert [warning.startswith("void: learnt like any other class; ") for warning in warnings] == [True] * told
