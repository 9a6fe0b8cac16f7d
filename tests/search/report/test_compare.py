import re
from dataclasses import replace

import pytest

from search.insight.record import read_record
from search.memory.history import History
from search.memory.outcome import Outcome
from search.report.compare import course_by_cost, render_comparison
from tests.search.report.conftest import gather_quickly
from tests.search.report.simulated import simulate_search


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Two searches that were confirmed and retrained."""
    storage = tmp_path_factory.mktemp("both") / "searches"
    return [
        gather_quickly(read_record(simulate_search(storage, trials=6, workers=2, name=name, seed=seed)))
        for seed, name in enumerate(("first", "second"))
    ]


def test_two_searches_stand_beside_each_other(both):
    page = render_comparison(*both, "now")
    parts = ["The winners", "Six questions", "Score against cost", "What they cost", "Settings that differ"]
    assert re.findall("<h2>(.*?)</h2>", page) == [*parts, "Each by itself"]
    assert page.count('class="answer one"') == page.count('class="answer two"') == 6
    assert "The winners on the same images" in page
    assert re.search(r"<th[^>]*>seed</th>\s*<td>0</td>\s*<td>1</td>", page)
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)


def test_a_search_that_has_not_begun_has_a_place_beside_another(both, make_record):
    empty = gather_quickly(make_record(History("iou")))
    for pair in ((both[0], empty), (empty, empty)):
        page = render_comparison(*pair, "now")
        assert "none yet" in page
        assert "What their configurations differ in" not in page
        assert "There are no two winners yet." in page


def test_of_a_search_whose_trials_all_failed_no_course_is_drawn(both, make_record, make_trials):
    failed = gather_quickly(make_record(make_trials({"ious": [0.5], "outcome": "failed"})))
    assert "One has no score that can win yet." in render_comparison(both[0], failed, "now")


def test_the_course_of_scores_is_told_by_what_devices_took(make_record, make_trials):
    history = make_trials({"ious": [0.3, 0.2]}, {"ious": [0.5, None]})
    for trial in history.in_order:
        for epoch, record in trial.epochs.items():
            trial.epochs[epoch] = replace(record, metrics={**record.metrics, "seconds": 1800.0})
    # Half an hour each on half a GPU; the last point is where all has been trained.
    course = course_by_cost(gather_quickly(make_record(history, place={"gpus_per_trial": 0.5})))
    assert course == [(0.25, 0.3), (0.75, 0.5), (1.0, 0.5)]
    # One that failed costs as much, and can win nothing.
    history.trials[1] = replace(history.trials[1], outcome=Outcome.FAILED)
    course = course_by_cost(gather_quickly(make_record(history, place={"gpus_per_trial": 0.5})))
    assert course == [(0.25, 0.3), (1.0, 0.3)]
