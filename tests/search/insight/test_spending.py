from dataclasses import replace

from search.insight.spending import account, best_by, count_stops, score_against_time
from search.memory.events import Asked, Closed, Epoch, Halted, Opened


def test_stops_are_counted_by_epoch(make_trials):
    stopped = {"outcome": "stopped by ASHA"}
    history = make_trials(
        {"ious": [0.1], **stopped}, {"ious": [0.1] * 3, **stopped}, {"ious": [0.1], **stopped}, {"ious": [0.1] * 9}
    )
    assert count_stops(history) == {1: 2, 3: 1}


def test_time_is_accounted_for_by_how_trials_ended(make_trials):
    history = make_trials(
        {"ious": [0.1, 0.2]},
        {"ious": [0.1], "outcome": "diverged"},
        {"ious": [], "outcome": "failed"},
        {"ious": [0.1], "outcome": ""},
    )
    found = [(each.end, each.trials, each.seconds, each.epochs) for each in account(history)]
    # Ten seconds an epoch and one to end; who has not ended counts to the last epoch. The most frequent comes first.
    assert found == [("failed", 2, 12.0, 1), ("finished", 1, 21.0, 2), ("not ended", 1, 10.0, 1)]


def test_the_most_frequent_end_is_told_first(make_trials):
    history = make_trials({"ious": [], "outcome": "failed"}, *[{"ious": [], "outcome": "pruned"}] * 2)
    assert [each.end for each in account(history)] == ["pruned", "failed"]


def test_a_trial_that_is_pruned_while_it_waits_takes_no_time_of_a_worker(make_trials):
    history = make_trials({"ious": [], "outcome": "pruned"}, {"ious": [0.1], "outcome": "pruned"})
    assert [(each.trials, each.seconds) for each in account(history)] == [(2, 10.0)]


def test_time_that_epochs_report_is_taken_where_they_do(make_trials):
    history = make_trials({"ious": [0.1, 0.2]})
    epochs = history.trials[0].epochs
    for epoch, record in epochs.items():
        epochs[epoch] = replace(record, metrics={**record.metrics, "seconds": 4.0})
    assert [each.seconds for each in account(history)] == [8.0]
    # Where one of them does not, the clock tells.
    epochs[2] = replace(epochs[2], metrics={"iou": 0.2})
    assert [each.seconds for each in account(history)] == [21.0]


def test_a_worker_that_took_a_trial_after_its_first_epoch_had_it_since_then(make_trials):
    """Epochs after 10 and 20 seconds, the end after 21; a worker that took it after 12 had it for none of the first."""
    history = make_trials({"ious": [0.1, 0.2]})
    history.trials[0] = replace(history.trials[0], started=history.trials[0].started + 12)
    assert [each.seconds for each in account(history)] == [11.0]


def test_best_score_against_time_leaves_pauses_out(make_trials):
    history = make_trials({"ious": [0.3, 0.2, None, 0.5]})
    history.apply(Closed(metrics={}, note="", time=1041.0))
    history.apply(Halted(time=1041.0))
    history.apply(Opened(cache_key="key", time=5000.0))
    history.apply(Asked(trial=1, fold=0, values={}, params={}, time=5000.0))
    history.apply(Epoch(trial=1, epoch=1, metrics={"iou": 0.7}, time=5010.0))
    course = score_against_time(history)
    assert course == [(10.0, 0.3), (40.0, 0.5), (51.0, 0.7)]
    assert [best_by(course, seconds) for seconds in (9, 10, 39, 60)] == [None, 0.3, 0.3, 0.7]


def test_score_of_a_trial_that_failed_is_no_best_score(make_trials):
    failed = {"ious": [0.9], "outcome": "diverged"}
    history = make_trials({"ious": [0.3]}, failed, {"ious": [0.3]}, {"ious": [0.5]})
    assert [score for _, score in score_against_time(history)] == [0.3, 0.5]
    assert score_against_time(make_trials({"ious": [0.9], "outcome": "failed"})) == []
