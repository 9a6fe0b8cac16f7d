from search.insight.stops import Stop
from search.memory.events import Asked, Epoch, Opened
from search.memory.history import History
from search.report.spending import Stretch, assign_lanes, find_stretches, score_against_cost, workers


def trained(*ends: tuple[int, int, float]) -> History:
    """Epochs of ten seconds: (trial, epoch, when it ended)."""
    history = History("iou")
    history.apply(Opened(cache_key="key", time=0))
    for trial in sorted({trial for trial, _, _ in ends}):
        history.apply(Asked(trial=trial, fold=0, values={}, params={}, time=0))
    for trial, epoch, end in ends:
        history.apply(Epoch(trial=trial, epoch=epoch, metrics={"iou": 0.5, "seconds": 10.0}, time=end))
    return history


def test_epochs_one_after_the_other_are_one_stretch_and_a_break_makes_two():
    history = trained((0, 1, 10), (0, 2, 22), (0, 3, 60), (1, 1, 15))
    assert find_stretches(history, ()) == [
        Stretch(trial=0, begin=0, end=22),
        Stretch(trial=1, begin=5, end=15),
        Stretch(trial=0, begin=50, end=60),
    ]


def test_what_goes_on_after_a_stop_is_another_stretch():
    stop = Stop(trial=0, epoch=1, reason="", time=10, taken_up=11)
    assert [each.begin for each in find_stretches(trained((0, 1, 10), (0, 2, 21)), [stop])] == [0, 11]


def test_stretches_lie_in_as_few_lanes_as_hold_them():
    a, b, c, d = (
        Stretch(trial=number, begin=begin, end=end)
        for number, (begin, end) in enumerate([(0, 9), (1, 3), (3, 5), (4, 8)])
    )
    assert assign_lanes([a, b, c, d]) == [[a], [b, c], [d]]
    assert assign_lanes([]) == []


def test_workers_and_costs_are_shown(matter):
    section = workers(matter)
    assert "2 trained at once at most." in section.content
    assert "GPU-hours" in section.content
    assert "stopped by ASHA" in section.content


def test_cost_is_shown_by_training_and_by_prediction_time(matter):
    page = score_against_cost(matter).content
    assert "minutes of a worker" in page
    assert "milliseconds for an image" in page
    assert page.count('class="front"') == 2


def test_trials_that_took_no_time_have_no_chart_of_it(make_record, make_matter):
    """As in a journal that somebody edited, or whose clock stood still."""
    history = History("iou")
    history.apply(Asked(trial=0, fold=0, values={}, params={}, time=1000.0))
    history.apply(Epoch(trial=0, epoch=1, metrics={"iou": 0.5, "latency_ms": 3.0}, time=1000.0))
    page = score_against_cost(make_matter(make_record(history))).content
    assert "minutes of a worker" not in page
    assert "milliseconds for an image" in page


def test_no_trial_that_failed_is_among_those_that_no_other_beats(make_record, make_matter, make_trials):
    lost, won = {"ious": [0.9], "outcome": "diverged"}, {"ious": [0.5]}
    shown = [
        str(score_against_cost(make_matter(make_record(make_trials(*trials)))).content) for trials in ([lost], [won])
    ]
    assert [page.count('class="front"') for page in shown] == [0, 1]
