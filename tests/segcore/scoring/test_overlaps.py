import math

import numpy as np

from segcore.scoring.overlaps import class_ious, count_overlaps


def test_union_is_what_is_of_a_class_or_called_so_and_background_is_called_nothing():
    """Rows are truth: 5 of class 0 are right, 2 called 1, 1 background; of class 1 3 are called 0, 4 are right."""
    confusion_CP = np.array([[5, 2, 1], [3, 4, 0]])
    # 5 of 5 + 2 + 1 + 3 = 11, and 4 of 3 + 4 + 2 = 9.
    assert count_overlaps(confusion_CP).tolist() == [[5, 11], [4, 9]]
    assert class_ious(confusion_CP).tolist() == [5 / 11, 4 / 9]


def test_iou_of_a_class_that_occurs_nowhere_is_not_a_number():
    assert math.isnan(class_ious(np.array([[3, 0, 0], [0, 0, 0]]))[1])
    # Predicted as background alone: union 2, both 0.
    assert class_ious(np.array([[0, 0, 2], [0, 1, 0]])).tolist() == [0.0, 1.0]
