from types import SimpleNamespace

import numpy as np

from segcore.data.classes import ClassTable
from segcore.insight.case_pictures import ShownCase, choose_cases, draw_cases

TABLE = ClassTable(names=("car", "sky"), colours=((0, 0, 255), (0, 152, 225)), scored=("car",), void=())


class Images:
    """Images whose masks have so many stripes each, in place of a cache."""

    def __init__(self, *cases: tuple[str, str, int]) -> None:
        self.classes = TABLE
        self.cases = [SimpleNamespace(name=name, condition=condition) for name, condition, _ in cases]
        self._stripes = [stripes for *_, stripes in cases]

    def mask_HW(self, index: int) -> np.ndarray:
        columns_W = np.arange(64) * self._stripes[index] // 64 % 2
        return np.broadcast_to(columns_W.astype(np.uint8), (32, 64))

    def image_HW3(self, index: int) -> np.ndarray:
        return np.zeros((32, 64, 3), np.uint8)


def test_of_each_condition_the_middle_and_the_busiest_truth_are_shown():
    images = Images(("a", "day", 8), ("b", "day", 1), ("c", "day", 4), ("d", "night", 2), ("e", "day", 16))
    shown = choose_cases(images, [0, 1, 2, 3])
    assert shown == {
        "day": (ShownCase(index=2, kind="typical"), ShownCase(index=0, kind="hard")),
        "night": (ShownCase(index=3, kind="typical"),),
    }


def test_data_without_conditions_is_shown_as_a_whole():
    assert list(choose_cases(Images(("a", "", 1), ("b", "", 2)), [0, 1])) == ["validation"]


def test_picture_has_a_caption_and_a_row_for_each_case_and_a_legend():
    images = Images(("a", "day", 8), ("b", "day", 1))
    cases = [ShownCase(index=0, kind="typical"), ShownCase(index=1, kind="hard")]
    predictions = {0: np.zeros((32, 64), np.uint8), 1: np.ones((32, 64), np.uint8)}
    picture = draw_cases(images, cases, predictions, {"a": 0.5, "b": None})
    # Three panels of 320 x 160 beside each other; captions are 70 high, the legend's line 44.
    assert picture.shape == (70 + 160 + 70 + 160 + 44, 960, 3)
    assert picture[100, 700].tolist() == [0, 0, 255], "the first prediction is all car"
    legend = picture[-44:].reshape(-1, 3)
    assert all((legend == colour).all(axis=1).any() for colour in TABLE.colours)


def test_letters_are_still_to_be_read_in_a_grid_that_shows_pictures_at_a_third():
    images = Images(("a_name", "day", 8))
    truth = {0: np.zeros((32, 64), np.uint8)}
    picture = draw_cases(images, [ShownCase(index=0, kind="typical")], truth, {"a_name": 0.5})
    # The caption's score, and the name beside the first colour of the legend.
    for line in (picture[:70, :300], picture[-44:, 50:110]):
        written = np.flatnonzero((line > 200).all(axis=2).any(axis=1))
        assert written[-1] - written[0] >= 12, "four pixels at a third, of letters that reach neither up nor down"
