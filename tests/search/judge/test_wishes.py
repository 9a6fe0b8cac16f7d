import pytest

from search.judge.asha import Asha
from search.judge.wishes import fulfil
from search.memory.events import (
    Asked,
    CheckpointSaved,
    Dropped,
    Ended,
    Epoch,
    Event,
    Kept,
    Pruned,
    Started,
    encode_event,
    parse_event,
)
from search.memory.history import History
from search.memory.outcome import Outcome
from segcore.config import TrainConfig
from segcore.errors import CheckpointError, ConfigError

VALUES = TrainConfig.from_values({}).values()


def tell(*events: Event) -> tuple[History, Asha]:
    """Trial 0 as the events say it, after it was asked for."""
    history, asha = History("iou"), Asha(grace_epochs=1, reduction_factor=2, epochs=9, metric="iou")
    for event in (Asked(trial=0, fold=0, values=VALUES, params={}), *events):
        # As the journal of a search that goes on says it.
        for fold in (history, asha):
            fold.apply(parse_event(encode_event(event)))
    return history, asha


EPOCH = Epoch(trial=0, epoch=1, metrics={"iou": 0.5})
SAVED = CheckpointSaved(trial=0, epoch=1, path="ray/checkpoint")
STOPPED = Ended(trial=0, outcome=Outcome.STOPPED)


def test_a_running_trial_is_pruned_when_its_epoch_is_done():
    history, asha = tell(Started(trial=0))
    (event,) = fulfil("prune", 0, "enough", history, asha)
    assert isinstance(event, Pruned)
    history, asha = tell(Started(trial=0), event)
    assert asha.decide(0, 1, 0.9) == "enough"
    assert history.trials[0].pruned == "enough"


@pytest.mark.parametrize("events", [(), (EPOCH, SAVED), (EPOCH, SAVED, STOPPED)], ids=["asked", "halted", "stopped"])
def test_a_waiting_trial_is_pruned_at_once(events):
    history, asha = tell(*events)
    wish, end = fulfil("prune", 0, "enough", history, asha)
    assert (type(wish), end.outcome, end.message) == (Pruned, Outcome.PRUNED, "enough")
    history, asha = tell(*events, wish, end)
    assert history.trials[0].outcome is Outcome.PRUNED
    assert not asha.waits(0)
    assert history.unfinished == []


@pytest.mark.parametrize("events", [(Started(trial=0),), (EPOCH, SAVED, STOPPED)], ids=["running", "stopped"])
def test_a_trial_that_runs_or_waits_is_kept(events):
    (event,) = fulfil("keep", 0, "promising", *tell(*events))
    history, asha = tell(*events, event)
    assert (type(event), history.trials[0].kept) == (Kept, True)
    assert asha.find_promoted() == (0 if STOPPED in events else None)


def test_the_later_of_two_wishes_counts():
    kept, pruned = Kept(trial=0, reason="promising"), Pruned(trial=0, reason="enough")
    history, asha = tell(Started(trial=0), kept, pruned)
    assert (history.trials[0].kept, asha.is_pruned(0)) == (False, True)
    history, asha = tell(Started(trial=0), pruned, kept)
    assert (history.trials[0].kept, history.trials[0].pruned, asha.is_pruned(0)) == (True, "", False)


@pytest.mark.parametrize("wish", ["prune", "keep"])
@pytest.mark.parametrize("outcome", [Outcome.FINISHED, Outcome.DIVERGED, Outcome.PRUNED])
def test_a_trial_that_has_ended_for_good_is_neither_pruned_nor_kept(wish, outcome):
    with pytest.raises(ConfigError, match=rf"Trial 0 has ended .*\({outcome}\)"):
        fulfil(wish, 0, "late", *tell(EPOCH, Ended(trial=0, outcome=outcome)))


def test_a_trial_whose_checkpoint_was_given_up_cannot_be_kept():
    with pytest.raises(ConfigError, match="without a checkpoint"):
        fulfil("keep", 0, "late", *tell(EPOCH, SAVED, STOPPED, Dropped(trial=0)))


def test_a_trial_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(ConfigError, match=r"Trial 7 is not in this search; it has 0 to 0\."):
        fulfil("keep", 7, "why", *tell())
    with pytest.raises(ConfigError, match=r"Trial 0 is not in this search; it has none yet\."):
        fulfil("prune", 0, "why", History("iou"), tell()[1])


@pytest.mark.parametrize("kind", ["pruned", "kept"])
@pytest.mark.parametrize(
    "content",
    ['"trial": 0', '"trial": -1, "reason": "x"', '"trial": 0, "reason": ""', '"trial": 0, "reason": "x", "a": 1'],
)
def test_a_crafted_wish_in_a_journal_is_refused(kind, content):
    with pytest.raises(CheckpointError):
        parse_event(f'{{"event": "{kind}", "time": 1.0, {content}}}'.encode())


def test_a_wish_for_a_trial_that_was_never_asked_for_is_refused():
    history = History("iou")
    with pytest.raises(CheckpointError, match="trial 3 was never asked for"):
        history.apply(Kept(trial=3, reason="x"))
