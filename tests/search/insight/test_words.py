import pytest

from search.insight.words import describe_seconds, describe_values, enumerate_words
from segcore.config import TrainConfig
from segcore.counting import count_words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (44.6, "45 s"),
        (89, "89 s"),
        (90, "2 min"),  # 1.5 minutes, rounded to even
        (720, "12 min"),
        (5340, "89 min"),
        (5400, "1 h 30 min"),
        (11100, "3 h 05 min"),
        (86400, "24 h 00 min"),
    ],
)
def test_durations_as_a_person_says_them(seconds, text):
    assert describe_seconds(seconds) == text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"input_mode": "crop", "crop_size": 256}, "resnet34, loss ce, crop 256, lr 0.001"),
        (
            {"input_mode": "resize", "scale": 0.75, "labels": "scored"},
            "resnet34, loss ce, resize 0.75, labels scored, lr 0.001",
        ),
        ({"learning_rate": 0.00025, "loss": "focal"}, "resnet34, loss focal, full size, lr 0.00025"),
    ],
)
def test_configuration_in_one_line_has_only_what_its_input_mode_uses(values, text):
    assert describe_values(TrainConfig.from_values(values).values()) == text


def test_configuration_that_is_none_is_shown_as_it_is():
    values = {**TrainConfig.from_values({}).values(), "input_mode": "[/red]", "learning_rate": "[b]"}
    text = describe_values({**values, "scale": None})
    assert text == "resnet34, loss ce, input [/red], lr [b]"


@pytest.mark.parametrize(
    ("words", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_words_are_listed_as_a_sentence_does(words, text):
    assert enumerate_words(words) == text


def test_a_count_of_one_has_no_plural():
    assert [count_words(count, "trial") for count in (0, 1, 1200)] == ["0 trials", "1 trial", "1,200 trials"]
