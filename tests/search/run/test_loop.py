import itertools
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from search.folder import StageFolder
from search.judge import asha as scheduler
from search.judge.asha import Asha
from search.judge.progress import build_asha, find_nothing_but_failures, is_over, require_time_left
from search.memory.events import Asked, Event, Halted, Opened
from search.memory.history import History
from search.memory.journal import Journal, read_events, read_history, replay
from search.memory.outcome import Outcome
from search.propose.proposer import Proposer
from search.run import loop as tuner
from search.run import tuning
from search.run.loop import (
    choose_trial,
    require_done,
    require_search,
    require_success,
    retry_failed,
    run_folds,
    run_search,
)
from search.run.queue import TrialQueue
from search.run.scheduler import AshaScheduler
from search.run.stage import Stage, require_same_data
from search.run.trial import STATE_FILE
from search.run.trial_job import TrialJob
from search.run.tuning import make_assignment
from search.space.draw import RejectedDrawError
from segcore.data.caching.build import prepare_cache
from segcore.data.caching.cache import PixelCache
from segcore.data.classes import class_table_to_json
from segcore.data.dataset import read_dataset
from segcore.data.dividing.split import FoldSplit
from segcore.errors import CheckpointError, ConfigError, InterruptedSearchError
from tests.conftest import save_dataset


@pytest.fixture
def stage(make_settings, make_place, script, tmp_path):
    job = TrialJob(
        extra=(),
        data=tmp_path, cache_root=tmp_path, cache_key="key",
        split=FoldSplit(folds=2, fold_of={}, block_of={}), cpus=1, gpus=0, metric="iou",
    )  # fmt: skip
    folder = StageFolder(root=script.journal.file.parent)
    return Stage(settings=make_settings(), place=make_place(), folder=folder, journal=script.journal, job=job)


def test_stage_that_never_ran_takes_any_data(stage):
    require_same_data(stage)


def test_stage_goes_on_with_the_data_it_began_with_and_no_other(stage):
    stage.journal.write(Opened(cache_key="key"))
    require_same_data(stage)
    with pytest.raises(CheckpointError, match=r"changed since .* began, so its scores cannot be compared"):
        require_same_data(replace(stage, job=replace(stage.job, cache_key="other")))


def test_stage_takes_no_other_data_than_the_stages_before_it(stage):
    search = History("iou")
    search.apply(Opened(cache_key="other"))
    with pytest.raises(CheckpointError, match="changed since"):
        require_same_data(stage, History("iou"), search)
    search.apply(Opened(cache_key="key"))
    require_same_data(stage, History("iou"), search)


def test_stage_whose_trials_have_ended_is_done(stage, script):
    script.ask(0)
    script.end(0)
    require_done(stage, True, 1)


@pytest.mark.parametrize("trials", [2, 3], ids=["one unfinished", "one never asked"])
def test_stage_that_stopped_early_was_interrupted(stage, script, trials):
    script.ask(0)
    script.end(0)
    script.ask(1)
    if trials == 3:
        script.end(1)
    ended = rf"Interrupted when {trials - 1} of {trials}"
    with pytest.raises(InterruptedSearchError, match=rf"{ended} trainings had ended; go on with .* search retrain"):
        require_done(replace(stage, name="retrain"), False, trials)
    with pytest.raises(InterruptedSearchError, match=rf"{ended} trials had ended; go on with .* search resume"):
        require_done(stage, False, trials)


def test_spent_time_is_refused_where_there_is_something_left_to_do(stage, script):
    settings = replace(stage.settings, trials=1, time_budget_seconds=60)
    stage.journal.write(Opened(cache_key="key", time=1000.0))
    script.ask(0)
    script.end(0, "failed")
    history, asha = script.journal.history, build_asha(settings)
    script.journal.follow(asha)
    require_time_left(settings, history, asha)
    require_time_left(replace(settings, trials=2, time_budget_seconds=0), history, asha)
    for changes, retry in (({"trials": 2}, False), ({}, True)):
        with pytest.raises(ConfigError, match="The time budget of 60 s is spent; grant more with"):
            require_time_left(replace(settings, **changes), history, asha, retry=retry)


