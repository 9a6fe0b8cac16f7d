import pytest

from segcore.data.colours import BLACK, choose_colours


def test_colours_are_as_many_as_a_table_may_need_and_all_different():
    colours = choose_colours(254)
    assert len(set(colours)) == 254
    assert BLACK not in colours
    assert all(0 <= part <= 255 for colour in colours for part in colour)


def test_colours_are_the_same_each_time_and_more_begin_as_fewer_do():
    assert choose_colours(9)[:5] == choose_colours(5)
    # Hue 0, saturation 0.85, brightness 0.95: 0.95 * 255 = 242, and 0.95 * 0.15 * 255 = 36.
    assert choose_colours(1) == ((242, 36, 36),)


def test_colours_that_mean_something_are_not_taken_again():
    first = choose_colours(3)
    others = choose_colours(3, first)
    assert not set(first) & set(others)


def test_neighbours_are_told_apart_by_the_eye():
    colours = choose_colours(20)
    distances = [
        max(abs(one - other) for one, other in zip(first, second, strict=True))
        for position, first in enumerate(colours)
        for second in colours[position + 1 : position + 4]
    ]
    assert min(distances) > 60


@pytest.mark.parametrize("count", [0, 1])
def test_few_colours_are_few(count):
    assert len(choose_colours(count)) == count


def test_more_than_a_table_may_have_are_not_sought():
    colours = choose_colours(10_000)
    assert (len(colours), len(set(colours[:254])), set(colours[254:])) == (10_000, 254, {BLACK})
