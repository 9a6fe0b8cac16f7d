import pytest

from search.memory.outcome import tell_end


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (" short enough\n", "short enough"),
        # Of its last 20 letters the first line is cut.
        ("the first line\nis cut\nthe error itself", "... the error itself"),
        ("cut\nto the last 20 words", "... to the last 20 words"),
        ("one line that is longer than that", "... is longer than that"),
        ("x" * 30, "... " + "x" * 20),
    ],
)
def test_end_of_a_long_message_begins_with_a_line_or_a_word_that_is_whole(message, told):
    assert tell_end(message, 20) == told