def test_folds_that_are_not_wanted_any_more_are_left_as_they_are(stage, script):
    """Ray is never asked: the only unfinished training is of a former candidate."""
    for trial, (source, outcome) in enumerate(((4, "finished"), (5, ""))):
        content = {"trial": trial, "fold": 1, "values": {}, "params": {}, "source": source}
        script.journal.write(Asked(**content))
        if outcome:
            script.end(trial, outcome)
    run_folds(stage, {0})
    assert [trial.source for trial in script.journal.history.unfinished] == [5]


def fail(script, count, outcome="failed"):
    first = len(script.journal.history.trials)
    for trial in range(first, first + count):
        script.ask(trial)
        script.end(trial, outcome, f"no disk in trial {trial}")


def test_run_that_does_nothing_but_fail_is_ended_with_the_last_message(stage, script):
    fail(script, 9)
    assert find_nothing_but_failures(script.journal.history, 0.0) == []
    fail(script, 1, "out of memory")
    script.ask(10)  # runs
    with pytest.raises(InterruptedSearchError) as caught:
        require_success(stage, 0.0)
    assert str(caught.value).splitlines() == [
        "Stopped: none of 10 trials reached a score (9 failed, 1 out of memory).",
        "The last that failed, trial 9, out of memory: no disk in trial 9",
        f"Mend the cause, then go on with '{stage.folder.command('resume', '--retry-failed')}'.",
    ]


def test_what_all_diverged_is_not_offered_to_be_tried_again(stage, script):
    fail(script, 10, "diverged")
    with pytest.raises(InterruptedSearchError) as caught:
        require_success(stage, 0.0)
    told = str(caught.value)
    assert "The last that failed, trial 9, diverged: no disk in trial 9" in told
    assert "--retry-failed" not in told
    assert "Launch a search with smaller learning rates, or --set precision=fp32" in told


@pytest.mark.parametrize(("failed", "limited"), [(9, 1), (0, 12)])
def test_trials_over_a_limit_reach_no_score_either(stage, script, failed, limited):
    fail(script, failed)
    fail(script, limited, "over a limit")
    with pytest.raises(InterruptedSearchError) as caught:
        require_success(stage, 0.0)
    told = str(caught.value)
    assert f"none of {failed + limited} trials reached a score" in told
    assert f"The last over a limit, trial {failed + limited - 1}: no disk" in told
    assert "Raise --max-latency-ms or --max-memory-gib in a new search" in told
    assert ("--retry-failed" in told) == bool(failed)


def test_a_score_shows_that_trials_can_work(stage, script):
    script.ask(0)
    script.epochs(0, 0.5)
    fail(script, 30)
    require_success(stage, 0.0)


def test_failures_before_a_resume_do_not_count(stage, script):
    fail(script, 10)
    since = script.journal.history.trials[9].ended + 0.001
    assert find_nothing_but_failures(script.journal.history, since) == []


def test_failed_trials_go_on_from_their_checkpoints_and_those_that_diverged_do_not(script):
    """GPUs differ, so one that had too little memory is tried again, too."""
    outcomes = ("finished", "failed", "diverged", "out of memory", "stopped by ASHA")
    for trial, outcome in enumerate(outcomes):
        script.ask(trial, fold=2, params={"batch_size": 8}, batch_size=8)
        script.epochs(trial, 0.5)
        script.write("checkpoint", trial=trial, epoch=1, path=f"ray/{trial}")
        script.end(trial, outcome)
    assert retry_failed(script.journal) == 2
    assert [trial.number for trial in script.journal.history.unfinished] == [1, 3]
    trial = script.journal.history.trials[1]
    assert (trial.fold, trial.params, trial.last_epoch, trial.checkpoint) == (2, {"batch_size": 8}, 1, "ray/1")


@pytest.mark.parametrize(("made", "epoch"), [((3, 2), 3), ((2,), 2), ((), 0)])
def test_a_trial_is_given_the_checkpoints_that_are_there_and_begins_anew_without_one(stage, script, made, epoch):
    """The lines of a journal that are left of it may name checkpoints that came and went since."""
    folders = {each: stage.folder.ray / "run-1" / f"checkpoint_{each}" for each in made}
    for folder in folders.values():
        folder.mkdir(parents=True)
        (folder / STATE_FILE).touch()
    script.ask(0)
    for each in (2, 3):
        script.write("checkpoint", trial=0, epoch=each, path=f"ray/run-1/checkpoint_{each}")
    config = make_assignment(stage, 0)
    assert (config["checkpoints"], config["after_epoch"]) == ([str(folder) for folder in folders.values()], epoch)


