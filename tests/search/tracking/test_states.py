from search.memory.events import Dropped, Reopened, Started
from search.memory.history import History
from search.memory.trials import follow
from search.tracking.states import States, ended, rank_stopped, running, taken_up

MESSAGE = "iou 0.2000 after epoch 2 is rank 2 of 2"


def stop(script, *, checkpoint=True, ious=(0.1, 0.2)):
    """A trial of four epochs that ASHA stopped after its second."""
    script.ask(0, epochs=4)
    script.epochs(0, *ious)
    if checkpoint:
        script.write("checkpoint", trial=0, epoch=len(ious), path="ray/checkpoint")
    script.end(0, "stopped by ASHA", MESSAGE)
    return script.journal.history.trials[0]


def test_a_trial_that_waits_is_scheduled_until_its_stage_is_closed(script):
    trial = stop(script)
    waits, closed = ended(trial), ended(trial, closed=True)
    assert (waits.status, waits.state, waits.reason) == ("SCHEDULED", "waits after epoch 2 of 4", MESSAGE)
    assert (closed.status, closed.state, closed.reason) == ("FINISHED", "stopped after epoch 2 of 4", MESSAGE)
    assert waits.tags["outcome"] == closed.tags["outcome"] == "stopped by ASHA"


def test_a_trial_that_waited_in_vain_says_that_its_checkpoint_is_gone(script):
    state = ended(stop(script, checkpoint=False))
    assert state.status == "FINISHED"
    assert state.reason == f"{MESSAGE}; its checkpoint was given up, as enough that wait there were better by then"


def test_a_trial_without_a_score_at_its_end_has_failed(script):
    assert ended(stop(script, ious=(0.1, None))).status == "FAILED"


def test_how_a_trial_ended_is_mlflows_status_and_is_told_in_words(script):
    script.ask(0)
    expected = {"finished": "FINISHED", "failed": "FAILED", "diverged": "FAILED", "out of memory": "FAILED"}
    for outcome, status in {**expected, "over a limit": "KILLED", "pruned": "KILLED"}.items():
        script.end(0, outcome)
        state = ended(script.journal.history.trials[0])
        reason = "trained to its end" if outcome == "finished" else ""
        assert (state.status, state.outcome, state.state, state.reason) == (status, outcome, outcome, reason)


def test_a_trial_that_goes_on_says_why(script):
    stopped = stop(script)
    assert taken_up(stopped).reason == "promoted after epoch 2: of those that got there it is among the best"
    script.write("kept", trial=0, reason="promising")
    kept = script.journal.history.trials[0]
    assert taken_up(kept).reason == "promoted after epoch 2: a person spares it from ASHA"
    script.end(0, "failed")
    assert taken_up(script.journal.history.trials[0]).reason == "tried again after it was failed"


def test_why_a_trial_goes_on_stays_told_when_a_worker_takes_it(script):
    trial, states = stop(script), States()
    states.take(Reopened(trial=0), trial, trial)
    states.take(Started(trial=0), trial, trial)
    ((state, _),) = states.pop().values()
    assert state == taken_up(trial)
    assert states.pop() == {}
    states.take(Started(trial=0), trial, trial)
    assert states.pop()[0][0] == running()


def test_a_trial_whose_checkpoint_is_given_up_ended_when_it_stopped(script):
    trial, states = stop(script), States()
    assert trial.ended is not None
    dropped = follow(trial, Dropped(trial=0), "iou")
    states.take(Dropped(trial=0, time=trial.ended + 60), trial, dropped)
    state, stamp = states.pop()[0]
    assert (state.status, stamp) == ("FINISHED", int(1000 * trial.ended))


def test_the_rank_of_a_stopped_trial_is_among_all_that_got_there_by_now(make_trials):
    trials = [{"ious": (0.3, 0.2), "outcome": "stopped by ASHA"}, {"ious": (0.1,), "outcome": "stopped by ASHA"}]
    trials += [{"ious": (0.2, 0.5, 0.6)}, {"ious": (0.05, 0.2)}, {"ious": (None,), "outcome": "stopped by ASHA"}]
    # After epoch 2: 0.5, then trials 0 and 3 with 0.2, the lower number first. After epoch 1: 0.3, 0.2, 0.1, 0.05.
    assert rank_stopped(make_trials(*trials)) == {0: "rank 2 of 3", 1: "rank 3 of 4"}
    assert rank_stopped(History("iou")) == {}
