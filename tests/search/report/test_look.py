import re

from search.report.look import STYLE
from segcore.insight import page_style


def test_every_colour_has_one_for_pages_that_are_dark():
    light, dark = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    own = set(re.findall(r"--(\w+):", light)) | set(re.findall(r"--(\w+):", page_style.STYLE))
    assert set(re.findall(r"--(\w+):", dark)) == own
    assert set(re.findall(r"var\(--(\w+)\)", STYLE + page_style.STYLE)) <= own


def test_no_page_is_printed_dark():
    assert "@media screen and (prefers-color-scheme: dark)" in STYLE