def test_a_journal_with_a_checkpoint_elsewhere_is_refused(stage, script, tmp_path):
    script.ask(0)
    script.write("checkpoint", trial=0, epoch=3, path=str(tmp_path))
    with pytest.raises(CheckpointError, match="not inside of"):
        make_assignment(stage, 0)


def test_retried_training_stays_that_of_its_configuration(script):
    content = {"trial": 0, "fold": 1, "values": {}, "params": {}, "source": 11, "drawable": False}
    script.journal.write(Asked(**content))
    script.end(0, "failed")
    retry_failed(script.journal)
    trial = script.journal.history.trials[0]
    assert (trial.source, trial.drawable, trial.outcome) == (11, False, None)


class KilledError(Exception):
    """The driver died."""


class MortalJournal(Journal):
    """A journal whose driver dies after so many more events.

    Args:
        file: the journal.
        metric: what decides.
        events_left: how many; None: it lives on.
        late: whether it dies just before the next event, when all between the two has happened, or at once.
    """

    def __init__(self, file: Path, metric: str, events_left: int | None, *, late: bool) -> None:
        super().__init__(file, metric)
        self.events_left, self.late = events_left, late

    def write(self, event: Event) -> None:
        if self.events_left == 0:
            raise KilledError
        super().write(event)
        if self.events_left is not None:
            self.events_left -= 1
        if self.events_left == 0 and not self.late:
            raise KilledError


class Workers:
    """In Ray's place: workers that train an epoch each in turn, and tell of it in Ray's order.

    A checkpoint is a folder with the number of finished epochs.

    Args:
        curves: scores by epoch of each trial; at None the training diverges.
        count: trainings at a time.
    """

    def __init__(self, curves: Sequence[Sequence[float | None]], count: int = 1) -> None:
        self.curves, self.count = curves, count
        self.runs: list[list[int]] = []

    def run_trials(self, stage, next_trial, recorder, asha, budget_seconds, count_left) -> bool:
        folder = stage.folder.ray / f"run-{len(list(stage.folder.ray.glob('run-*')))}"
        folder.mkdir(parents=True)
        self.runs.append([])
        queue, judge, running = TrialQueue(next_trial, lambda: self.count), AshaScheduler(asha), []
        names = map(str, itertools.count())
        while True:
            while isinstance(config := queue.suggest(name := next(names)), dict):
                trial = Trial("no_trainable", stub=True, config=config, trial_id=name)
                # Ray mixes the checkpoints of two trials of one folder.
                (folder / tuning._name_trial(trial)).mkdir()
                self.runs[-1].append(config["trial"])
                recorder.on_trial_start(1, [trial], trial)
                running.append(trial)
            if not running:
                assert config == Searcher.FINISHED, "it waits, and nothing runs"
                break
            trial = running.pop(0)
            if self._train_epoch(trial, folder / tuning._name_trial(trial), judge, recorder):
                running.append(trial)
            else:
                queue.on_trial_complete(trial.trial_id)
                recorder.on_trial_complete(1, [trial], trial)
        return False

    def _train_epoch(self, trial, folder, judge, recorder) -> bool:
        """Say whether the trial goes on."""
        saved = [*reversed(trial.config["checkpoints"]), *sorted(folder.iterdir())]
        epoch = int((Path(saved[-1]) / STATE_FILE).read_text()) + 1 if saved else 1
        curve = self.curves[trial.config["trial"]]
        farewell = "finished" if epoch > len(curve) else "diverged" if curve[epoch - 1] is None else ""
        if farewell:
            result = {"outcome": farewell, "message": ""}
            recorder.on_trial_result(1, [trial], trial, result)
            trial.update_last_result(result)
            return False
        iou = curve[epoch - 1]
        outcome = "finished" if epoch == len(curve) else ""
        result = {"epoch": epoch, "outcome": outcome, "message": "", "metrics": {"iou": iou}}
        verdict = judge.on_trial_result(None, trial, {"epoch": epoch, "metrics/iou": iou})
        recorder.on_trial_result(1, [trial], trial, result)
        trial.update_last_result(result)
        checkpoint = folder / f"checkpoint_{epoch}"
        checkpoint.mkdir()
        (checkpoint / STATE_FILE).write_text(str(epoch))
        recorder.on_checkpoint(1, [trial], trial, tune.Checkpoint(str(checkpoint)))
        return verdict == AshaScheduler.CONTINUE and not outcome


