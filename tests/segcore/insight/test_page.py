from dataclasses import replace

import numpy as np
import pytest

from segcore.data.classes import ClassTable
from segcore.errors import StorageError
from segcore.insight.page import (
    Cell,
    Section,
    build_page,
    bullets,
    chip,
    class_legend,
    data_table,
    element,
    escape,
    headline,
    join,
    number_cell,
    paragraph,
    write_page,
)
from segcore.insight.page_pictures import mask_picture, photo

NASTY = '<b onclick="x">&\''
TABLE = ClassTable(names=("<b>", "sky"), colours=((1, 2, 3), (0, 152, 225)), scored=("<b>",))


def test_every_part_escapes_its_text(read_page):
    picture_HW3 = np.zeros((4, 4, 3), np.uint8)
    parts = [
        paragraph(NASTY),
        bullets([NASTY]),
        headline([(NASTY, NASTY)]),
        class_legend(TABLE),
        data_table([NASTY], [[Cell(text=NASTY, number=1.0)], [NASTY]], sortable=True),
        photo(picture_HW3, NASTY, 4),
        mask_picture(picture_HW3[..., 0], TABLE, NASTY, 4),
        element("p", NASTY, NASTY),
    ]
    page = build_page(NASTY, [NASTY], [Section(title=NASTY, hint=NASTY, content=join(parts))])
    assert "<b onclick" not in page and "<b>*" not in page
    assert read_page(page).count(NASTY) == 16


def test_legend_tells_void_from_a_class_that_is_black():
    table = replace(TABLE, colours=((0, 0, 0), (0, 152, 225)))
    assert class_legend(table).count("rgb(0, 0, 0)") == 1
    assert class_legend(table).count("rgb(255, 255, 255)") == 1
    assert class_legend(TABLE).count("rgb(0, 0, 0)") == 1


def test_markup_is_escaped_once():
    assert escape(escape("a < b")) == "a &lt; b"
    assert join([element("b", "<"), "<"]) == "<b>&lt;</b>\n&lt;"


def test_page_may_load_nothing_but_its_own_pictures(read_page):
    page = build_page("t", [], [])
    assert "default-src 'none'; img-src data:" in page
    read_page(page)


def test_links_lead_to_the_sections():
    sections = [Section(title=title, hint="h", content=paragraph("c")) for title in ("one", "two")]
    page = build_page("t", [], sections)
    assert '<a href="#part1">two</a>' in page and '<section id="part1">' in page


def test_numbers_stand_right_and_are_sorted_by_value():
    table = data_table(["name", "share"], [["a", Cell(text="9 %", number=0.09)], ["b", Cell(text="–", number=np.nan)]])
    assert '<th scope="row">a</th>' in table
    assert '<td class="number" data-sort="0.09">9 %</td>' in table
    # An unknown number sorts as nothing, not as text.
    assert '<td class="number" data-sort="">–</td>' in table
    assert '<th scope="col" class="number">share</th>' in table


def test_a_number_is_shown_as_it_is_sorted_and_a_dash_stands_for_none():
    shown = [number_cell(0.25, ".4f"), number_cell(7), number_cell(None), number_cell(np.nan, ".4f")]
    assert [cell.text for cell in shown] == ["0.2500", "7", "–", "–"]
    assert [cell.number for cell in shown[:2]] == [0.25, 7]
    assert all(np.isnan(cell.number) for cell in shown[2:])


def test_only_sortable_tables_have_buttons():
    assert "<button>" not in data_table(["a"], [["x"]])
    assert "<button>a</button>" in data_table(["a"], [["x"]], sortable=True)


def test_table_without_rows_has_its_header(read_page):
    assert "a" in read_page(data_table(["a"], []))


def test_chip_is_drawn_in_its_colour():
    assert 'fill="rgb(1, 2, 3)"' in chip((1, 2, 3))


def test_page_is_written_into_a_folder_that_was_missing(tmp_path):
    write_page("first", tmp_path / "a" / "b" / "page.html")
    write_page("second", tmp_path / "a" / "b" / "page.html")
    assert (tmp_path / "a" / "b" / "page.html").read_text() == "second"
    assert len(list((tmp_path / "a" / "b").iterdir())) == 1


def test_page_that_cannot_be_written_is_said_in_one_line(tmp_path):
    with pytest.raises(StorageError, match=r"is a folder; give the name of a file"):
        write_page("x", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file cannot be made \(.*\); choose another place") as caught:
        write_page("x", tmp_path / "file" / "page.html")
    assert "\n" not in str(caught.value)


def test_no_line_breaks_within_an_option():
    command = "run 'init X --force' (--split official) on a well-known -- data-set--like <thing>"
    kept = (
        'run &#x27;init X <span class="option">--force</span>&#x27; (<span class="option">--split</span> official) '
        "on a well-known -- data-set--like &lt;thing&gt;"
    )
    assert paragraph(command) == f"<p>{kept}</p>"
    assert bullets([command]) == f"<ul><li>{kept}</li></ul>"


@pytest.mark.parametrize("name", ["errors.txt", "errors"])
def test_page_called_otherwise_than_html_is_refused(tmp_path, name):
    with pytest.raises(StorageError, match=r"call it errors\.html"):
        write_page("x", tmp_path / name)
    write_page("x", tmp_path / "errors.HTM")


@pytest.mark.parametrize(("rows", "css"), [(40, "scroll"), (41, "scroll tall")])
def test_a_table_of_very_many_rows_scrolls_by_itself(rows, css):
    assert data_table(["group"], [[str(row)] for row in range(rows)]).startswith(f'<div class="{css}">')
