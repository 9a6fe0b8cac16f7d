import pytest

from segcore.data.sides import find_usual_side


@pytest.mark.parametrize(
    ("sides", "usual"),
    [
        ([480], 480),
        ([24, 480], 480),
        ([24, 480, 600, 2000], 480),  # all but one reach it
        ([480] * 19 + [24], 480),
        ([24, 32, 480] + [600] * 17, 480),  # of twenty, two may be smaller
        ([24, 32, 33, 480] + [600] * 16, 33),
    ],
)
def test_one_image_in_ten_may_be_smaller_than_usual(sides, usual):
    assert find_usual_side(sides) == usual
    assert find_usual_side(sides[::-1]) == usual