@pytest.fixture
def search(stage, make_settings, monkeypatch, tmp_path) -> Callable[..., Stage]:
    """Return a function that runs a search, new or resumed, and says how it left its stage."""
    # A process is killed here, no machine: what it wrote stays, and waiting for the disk takes seconds.
    monkeypatch.setattr(os, "fsync", lambda _: None)

    def run(workers: Workers, name: str = "it", *, dies_after: int | None = None, late: bool = False) -> Stage:
        settings = make_settings(space="demo", trials=len(workers.curves), epochs=4, grace_epochs=1, reduction_factor=2)
        folder = StageFolder(root=tmp_path / name)
        journal = MortalJournal(folder.journal, "iou", dies_after, late=late)
        begun = Stage(settings=settings, place=stage.place, folder=folder, journal=journal, job=stage.job)
        monkeypatch.setattr(tuner, "run_trials", workers.run_trials)
        try:
            journal.write(Opened(cache_key="key"))
            run_search(begun, SimpleNamespace(usual_side=128, cases=()))
            journal.write(Halted())
        finally:
            begun.journal.close()
        return begun

    return run


def learn(settings, journal: Path) -> tuple[History, Asha]:
    """What a journal says."""
    history, asha = History("iou"), build_asha(settings)
    replay(journal, history, asha)
    return history, asha


def outcomes_of(stage: Stage) -> list[Outcome | None]:
    return [trial.outcome for trial in stage.journal.history.in_order]


FOUR = ((0.5, 0.55, 0.6, 0.65), (0.4, 0.4, 0.4, 0.4), (0.6, 0.6, 0.6, 0.6), (0.3, 0.3, 0.3, 0.3))
"""Rungs are after epochs 1 and 2. Trial 0 waits, first of one; 1 waits, second of two, so that 0 goes on; it waits at
epoch 2, first of one. 2 is first of three, then of two, and trains to its end. 3 waits, fourth of four."""


def test_trials_that_wait_are_taken_up_before_new_ones_begin(search):
    workers = Workers(FOUR)
    stage = search(workers)
    assert workers.runs == [[0, 1, 0, 2, 3]]
    finished, stopped = Outcome.FINISHED, Outcome.STOPPED
    assert outcomes_of(stage) == [stopped, stopped, finished, stopped]
    assert [trial.last_epoch for trial in stage.journal.history.in_order] == [2, 1, 4, 1]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("trials", [1, 2, 3, 12])
def test_every_search_trains_a_trial_to_its_end(search, trials, count):
    stage = search(Workers([[0.5 + 0.01 * ((7 * number) % 12)] * 4 for number in range(trials)], count))
    assert Outcome.FINISHED in outcomes_of(stage)
    assert None not in outcomes_of(stage)


def test_lone_trial_is_taken_up_at_each_rung(search):
    workers = Workers([[0.1, 0.2, 0.3, 0.4]])
    stage = search(workers)
    assert workers.runs == [[0, 0, 0]]
    assert outcomes_of(stage) == [Outcome.FINISHED]
    assert [event.epoch for event in read_events(stage.folder.journal) if event.event == "epoch"] == [1, 2, 3, 4]


def test_trial_that_waits_takes_the_place_of_one_that_diverged(search):
    workers = Workers([(0.5, None), (0.4, 0.4, 0.4, 0.4)])
    assert outcomes_of(search(workers)) == [Outcome.DIVERGED, Outcome.FINISHED]
    # 0 is first of two and goes on; so far as it has not failed, it alone would: ceil(2 / 2) = 1.
    assert workers.runs == [[0, 1, 0, 1, 1]]


