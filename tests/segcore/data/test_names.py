import pytest

from segcore.data.names import find_equal_names, find_name_fault, show_controls

RIGHT_TO_LEFT = "\u2067\u05d3\u05e8\u05da\u2069"
SEEN = ["car", "Fußweg (links)", "歩道", "..", "a//b", "a/../b", "[red]", "day", "c" * 100, RIGHT_TO_LEFT]


@pytest.mark.parametrize("name", SEEN)
def test_name_that_can_be_seen_is_fine(name):
    assert find_name_fault(name) == ""


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "'' is blank; give it letters"),
        (" \u3000", r"' \u3000' is blank; give it letters"),
        ("c" * 101, f"'{'c' * 40}'... has 101 characters; use at most 100"),
        ("\x1b[2Jcar", r"'\x1b[2Jcar' holds a control character; take it out"),
        ("car\n", r"'car\n' holds a control character; take it out"),
        ("\x9b2J", r"'\x9b2J' holds a control character; take it out"),
        ("\ud800", r"'\ud800' holds a control character; take it out"),
    ],
)
def test_name_that_cannot_be_used_is_named_with_its_fault(name, fault):
    assert find_name_fault(name) == fault


def test_names_that_look_alike_are_found():
    # An accent within the letter or after it; a letter in full width; a blank at the end.
    names = ("\u00e9t\u00e9", "e\u0301te\u0301", "car", "\uff43ar", "bus ", "bus", "Car")
    assert list(find_equal_names(names)) == [("\u00e9t\u00e9", "e\u0301te\u0301"), ("car", "\uff43ar"), ("bus ", "bus")]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Fußweg [red] 歩道\tx\ny", "Fußweg [red] 歩道\tx\ny"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("a\rb\x9b1m\x7f", r"a\rb\x9b1m\x7f"),
        ("\udcff\u2028", r"\udcff\u2028"),
        ("\u202egpj.exe \u2067x\u2069", r"\u202egpj.exe \u2067x\u2069"),
        # A mark of Hebrew text turns nothing but itself.
        ("\u05d0\u200f1", "\u05d0\u200f1"),
    ],
)
def test_control_characters_are_written_out(text, shown):
    assert show_controls(text) == shown
