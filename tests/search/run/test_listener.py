import pytest

from search.folder import StageFolder
from search.judge.asha import Asha
from search.memory.outcome import Outcome
from search.requests import Inbox, Request, send_request
from search.run.listener import Listener
from search.run.recorder import Recorder
from search.run.retries import Retries


@pytest.fixture
def listener(script):
    """Listens to the folder of a search with one trial that no worker has yet."""
    root = script.journal.file.parent
    asha = Asha(grace_epochs=1, reduction_factor=2, epochs=4, metric="iou")
    script.journal.follow(asha)
    script.ask(0)
    retries = Retries(script.journal, 0, dict, set().add, set().add)
    return Listener(Inbox(root), Recorder(script.journal, StageFolder(root=root), asha, retries), script.journal)


def test_what_is_asked_of_a_trial_is_done_once(listener, script):
    send_request(script.journal.file.parent, Request(kind="prune", trial=0, reason="asked for by me"))
    listener.on_step_begin(1, [])
    listener.on_step_begin(2, [])
    trial = script.journal.history.trials[0]
    assert (trial.outcome, trial.message) == (Outcome.PRUNED, "asked for by me")
    assert script.journal.history.warnings == []


def test_what_cannot_be_done_is_a_warning_that_names_who_asked(listener, script):
    send_request(script.journal.file.parent, Request(kind="keep", trial=4, reason="asked for by me"))
    listener.on_step_begin(1, [])
    assert [warning.message for warning in script.journal.history.warnings] == [
        "Trial 4 is not in this search; it has 0 to 0. (It was asked for by me.)"
    ]


def test_a_stop_is_left_to_the_run(listener, script):
    send_request(script.journal.file.parent, Request(kind="stop", reason="asked for by me"))
    listener.on_step_begin(1, [])
    assert script.journal.history.trials[0].outcome is None
    assert script.journal.history.warnings == []


def test_where_nobody_is_heard_nothing_is_done(listener, script):
    Listener(None, listener._recorder, script.journal).on_step_begin(1, [])
    assert script.journal.history.trials[0].outcome is None
