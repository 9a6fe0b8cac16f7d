import math

import numpy as np
import pytest

from segcore.data.classes import ClassTable
from segcore.scoring.confusion import classify_errors, list_mistakes, tabulate_confusion

TABLE = ClassTable(
    names=("road", "car", "sky"), colours=((1, 1, 1), (2, 2, 2), (3, 3, 3)), scored=("car",), void=((0, 0, 0),)
)
CONFUSION_CP = np.array([[90, 10, 0, 0], [22, 75, 3, 0], [0, 0, 0, 0]])
SCORED_CP = np.array([[0, 10, 0, 90], [0, 75, 0, 25], [0, 4, 0, 96]])


def test_rows_are_shares_of_the_true_class():
    table = tabulate_confusion(CONFUSION_CP, TABLE, every_class=True)
    assert table.names == TABLE.names
    assert table.shares_KK[0].tolist() == [0.9, 0.1, 0.0]
    assert table.shares_KK[1].tolist() == [0.22, 0.75, 0.03]
    assert all(math.isnan(share) for share in table.shares_KK[2])
    assert table.right == pytest.approx(165 / 200)


def test_mistakes_are_said_in_words_largest_share_first():
    mistakes = list_mistakes(tabulate_confusion(CONFUSION_CP, TABLE, every_class=True))
    assert [str(mistake) for mistake in mistakes] == [
        "22% of car pixels are called road",
        "10% of road pixels are called car",
        "3% of car pixels are called sky",
    ]
    assert [mistake.pixels for mistake in mistakes] == [22, 10, 3]


def test_small_shares_keep_a_digit():
    confusion_CP = np.array([[996, 4, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])
    (mistake,) = list_mistakes(tabulate_confusion(confusion_CP, TABLE, every_class=True))
    assert str(mistake) == "0.4% of road pixels are called car"


def test_model_of_scored_classes_sees_the_others_as_one_background():
    table = tabulate_confusion(SCORED_CP, TABLE, every_class=False)
    assert (table.names, table.colours) == (("car", "background"), ((2, 2, 2), (0, 0, 0)))
    assert table.pixels_KK.tolist() == [[75, 25], [14, 186]]
    assert table.right == pytest.approx(261 / 300)
    assert str(list_mistakes(table)[1]) == "7% of background pixels are called car"


def test_error_map_tells_scored_mistakes_from_others():
    truth_HW = np.array([[0, 0, 0, 1, 1, 2, 255]], np.uint8)
    prediction_HW = np.array([[0, 1, 2, 1, 0, 255, 1]], np.uint8)
    # right, called car, road called sky, right, car missed, sky as background (right), void
    assert classify_errors(truth_HW, prediction_HW, TABLE).tolist() == [[0, 2, 1, 0, 2, 0, 255]]
    assert classify_errors(np.array([[1]], np.uint8), np.array([[255]], np.uint8), TABLE).tolist() == [[2]]
