"""The whole page: what it holds, how large it is, and that it opens in a browser at any width."""

import re
from pathlib import Path

import pytest

from search.folder import SearchFolder
from search.insight.record import read_record
from search.memory.history import History
from search.report.page import render_report, write_report
from segcore.errors import StorageError
from tests.search.report.conftest import gather_quickly

PARTS = (
    "Six questions", "Winner and rivals", "Where the winner fails", "Learning curves", "Who was stopped",
    "What mattered", "Slices", "Choices in parallel", "Score against cost", "Workers and cost", "Pictures",
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
