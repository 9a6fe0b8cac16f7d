"""The whole page: what it holds, how large it is, and that it opens in a browser at any width."""

import re
from pathlib import Path

import pytest

from search.folder import SearchFolder
from search.insight.record import read_record
from search.memory.history import History
from search.report.page import render_report, write_report
from segcore.errors import StorageError
from tests.browser import browse, needs_chromium
from tests.search.report.conftest import gather_quickly

PARTS = (
    "Six questions", "Winner and rivals", "Where the winner fails", "Learning curves", "Who was stopped",
    "What mattered", "Slices", "Parallel coordinates", "Score against cost", "Workers and cost", "Pictures",
    "All trials", "How to do it again", "What to run next",
)  # fmt: skip
LARGEST_BYTES = 6_000_000


@pytest.fixture(scope="module")
def page(large: SearchFolder) -> str:
    """The page of 500 trials."""
    return render_report(gather_quickly(read_record(large)), "now")


def test_a_page_of_500_trials_has_every_part_and_is_small(page):
    assert tuple(re.findall("<h2>(.*?)</h2>", page)) == PARTS
    assert len(page.encode()) < LARGEST_BYTES
    assert len(set(re.findall(r'<tr data-t="(\d+)">', page))) == 500


def test_a_page_fetches_nothing(page):
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert "default-src 'none'" in page


def test_whatever_is_known_a_search_has_a_page(make_record, make_matter, make_trials, small):
    for record in (
        make_record(History("iou")),
        make_record(make_trials({"ious": [], "outcome": ""})),
        make_record(make_trials({"ious": [None]})),
        make_record(make_trials({"ious": [0.5]}, {"ious": [], "outcome": "failed"})),
        read_record(small),
    ):
        assert tuple(re.findall("<h2>(.*?)</h2>", render_report(make_matter(record), "now"))) == PARTS


def test_what_users_wrote_is_escaped(make_record, make_matter, make_trials):
    evil = "</script><script>alert(1)</script>"
    history = make_trials({"params": {evil: evil}, "ious": [0.5]}, {"params": {evil: "b"}, "ious": [0.6]})
    record = make_record(history, place={"data": evil}, settings={"space": evil})
    assert evil not in render_report(make_matter(record), evil)


def test_a_page_that_cannot_be_written_is_told(small, tmp_path):
    with pytest.raises(StorageError, match="is a folder"):
        write_report(read_record(small), Path(tmp_path))


@needs_chromium
def test_a_page_of_500_trials_is_read_and_searched_in_a_browser_at_any_width(page, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    with browse(tmp_path / "profile") as browser:
        browser.open(file.as_uri())
        browser.wait_for(*PARTS)
        for width in (500, 1400, 1100):
            browser.ask(
                "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
            )
            assert browser.run("document.documentElement.scrollWidth") <= width
        # On a laptop's screen what was decided is read without scrolling.
        assert browser.run(_SCROLLING) == []
        # The pointer over a line marks its trial in every chart and table, and says what it is.
        browser.run(_POINTER)
        browser.run("point(document.querySelector('#parallel polyline.win'), 'pointermove', 0)")
        assert browser.run("document.querySelectorAll('.lit').length") > len(PARTS)
        assert "the winner: finished" in browser.run("document.getElementById('tip').textContent")
        # The upper half of the last axis chooses by score.
        browser.run(f"for (const [kind, share] of {_DRAG}) point(hits.at(-1), kind, share)")
        chosen = browser.run("document.getElementById('chosen').textContent")
        assert re.fullmatch(r"\d+ of 49\d trials are chosen, in every chart and table; .*", chosen)
        assert 400 < browser.run("document.querySelectorAll('tr.out').length") < 500
        # One without a score has no line that could be chosen.
        assert browser.run(_CHOSEN_WITHOUT_LINE) == []
        browser.run(f"for (const [kind, share] of {_CLICK}) point(hits.at(-1), kind, share)")
        assert browser.run("document.querySelectorAll('.out').length") == 0


_SCROLLING = """
[...document.querySelectorAll(".verdict .scroll")].filter(table => table.scrollWidth > table.clientWidth)
    .map(table => table.innerText)
"""
_CHOSEN_WITHOUT_LINE = """
[...document.querySelectorAll("tr[data-t]:not(.out)")].map(row => row.dataset.t)
    .filter(trial => !document.querySelector(`#parallel polyline[data-t="${trial}"]`))
"""
_POINTER = """
const hits = [...document.querySelectorAll("#parallel .axis-hit")];
SVGElement.prototype.setPointerCapture = () => {};
function point(mark, kind, share) {
  const box = mark.getBoundingClientRect();
  const place = {clientX: box.x + 1, clientY: box.y + share * box.height, bubbles: true, pointerId: 1};
  mark.dispatchEvent(new PointerEvent(kind, place));
}
"""
_DRAG = '[["pointerdown", 0], ["pointermove", 0.3], ["pointerup", 0.3]]'
_CLICK = '[["pointerdown", 0.5], ["pointerup", 0.5]]'