def test_unfinished_trials_go_on_first_then_those_that_wait_then_new_ones(search):
    curves = ((0.5, 0.5, 0.5, 0.5), (0.4, 0.4, 0.4, 0.4), (0.3, 0.3, 0.3, 0.3), (0.2, 0.2, 0.2, 0.2))
    killed, resumed = Workers(curves, 2), Workers(curves)
    with pytest.raises(KilledError):
        # opened, 0 and 1 asked and started; epoch, checkpoint and end of 0; 2 asked and started; the same of 1.
        search(killed, dies_after=1 + 4 + 3 + 2 + 3)
    search(resumed)
    assert killed.runs == [[0, 1, 2]]
    # 2 is third of three and waits; of three, one goes on: 0, which waits as first of one at epoch 2. 3 is fourth of
    # four and waits. Now none is left to begin: of one at epoch 2 one goes on, 0; of four at epoch 1 two, with 1.
    assert resumed.runs == [[2, 0, 3, 0, 1]]


def test_search_whose_trials_have_all_ended_starts_nothing(search):
    workers = Workers(FOUR)
    before = search(workers).journal.history.trials
    again = search(workers)
    assert workers.runs == [[0, 1, 0, 2, 3]]
    assert again.journal.history.trials == before
    assert is_over(again.settings, *learn(again.settings, again.folder.journal))


def test_search_that_ended_while_a_trial_waits_is_not_over_and_takes_it_up(search, make_settings, tmp_path):
    workers = Workers([(0.1, 0.2, 0.3, 0.4)])
    with pytest.raises(KilledError):
        search(workers, dies_after=6)  # opened, asked, started, epoch, checkpoint, ended
    settings = make_settings(trials=1, epochs=4, grace_epochs=1, reduction_factor=2)
    journal = StageFolder(root=tmp_path / "it").journal
    assert read_history(journal, "iou").unfinished == []
    assert not is_over(settings, *learn(settings, journal))
    with pytest.raises(ConfigError, match="is spent; grant more"):
        require_time_left(replace(settings, time_budget_seconds=1e-9), *learn(settings, journal))
    search(workers)
    assert workers.runs == [[0], [0, 0]]
    assert is_over(settings, *learn(settings, journal))


def test_search_interrupted_while_a_trial_waits_says_so(search, monkeypatch):
    """Ray Tune ends as if all were well, between the end of a trial and its being taken up again."""
    with pytest.raises(KilledError):
        search(Workers([(0.1, 0.2, 0.3, 0.4)]), dies_after=6)
    idle = SimpleNamespace(curves=[()], run_trials=lambda *arguments: False)
    with pytest.raises(InterruptedSearchError, match="of 1 trial had ended; go on with 'python -m search resume"):
        search(idle)


def test_search_whose_time_is_spent_is_done_however_long_ago_its_last_epoch_ended(search):
    """An epoch may last longer than what is left of the budget: nothing is written in the last minutes."""
    search(SimpleNamespace(curves=[()], run_trials=lambda *arguments: True))


def course_of(file: Path) -> list[tuple]:
    """What a search decided, in order; an epoch that was trained again, its checkpoint being lost, counts once."""
    told = ("asked", "epoch", "ended", "reopened", "dropped")
    events = [event for event in read_events(file) if event.event in told]
    course = [
        (event.event, event.trial, getattr(event, "epoch", None), getattr(event, "outcome", None)) for event in events
    ]
    return [step for step, _ in itertools.groupby(course)]


MORE = (*FOUR, (0.65, None), (0.7, 0.7, 0.7, 0.7))
"""Where only one may wait at a rung, 1 is let go, for 0 is before it. 4 is first of five and diverges. 5 is first and
trained to its end, after which nothing keeps the checkpoint of 2, the best until then."""


@pytest.mark.parametrize("late", [False, True])
def test_search_killed_after_any_event_goes_on_as_if_it_had_not_been(search, monkeypatch, late):
    monkeypatch.setattr(scheduler, "_WAITING_PER_RUNG", 1)
    whole = search(Workers(MORE))
    expected, events = course_of(whole.folder.journal), len(list(read_events(whole.folder.journal)))
    assert [step[:2] for step in expected if step[0] == "dropped"] == [("dropped", 1), ("dropped", 4), ("dropped", 2)]
    for killed_after in range(1, events):
        name = f"killed_{killed_after}"
        with pytest.raises(KilledError):
            search(Workers(MORE), name, dies_after=killed_after, late=late)
        resumed = search(Workers(MORE), name)
        assert course_of(resumed.folder.journal) == expected, f"killed after event {killed_after}"
        for trial in resumed.journal.history.in_order:
            before = whole.journal.history.trials[trial.number]
            assert (trial.params, trial.outcome, trial.can_go_on) == (before.params, before.outcome, before.can_go_on)
            assert trial.checkpoint is None or resumed.folder.resolve(trial.checkpoint).is_dir(), (
                f"killed after event {killed_after}"
            )


