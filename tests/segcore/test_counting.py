"""Counts with their nouns."""

import pytest

from segcore.counting import count_words


@pytest.mark.parametrize(
    ("count", "told"), [(0, "0 images are"), (1, "1 image is"), (2, "2 images are"), (1200, "1,200 images are")]
)
def test_a_count_has_the_words_that_go_with_it(count, told):
    assert count_words(count, "image is", "images are") == told


def test_most_words_take_an_s():
    assert (count_words(1, "trial"), count_words(3, "trial")) == ("1 trial", "3 trials")
