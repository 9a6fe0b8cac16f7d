import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from search.markdown import code, code_block, plain

READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
LETTERS = st.sampled_from("`*_[]()<>!|~\\&;# =\"'ab1:/\n")
TEXTS = st.text(LETTERS | st.characters(exclude_categories=["C", "Z"]))


def read(markdown: str) -> tuple[set[str], str]:
    """The tags that a text is drawn with, and what is read then."""
    drawn = READER.render(f"x: {markdown}")
    return set(re.findall(r"<(\w+)", drawn)), html.unescape(re.sub(r"<[^>]*>", "", drawn)).strip()


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=alert(1)>",
        "![x](http://evil.example/seen.png)",
        "[log in](javascript:alert(1))",
        "<http://evil.example>",
        "</script><script>alert(1)</script>",
        "&lt;b&gt; &#60;b> _b_ *b* **b** ~~b~~ `b` a_b_c \\",
        "a\n\n# b\n| c | d |\n| - | - |",
    ],
)
def test_what_others_wrote_is_read_letter_by_letter(text):
    assert read(plain(text)) == ({"p"}, f"x: {' '.join(text.split())}")


@given(TEXTS)
def test_no_text_is_more_than_a_text(text):
    assert read(plain(text)) == ({"p"}, f"x: {' '.join(text.split())}".strip())


def test_text_of_letters_stays_as_it_is():
    text = "tf_efficientnetv2_s crop512 ce+jaccard #17, 0.5 (0.4 to 0.6); a & b!"
    assert plain(text) == text


def test_signs_of_tags_get_no_backslash_which_the_page_of_mlflow_would_show():
    assert plain("<b>car</b> &lt; a & b") == "&lt;b&gt;car&lt;/b&gt; &amp;lt; a & b"


def test_a_stroke_parts_no_cell():
    cells = READER.render(f"| a | b |\n| - | - |\n| {plain('c|d')} | e |")
    assert "<td>c|d</td>" in cells


@pytest.mark.parametrize("text", ["ls", "a `b` c", "``", "`", "a``b`"])
def test_code_is_read_as_it_is(text):
    tags, told = read(code(text))
    assert tags == {"p", "code"}
    assert told == f"x: {text}"


def test_a_block_of_code_has_each_line_as_it_is():
    lines = ["python -m search predict A --out <b>", "echo ```", "*a* _b_"]
    drawn = READER.render(f"**Who?** *Me.*\n{code_block(lines)}\n\nafter")
    (block,) = re.findall("<pre><code>(.*?)</code></pre>", drawn, re.DOTALL)
    assert html.unescape(block).splitlines() == lines
    assert code_block([]) == ""