MANY = [[0.5 + 0.01 * ((7 * number) % 20) + 0.001 * epoch for epoch in range(4)] for number in range(20)]


def test_search_killed_amid_proposals_of_the_model_goes_on_with_them(search):
    whole = search(Workers(MANY))
    asked = [index for index, event in enumerate(read_events(whole.folder.journal), 1) if event.event == "asked"]
    records = whole.journal.history.in_order
    # So many proposals are left: the model is asked twice, and the last is drawn at random.
    ahead = [len(event.ahead) for event in read_events(whole.folder.journal) if isinstance(event, Asked)]
    assert ahead[12:] == [5, 4, 3, 2, 1, 0, 5, 5]
    for number in (12, 13, 17, 18):
        name = f"killed_at_{number}"
        with pytest.raises(KilledError):
            search(Workers(MANY), name, dies_after=asked[number])
        resumed = search(Workers(MANY), name)
        assert course_of(resumed.folder.journal) == course_of(whole.folder.journal)
        assert [record.params for record in resumed.journal.history.in_order] == [record.params for record in records]


def test_history_of_a_search_is_that_of_its_journal(search):
    stage = search(Workers(MANY))
    assert read_history(stage.folder.journal, "iou").trials == stage.journal.history.trials


@pytest.mark.parametrize(
    ("objective", "told"),
    [
        ("miou", "labels=scored: .* use --set labels=full"),
        ("iou/sky", "labels=scored: .* counts sky; use --set labels=full"),
    ],
)
def test_objective_that_no_trial_would_report_is_refused_first(cache, make_settings, objective, told):
    settings = make_settings(objective=objective, space="demo", folds=2, fixed={"labels": "scored"})
    split = FoldSplit(folds=2, fold_of={n: i % 2 for i, n in enumerate(cache.names)}, block_of={})
    with pytest.raises(ConfigError, match=told):
        require_search(settings, cache, split)


def test_objective_without_a_pixel_in_the_fold_is_refused(tmp_path, classes, make_settings):
    """A class of the table that no mask has."""
    with_bus = replace(classes, names=(*classes.names, "bus"), colours=(*classes.colours, (1, 2, 3)))
    data = save_dataset(tmp_path / "data", [(64, 96)] * 4)
    (data / "classes.json").write_text(json.dumps(class_table_to_json(with_bus)))
    cache = PixelCache(prepare_cache(read_dataset(data), tmp_path / "cache"))
    split = FoldSplit(folds=2, fold_of={name: number % 2 for number, name in enumerate(cache.names)}, block_of={})
    with pytest.raises(ConfigError, match=r"fold 1 has no pixel of bus, .* another with --fold"):
        require_search(make_settings(objective="iou/bus", folds=2, fold=1), cache, split)


def test_a_run_that_was_granted_time_names_what_is_left_of_it_to_go_on_with(stage, script):
    """It has run for 60 s, and may for 100."""
    script.write("opened", cache_key="key", time=1000.0)
    script.write("halted", time=1060.0)
    granted = replace(stage, settings=replace(stage.settings, time_budget_seconds=100.0), granted=True)
    assert " --time-budget 40s " in granted.again
    assert "--time-budget" not in replace(granted, granted=False).again
    without_end = replace(granted, settings=replace(stage.settings, time_budget_seconds=0.0))
    assert " --time-budget 0 " in without_end.again


def test_space_that_draws_nothing_more_is_told_with_the_way_to_go_on(stage):
    def give_up(given, seed):
        raise RejectedDrawError("--space mine:small raised TrialPruned for {'loss': 'ce'}.")

    proposer = Proposer(give_up, seed=0, epochs=4, metric="iou")
    told = r"100 draws gave no .* for {'loss': 'ce'}\. Mend the space, then go on with 'python -m search resume .*'"
    with pytest.raises(ConfigError, match=told):
        choose_trial(stage, build_asha(stage.settings), proposer)
    assert not stage.journal.history.trials
