import pytest

from benchmarks.scale.browsing import describe, find_pages, open_page
from search.place import read_place
from search.settings import read_settings
from search.tracking.follower import Tracker
from tests.browser import needs_chromium
from tests.search.report.simulated import simulate_search


def test_every_view_the_search_s_own_run_and_the_report_are_opened(tmp_path):
    folder = simulate_search(tmp_path / "searches", trials=3, workers=1, finish=False, name="three")
    place = read_place(folder.place)
    assert Tracker(read_settings(folder.settings), place, "search", folder.search_stage).close() == 0
    pages = find_pages(folder, place.tracking_uri)
    assert [*pages] == [
        "At a glance", "Leaderboard", "By class", "By condition", "Pictures", "Cost and resources",
        "Confirmation and folds", "The search's own run", "report.html",
    ]  # fmt: skip
    assert pages["Leaderboard"].endswith("compareRunsMode=TABLE&viewStateShareKey=three-leaderboard")
    assert pages["report.html"].startswith("file:///")


@needs_chromium
@pytest.mark.slow
def test_a_page_is_measured_until_it_changes_no_more(tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        "<p>begun</p><div class=skeleton></div><script>setTimeout(() => {document.querySelector('div').remove();"
        "document.querySelector('p').textContent = 'drawn'}, 1000)</script>"
    )
    seconds, processor_seconds = open_page(page.as_uri())
    assert seconds > 1
    assert processor_seconds > 0


def test_a_line_has_all_tries():
    assert describe("At a glance", [(12.34, 5.0), (10.0, 4.96)], 1.6) == (
        "At a glance              12.3, 10.0 s; the browser's processor 5.0, 5.0 s; load 2"
    )
