"""The recorder hears real Ray Tune trials, made here without a cluster."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
from ray import tune
from ray.exceptions import RayActorError
from ray.train._internal.session import _TrainingResult
from ray.train._internal.storage import StorageContext
from ray.tune.experiment import Trial

from search.folder import StageFolder
from search.judge import asha as scheduler
from search.judge.asha import Asha
from search.memory.events import Asked, CheckpointSaved, Ended, Reopened, Restarted, Started
from search.memory.journal import read_events, read_history
from search.memory.outcome import Outcome
from search.propose.proposer import Proposer
from search.run.recorder import Recorder
from search.run.retries import Retries
from search.space.draw import draw, draw_config
from segcore.errors import CheckpointError, ClusterError
from spaces.street import street


def draw_street(settings):
    """Return what draws from the stock space."""
    facts = {"smallest_side": 512}
    return lambda given, seed: draw(
        lambda trial: draw_config(street, trial, settings).values(), facts, seed=seed, given=given
    )


@pytest.fixture
def parts(make_settings, script) -> SimpleNamespace:
    """A recorder with all that follows its journal: ASHA and proposer; two trials are asked."""
    stage = StageFolder(root=script.journal.file.parent)
    asha = Asha(grace_epochs=1, reduction_factor=2, epochs=9, metric="iou")
    proposer = Proposer(draw_street(make_settings()), seed=0, epochs=9, metric="iou")
    for fold in (asha, proposer):
        script.journal.follow(fold)
    recorder = Recorder(script.journal, stage, asha, Retries(script.journal, 0, dict, set().add, set().add))
    parts = SimpleNamespace(journal=script.journal, stage=stage, asha=asha, proposer=proposer, recorder=recorder)
    ask_more(parts, 2)
    return parts


@pytest.fixture
def ray_folder(script) -> Path:
    """Where Ray Tune keeps the checkpoints of the stage."""
    return script.journal.file.parent / "ray"


@pytest.fixture
def make_trial():
    """Return a function that makes Ray's trial of a number."""
    return lambda number: Trial("no_trainable", stub=True, config={"trial": number})


@pytest.fixture
def placed_trial(local_ray, tmp_path) -> Trial:
    """Ray's trial 0 with the folder that it keeps errors in."""
    place = StorageContext(str(tmp_path / "ray"), experiment_dir_name="run", trial_dir_name="trial_0000")
    trial = Trial("no_trainable", stub=True, config={"trial": 0}, storage=place)
    trial.init_local_path()
    return trial


def report(trial: Trial, parts: SimpleNamespace, epoch: int, outcome: str = "", **metrics: float) -> dict:
    """Hand a result over in Ray's order: the callback first, then it is the trial's last result."""
    result = {
        "epoch": epoch,
        "outcome": outcome,
        "message": "",
        "metrics": metrics,
        "pictures": {"day": b"\xff\xd8picture"},
    }
    parts.recorder.on_trial_result(1, [trial], trial, result)
    trial.update_last_result(result)
    return result


def save_checkpoint(trial: Trial, parts: SimpleNamespace, folder: Path) -> None:
    folder.mkdir(parents=True)
    parts.recorder.on_checkpoint(1, [trial], trial, tune.Checkpoint(str(folder)))


def ask_more(parts: SimpleNamespace, count: int) -> None:
    """Ask for trials up to so many in all."""
    for number in range(len(parts.journal.history.trials), count):
        found = parts.proposer.ask(number)
        parts.journal.write(Asked(trial=number, fold=0, values=found.values, params=found.params))


def learnt(parts: SimpleNamespace, number: int) -> tuple[list[float], Outcome | None]:
    """Scores and end of a trial as the proposer knows them."""
    known = parts.proposer._known[number]
    return known.curve, known.outcome


def train_epoch(trial: Trial, parts: SimpleNamespace, folder: Path, epoch: int, iou: float, outcome: str = "") -> bool:
    """Train an epoch as Ray tells of it, with a checkpoint, and say whether the trial goes on."""
    goes_on = not parts.asha.decide(trial.config["trial"], epoch, iou)
    report(trial, parts, epoch, outcome, iou=iou)
    save_checkpoint(trial, parts, folder / f"trial_{trial.config['trial']}" / f"checkpoint_{epoch}")
    if outcome or not goes_on:
        parts.recorder.on_trial_complete(1, [trial], trial)
    return goes_on


def kept(parts: SimpleNamespace, folder: Path) -> list[int]:
    """Trials whose checkpoints are on the disk, which are those that the journal has."""
    records = read_history(parts.journal.file, "iou").in_order
    places = [parts.stage.root / place for record in records for place in record.checkpoints]
    assert sorted(places) == sorted(folder.glob("trial_*/*"))
    return [record.number for record in records if record.checkpoint is not None]


def test_an_epoch_is_written_with_its_picture_and_told_to_the_proposer(parts, make_trial):
    trial = make_trial(0)
    result = report(trial, parts, 1, iou=0.5, train_loss=0.25)
    record = read_history(parts.journal.file, "iou").trials[0].epochs[1]
    assert record.metrics == {"iou": 0.5, "train_loss": 0.25}
    assert (parts.stage.root / record.picture).read_bytes() == b"\xff\xd8picture"
    assert learnt(parts, 0) == ([0.5], None)
    assert record.pictures == {"day": record.picture}
    assert "pictures" not in result, "Ray would write it to its own files"
    assert "epoch 1: iou 0.5, train_loss 0.25" in (parts.stage.trial(0) / "log.txt").read_text()


def test_what_the_machine_did_is_written_with_the_epoch_and_is_no_metric_of_the_trial(parts, make_trial):
    trial = make_trial(0)
    told = {"system/cpu_utilization_percentage": 50.0, "system/trial_cpu_cores": math.nan}
    result = {"epoch": 1, "outcome": "", "message": "", "metrics": {"iou": 0.5}, "system": told}
    parts.recorder.on_trial_result(1, [trial], trial, result)
    (epoch,) = [event for event in read_events(parts.journal.file) if event.event == "epoch"]
    assert epoch.system == {"system/cpu_utilization_percentage": 50.0}
    assert epoch.metrics == {"iou": 0.5}
    assert "system" not in result, "Ray would write it to its own files"


def test_why_a_training_is_slower_than_it_could_be_is_logged_and_known_of_its_trial(parts, make_trial):
    trial = make_trial(0)
    result = {"outcome": "", "message": "", "metrics": {"iou": 0.5}}
    parts.recorder.on_trial_result(1, [trial], trial, {**result, "epoch": 1, "note": "the network is not compiled"})
    parts.recorder.on_trial_result(2, [trial], trial, {**result, "epoch": 2})
    assert (parts.stage.trial(0) / "log.txt").read_text().count("the network is not compiled") == 1
    assert read_history(parts.journal.file, "iou").trials[0].note == "the network is not compiled"


def test_scores_of_images_are_kept_only_where_configurations_are_compared(parts, make_trial):
    """In a search they would make the journal long, and nothing reads them."""
    for recorder, kept in (
        (parts.recorder, None),
        (Recorder(parts.journal, parts.stage, None, Retries(parts.journal, 0, dict, set().add, set().add)), {"a": 0.5}),
    ):
        parts.recorder = recorder
        trial = make_trial(0)
        result = {"epoch": 1, "outcome": "", "message": "", "metrics": {"iou": 0.5}, "image_scores": '{"a": 0.5}'}
        recorder.on_trial_result(1, [trial], trial, result)
        assert read_history(parts.journal.file, "iou").trials[0].epochs[1].image_scores == kept
        assert "image_scores" not in result, "Ray would write it to its own files"


def test_trial_that_the_space_could_not_draw_is_written_and_not_told_to_the_proposer(parts, make_trial):
    values = parts.journal.history.trials[0].values
    content = {"trial": 2, "fold": 0, "values": values, "params": {}, "drawable": False}
    parts.journal.write(Asked(**content))
    trial = make_trial(2)
    report(trial, parts, 9, outcome="finished", iou=0.5)
    parts.recorder.on_trial_complete(1, [trial], trial)
    assert read_history(parts.journal.file, "iou").trials[2].outcome is Outcome.FINISHED
    assert set(parts.proposer._known) == {0, 1}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_left_out(parts, make_trial, value):
    """JSON and MLflow have no place for them."""
    report(make_trial(0), parts, 1, iou=value, miou=0.4)
    assert read_history(parts.journal.file, "iou").trials[0].epochs[1].metrics == {"miou": 0.4}
    assert ":NaN" not in parts.journal.file.read_text()
    assert learnt(parts, 0) == ([], None)


def test_trial_that_reports_its_last_epoch_ends_finished(parts, make_trial):
    trial = make_trial(0)
    report(trial, parts, 9, "finished", iou=0.5)
    parts.recorder.on_trial_complete(1, [trial], trial)
    record = read_history(parts.journal.file, "iou").trials[0]
    assert record.outcome is Outcome.FINISHED
    assert record.ended is not None
    assert [learnt(parts, number) for number in range(2)] == [([0.5] * 9, Outcome.FINISHED), ([], None)]


def test_trial_that_asha_stops_ends_with_its_reason_and_waits(parts, make_trial, ray_folder):
    train_epoch(make_trial(0), parts, ray_folder, 1, 0.5)
    train_epoch(make_trial(1), parts, ray_folder, 1, 0.4)
    record = read_history(parts.journal.file, "iou").trials[1]
    assert record.outcome is Outcome.STOPPED
    assert record.message == "iou 0.4000 after epoch 1 is rank 2 of 2; the best half goes on"
    assert record.epochs[1].verdict == record.message
    assert learnt(parts, 1) == ([0.4], Outcome.STOPPED)
    assert (parts.asha.waits(0), parts.asha.waits(1)) == (True, True)
    assert parts.asha.find_promoted() == 0


def test_trial_without_a_score_ends_and_does_not_wait(parts, make_trial, ray_folder):
    train_epoch(make_trial(0), parts, ray_folder, 1, math.nan)
    record = read_history(parts.journal.file, "iou").trials[0]
    assert (record.outcome, record.message) == (Outcome.STOPPED, "its iou is NaN after epoch 1")
    assert not parts.asha.waits(0)
    assert kept(parts, ray_folder) == []


def test_trial_that_goes_on_after_it_waited_keeps_one_checkpoint(parts, make_trial, ray_folder):
    """Ray makes it another trial, with a folder of its own."""
    train_epoch(make_trial(0), parts, ray_folder / "one", 1, 0.5)
    parts.journal.write(Reopened(trial=0))
    assert not train_epoch(make_trial(0), parts, ray_folder / "other", 2, 0.6)  # first of one at epoch 2
    record = read_history(parts.journal.file, "iou").trials[0]
    assert (record.outcome, record.last_epoch) == (Outcome.STOPPED, 2)
    assert kept(parts, ray_folder / "other") == [0]
    assert list((ray_folder / "one" / "trial_0").iterdir()) == []
    assert learnt(parts, 0) == ([0.5, 0.6], Outcome.STOPPED)


@pytest.mark.parametrize("outcome", [Outcome.DIVERGED, Outcome.OUT_OF_MEMORY, Outcome.FAILED])
def test_asha_hears_of_a_trial_that_failed(parts, make_trial, ray_folder, outcome):
    train_epoch(make_trial(0), parts, ray_folder, 1, 0.5)
    train_epoch(make_trial(1), parts, ray_folder, 1, 0.4)
    parts.journal.write(Reopened(trial=0))
    assert parts.asha.find_promoted(last=True) is None
    trial = make_trial(0)
    trial.update_last_result({"outcome": str(outcome), "message": ""})
    parts.recorder.on_trial_complete(1, [trial], trial)
    assert parts.asha.find_promoted(last=True) == 1


@pytest.mark.parametrize("outcome", [Outcome.DIVERGED, Outcome.OUT_OF_MEMORY, Outcome.FAILED])
def test_trial_that_says_farewell_ends_with_its_words(parts, make_trial, outcome):
    trial = make_trial(0)
    report(trial, parts, 3, iou=0.5)
    farewell = {"outcome": str(outcome), "message": "a remedy"}
    parts.recorder.on_trial_result(1, [trial], trial, farewell)
    trial.update_last_result(farewell)
    parts.recorder.on_trial_complete(1, [trial], trial)
    record = read_history(parts.journal.file, "iou").trials[0]
    assert (record.outcome, record.message, record.last_epoch) == (outcome, "a remedy", 3)
    assert learnt(parts, 0) == ([0.5, 0.5, 0.5], outcome)


def test_trial_that_the_time_budget_cuts_off_stays_unfinished(parts, make_trial):
    trial = make_trial(0)
    report(trial, parts, 3, iou=0.5)
    parts.recorder.on_trial_complete(1, [trial], trial)
    assert [record.number for record in read_history(parts.journal.file, "iou").unfinished] == [0, 1]


def test_trial_whose_worker_died_for_good_fails_with_the_last_error(parts, placed_trial):
    placed_trial.handle_error(RuntimeError("the node ran out of memory"))
    parts.recorder.on_trial_error(1, [placed_trial], placed_trial)
    record = read_history(parts.journal.file, "iou").trials[0]
    assert record.outcome is Outcome.FAILED
    assert "the node ran out of memory" in record.message


def test_trial_that_hung_says_so_in_place_of_how_ray_saw_its_worker_die(parts, placed_trial):
    parts.recorder.tell_hung(0, "Trial 0 said nothing for 105 s.", "Give it longer.")
    placed_trial.handle_error(RuntimeError("the actor died unexpectedly"))
    parts.recorder.on_trial_error(1, [placed_trial], placed_trial)
    history = read_history(parts.journal.file, "iou")
    assert history.trials[0].message == "Trial 0 said nothing for 105 s."
    assert [each.message for each in history.warnings] == ["Trial 0 said nothing for 105 s. Give it longer."]


def test_trial_whose_worker_was_killed_ends_its_message_with_what_may_have_done_it(parts, placed_trial):
    placed_trial.handle_error(RayActorError(error_msg="Worker unexpectedly exits with a connection error code 2."))
    parts.recorder.on_trial_error(1, [placed_trial], placed_trial)
    message = read_history(parts.journal.file, "iou").trials[0].message
    assert "connection error code 2" in message
    assert message.splitlines()[-1].startswith("its worker crashed or was killed, perhaps")


def test_trial_whose_worker_failed_waits_to_be_handed_out_again_and_is_logged(parts, placed_trial):
    retries = Retries(parts.journal, 1, dict, set().add, set().add)
    retries.waiting.append(1)
    recorder = Recorder(parts.journal, parts.stage, parts.asha, retries)
    recorder.on_trial_start(1, [placed_trial], placed_trial)
    placed_trial.handle_error(RuntimeError("the node ran out of memory"))
    recorder.on_trial_error(1, [placed_trial], placed_trial)
    record = read_history(parts.journal.file, "iou").trials[0]
    assert (record.restarts, record.outcome, record.running) == (1, None, False)
    assert retries.waiting == [0, 1]
    assert "goes on from its last checkpoint" in (parts.stage.trial(0) / "log.txt").read_text()


def test_a_trial_that_lacks_its_gpu_fails_by_its_nodes_fault(parts, placed_trial):
    """Two restarts in vain on a node that is there, and the trial may have none of its own."""

    def train() -> None:
        raise ClusterError("torch sees none")

    retries = Retries(parts.journal, 0, lambda: {"node": "10.0.0.2"}, set().add, set().add)
    recorder = Recorder(parts.journal, parts.stage, parts.asha, retries)
    for _ in range(2):
        parts.journal.write(Started(trial=0, node="node"))
        with pytest.raises(ClusterError, match="torch sees none") as caught:
            ray.get(ray.remote(num_cpus=0)(train).remote())
        placed_trial.handle_error(caught.value)
        recorder.on_trial_error(1, [placed_trial], placed_trial)
    assert read_history(parts.journal.file, "iou").trials[0].restarts == 2


@pytest.mark.parametrize(("has_begun", "restarts"), [(True, 0), (False, 2)])
def test_a_worker_that_ran_out_of_memory_before_it_had_its_trial_fails_by_its_nodes_fault(
    parts, placed_trial, has_begun, restarts
):
    ray_says = "killed due to the node running low on memory. Memory on the node (IP: 10.0.0.2, ID: aa11) was 9GB used"
    retries = Retries(parts.journal, 0, lambda: {"aa11": "10.0.0.2"}, set().add, set().add)
    recorder = Recorder(parts.journal, parts.stage, parts.asha, retries)
    for _ in range(2):
        if has_begun:
            parts.journal.write(Started(trial=0, node="aa11"))
        placed_trial.handle_error(RayActorError(error_msg=ray_says))
        recorder.on_trial_error(1, [placed_trial], placed_trial)
    assert read_history(parts.journal.file, "iou").trials[0].restarts == restarts
    failed = [event.node for event in read_events(parts.journal.file) if isinstance(event, Restarted | Ended)]
    assert set(failed) == {"aa11"}


def test_a_worker_that_its_node_could_not_prepare_fails_by_its_nodes_fault_which_then_rests(parts, placed_trial):
    (here,) = ray.nodes()
    ray_says = f"Its node (ID: {here['NodeID']}) could not prepare it: OSError: No space left"
    rested: list[str] = []
    retries = Retries(parts.journal, 0, lambda: {here["NodeID"]: "10.0.0.2"}, set().add, rested.append)
    recorder = Recorder(parts.journal, parts.stage, parts.asha, retries)
    for _ in range(2):
        placed_trial.handle_error(RayActorError(error_msg=ray_says))
        recorder.on_trial_error(1, [placed_trial], placed_trial)
    assert read_history(parts.journal.file, "iou").trials[0].restarts == 2
    assert rested == [here["NodeID"]] * 2


@pytest.mark.parametrize(("used", "restarts"), [(4.0, 0), (0.4, 2)])
def test_a_worker_that_ray_ended_for_what_another_took_fails_by_its_nodes_fault(parts, placed_trial, used, restarts):
    actor_id = "a1" * 16
    ray_says = (
        "killed due to the node running low on memory. Memory on the node (IP: 10.0.0.2, ID: aa11) was 9GB used\n"
        f"(Actor({actor_id}): pid=1, actual memory used={used}GB)\n(Actor(b2): pid=2, actual memory used=5.0GB)"
    )
    retries = Retries(parts.journal, 0, lambda: {"aa11": "10.0.0.2"}, set().add, set().add)
    recorder = Recorder(parts.journal, parts.stage, parts.asha, retries)
    placed_trial.temporary_state.ray_actor = SimpleNamespace(_actor_id=SimpleNamespace(hex=lambda: actor_id))
    for _ in range(2):
        recorder.on_trial_start(1, [placed_trial], placed_trial)
        # Ray does not know this worker's node.
        parts.journal.write(Started(trial=0, node="aa11"))
        placed_trial.handle_error(RayActorError(error_msg=ray_says))
        recorder.on_trial_error(1, [placed_trial], placed_trial)
    assert read_history(parts.journal.file, "iou").trials[0].restarts == restarts


def test_checkpoint_is_written_with_its_epoch_and_place(parts, make_trial, ray_folder):
    trial = make_trial(0)
    report(trial, parts, 3, iou=0.5)
    save_checkpoint(trial, parts, ray_folder / "a")
    record = read_history(parts.journal.file, "iou").trials[0]
    assert (record.checkpoint, record.checkpoint_epoch) == ("ray/a", 3)


def test_checkpoint_is_known_as_soon_as_its_epoch_is(parts, local_ray, ray_folder):
    """Who ends the run before Ray tells of the checkpoint would otherwise have the epoch trained again."""
    place = StorageContext(str(ray_folder), experiment_dir_name="run")
    trial = Trial("no_trainable", stub=True, config={"trial": 0}, storage=place)
    trial.init_local_path()
    result = {"epoch": 1, "metrics": {"iou": 0.5}, "checkpoint_dir_name": "checkpoint_000000"}
    parts.recorder.on_trial_result(1, [trial], trial, result)
    record = parts.journal.history.trials[0]
    folder = Path(trial.storage.trial_fs_path) / "checkpoint_000000"
    assert record.can_go_on
    assert parts.stage.resolve(str(record.checkpoint)) == folder
    trial.update_last_result(result)
    parts.recorder.on_checkpoint(1, [trial], trial, tune.Checkpoint(str(folder)))
    assert [event.event for event in read_events(parts.journal.file)][-2:] == ["epoch", "checkpoint"]


def test_checkpoints_of_ended_trials_go_but_for_the_best_ones(parts, make_trial, ray_folder):
    trials = [make_trial(0), make_trial(1)]
    places = [ray_folder / name for name in "ab"]
    for trial, place, iou in zip(trials, places, (0.5, 0.4), strict=True):
        report(trial, parts, 9, "finished", iou=iou)
        save_checkpoint(trial, parts, place)
    parts.recorder.on_trial_complete(1, trials, trials[0])
    assert [place.is_dir() for place in places] == [True, True], "trial 1 may still need its own"
    parts.recorder.on_trial_complete(1, trials, trials[1])
    assert [place.is_dir() for place in places] == [True, False]


def test_a_retraining_keeps_every_checkpoint(script, make_trial, ray_folder):
    """Each fold's network is a member of the ensemble."""
    stage = StageFolder(root=script.journal.file.parent)
    retries = Retries(script.journal, 0, dict, set().add, set().add)
    parts = SimpleNamespace(recorder=Recorder(script.journal, stage, None, retries))
    places = [ray_folder / name for name in "ab"]
    for number, place in enumerate(places):
        script.ask(number, fold=number)
        trial = make_trial(number)
        report(trial, parts, 9, "finished", iou=0.5 - number / 10)
        save_checkpoint(trial, parts, place)
        parts.recorder.on_trial_complete(1, [trial], trial)
    assert all(place.is_dir() for place in places)
    assert [trial.outcome for trial in read_history(script.journal.file, "iou").in_order] == 2 * [Outcome.FINISHED]


def judge_and_die(parts: SimpleNamespace, make_trial, number: int, iou: float, folder: Path | None) -> None:
    """Stop a trial, but for the end; with a checkpoint, where a folder is given."""
    assert parts.asha.decide(number, 1, iou)
    trial = make_trial(number)
    report(trial, parts, 1, iou=iou)
    if folder is not None:
        save_checkpoint(trial, parts, folder / f"trial_{number}" / "checkpoint_1")


def resume(parts: SimpleNamespace) -> Asha:
    """Let another ASHA follow the journal and do what a resumed search does first."""
    asha = Asha(grace_epochs=1, reduction_factor=2, epochs=9, metric="iou")
    parts.journal.follow(asha)
    Recorder(parts.journal, parts.stage, asha, Retries(parts.journal, 0, dict, set().add, set().add)).end_judged()
    return asha


def test_verdict_of_a_driver_that_died_is_carried_out_on_resume(parts, make_trial, ray_folder):
    judge_and_die(parts, make_trial, 0, 0.5, ray_folder)
    asha = resume(parts)
    assert [record.number for record in parts.journal.history.unfinished] == [1]
    ended = parts.journal.history.trials[0]
    assert (ended.outcome, ended.message) == (
        Outcome.STOPPED,
        "iou 0.5000 after epoch 1 is rank 1 of 1; none goes on at once until 2 got there",
    )
    assert asha.find_promoted(last=True) == 0
    parts.journal.write(Reopened(trial=0))
    assert not asha.waits(0)


def test_trial_whose_checkpoint_was_lost_with_the_driver_goes_on_and_is_judged_anew(parts, make_trial, ray_folder):
    judge_and_die(parts, make_trial, 0, 0.5, None)
    resume(parts)
    assert [record.number for record in parts.journal.history.unfinished] == [0, 1]


def test_trial_without_a_score_is_ended_on_resume_with_or_without_a_checkpoint(parts, make_trial):
    judge_and_die(parts, make_trial, 0, math.nan, None)
    asha = resume(parts)
    assert [record.number for record in parts.journal.history.unfinished] == [1]
    assert not asha.waits(0)


def test_trial_that_was_taken_up_as_the_driver_died_is_not_ended_again(parts, make_trial, ray_folder):
    train_epoch(make_trial(0), parts, ray_folder, 1, 0.5)
    parts.journal.write(Reopened(trial=0))
    asha = resume(parts)
    assert [record.number for record in parts.journal.history.unfinished] == [0, 1]
    assert not asha.waits(0)


def test_checkpoints_that_a_driver_left_as_it_died_are_dropped_on_resume(parts, make_trial, ray_folder, monkeypatch):
    ask_more(parts, 3)
    for number, iou in enumerate((0.3, 0.2, 0.1)):
        train_epoch(make_trial(number), parts, ray_folder, 1, iou)
    assert kept(parts, ray_folder) == [0, 1, 2]
    monkeypatch.setattr(scheduler, "_WAITING_PER_RUNG", 1)  # as if the third had just ended
    asha = resume(parts)
    assert kept(parts, ray_folder) == [0]
    assert [asha.waits(number) for number in range(3)] == [True, False, False]


def test_checkpoints_of_trials_that_wait_stay_and_those_let_go_are_dropped(parts, make_trial, ray_folder, monkeypatch):
    """Two may wait at a rung."""
    monkeypatch.setattr(scheduler, "_WAITING_PER_RUNG", 2)
    ask_more(parts, 6)
    stay = []
    for number, iou in enumerate((0.50, 0.40, 0.30, 0.45, 0.20)):
        assert train_epoch(make_trial(number), parts, ray_folder, 1, iou) == (number == 3)
        stay.append(kept(parts, ray_folder))
    # 3 is second of four and goes on; 2 is behind 0 and 1, 4 too.
    assert stay == [[0], [0, 1], [0, 1], [0, 1, 3], [0, 1, 3]]
    assert [event.trial for event in read_events(parts.journal.file) if event.event == "dropped"] == [2, 4]


def test_best_checkpoint_stays_though_its_trial_does_not_wait(parts, make_trial, ray_folder, monkeypatch):
    """It was best after its first epoch, and is hopeless after its second."""
    monkeypatch.setattr(scheduler, "_WAITING_PER_RUNG", 1)
    first, second = make_trial(0), make_trial(1)
    parts.asha.rungs = [2]
    for trial, ious in ((first, (0.1, 0.5)), (second, (0.9, 0.2))):
        for epoch, iou in enumerate(ious, start=1):
            train_epoch(trial, parts, ray_folder / str(epoch), epoch, iou)
    assert parts.asha.find_hopeless() == [1]
    assert kept(parts, ray_folder / "2") == [0, 1]
    ask_more(parts, 3)
    train_epoch(make_trial(2), parts, ray_folder / "2", 9, 0.95, "finished")
    assert kept(parts, ray_folder / "2") == [0, 2]


def test_a_trial_that_failed_keeps_its_checkpoint_to_be_tried_again_from(parts, make_trial, placed_trial, ray_folder):
    report(placed_trial, parts, 1, iou=0.1)
    save_checkpoint(placed_trial, parts, ray_folder / "trial_0" / "checkpoint_1")
    parts.recorder.on_trial_error(1, [placed_trial], placed_trial)
    train_epoch(make_trial(1), parts, ray_folder, 1, 0.5, "finished")
    assert kept(parts, ray_folder) == [0, 1]


def test_a_checkpoint_that_the_journal_names_elsewhere_is_not_deleted(parts, make_trial, tmp_path):
    treasure = tmp_path / "treasure" / "checkpoint"
    treasure.mkdir(parents=True)
    parts.journal.write(CheckpointSaved(trial=0, epoch=1, path=str(treasure)))
    with pytest.raises(CheckpointError, match="not inside of"):
        report(make_trial(0), parts, 1, iou=0.5)
    assert treasure.is_dir()


def test_only_the_best_finished_trials_checkpoint_is_kept(parts, make_trial, ray_folder):
    kept = []
    for number, iou in ((0, 0.5), (1, 0.7)):
        trial = make_trial(number)
        report(trial, parts, 9, "finished", iou=iou)
        save_checkpoint(trial, parts, ray_folder / f"checkpoint_{number}")
        parts.recorder.on_trial_complete(1, [trial], trial)
        kept.append([(ray_folder / f"checkpoint_{other}").exists() for other in range(number + 1)])
    assert kept == [[True], [False, True]]


def places(parts: SimpleNamespace, ray_folder: Path) -> list[str]:
    """Checkpoints on the disk, which are those of trial 0 in the journal."""
    known = read_history(parts.journal.file, "iou").trials[0].checkpoints
    assert sorted(parts.stage.root / place for place in known) == sorted(ray_folder.glob("*/*"))
    return [str((parts.stage.root / place).relative_to(ray_folder)) for place in known]


def train(parts: SimpleNamespace, trial: Trial, epoch: int, folder: Path, torn: str = "") -> None:
    """Train an epoch, with a checkpoint that Ray makes and never deletes."""
    result = {"epoch": epoch, "outcome": "", "message": "", "metrics": {"iou": 0.5}, "torn": torn}
    parts.recorder.on_trial_result(1, [trial], trial, result)
    trial.update_last_result(result)
    save_checkpoint(trial, parts, folder / f"checkpoint_{epoch}")


def test_two_checkpoints_are_kept_also_across_a_resume(parts, make_trial, ray_folder):
    parts.recorder._asha = None
    kept = []
    for epoch, run in ((1, "run-1"), (2, "run-1"), (3, "run-1"), (4, "run-2"), (5, "run-2"), (6, "run-2")):
        train(parts, make_trial(0), epoch, ray_folder / run)
        kept.append(places(parts, ray_folder))
    assert kept == [
        ["run-1/checkpoint_1"],
        ["run-1/checkpoint_2", "run-1/checkpoint_1"],
        ["run-1/checkpoint_3", "run-1/checkpoint_2"],
        ["run-2/checkpoint_4", "run-1/checkpoint_3"],
        ["run-2/checkpoint_5", "run-2/checkpoint_4"],
        ["run-2/checkpoint_6", "run-2/checkpoint_5"],
    ]


def test_a_torn_checkpoint_is_told_and_deleted_once_its_epoch_was_trained_again(parts, make_trial, ray_folder):
    parts.recorder._asha = None
    for epoch in (1, 2, 3):
        train(parts, make_trial(0), epoch, ray_folder / "run-1")
    train(parts, make_trial(0), 3, ray_folder / "run-2", torn="ray/run-1/checkpoint_3 cannot be read")
    assert places(parts, ray_folder) == ["run-2/checkpoint_3", "run-1/checkpoint_2"]
    train(parts, make_trial(0), 1, ray_folder / "run-3", torn="neither can be read")
    assert places(parts, ray_folder) == ["run-3/checkpoint_1"]
    assert [warning.message for warning in parts.journal.history.warnings] == [
        "Trial 0 went on after epoch 2: ray/run-1/checkpoint_3 cannot be read",
        "Trial 0 began anew: neither can be read",
    ]
    assert "Trial 0 began anew: neither can be read" in (parts.stage.trial(0) / "log.txt").read_text()


def test_a_trial_that_has_ended_keeps_one_checkpoint(parts, make_trial, ray_folder):
    parts.recorder._asha = None
    for epoch in (1, 2, 3):
        train(parts, make_trial(0), epoch, ray_folder / "run-1")
    parts.recorder._end(0, Outcome.FINISHED, "")
    assert places(parts, ray_folder) == ["run-1/checkpoint_3"]


def test_a_trial_that_failed_keeps_both_to_be_tried_again_from(parts, make_trial, ray_folder):
    for epoch in (1, 2):
        train(parts, make_trial(0), epoch, ray_folder / "run-1")
    parts.recorder._end(0, Outcome.FAILED, "its worker died")
    assert places(parts, ray_folder) == ["run-1/checkpoint_2", "run-1/checkpoint_1"]


def test_what_ray_keeps_of_every_metric_is_given_up_when_a_trial_ends(parts, make_trial, placed_trial):
    finished, failed = make_trial(1), placed_trial
    for trial in (finished, failed):
        report(trial, parts, 1, iou=0.5)
    assert finished.metric_analysis["epoch"]["max"] == 1
    report(finished, parts, 9, "finished", iou=0.6)
    parts.recorder.on_trial_complete(1, [finished], finished)
    parts.recorder.on_trial_error(1, [failed], failed)
    for trial in (finished, failed):
        assert (trial.metric_analysis, trial.metric_n_steps) == ({}, {})
    assert finished.last_result["epoch"] == 9


def test_ray_keeps_neither_numbers_nor_values_of_a_report_that_is_written(parts, make_trial):
    trial = make_trial(0)
    result = {"epoch": 1, "outcome": "", "metrics": {"iou": 0.5}, "config": {"values": {"epochs": 9}}, "pictures": {}}
    parts.recorder.on_trial_result(1, [trial], trial, result)
    trial.update_last_result(result)
    assert trial.last_result == {"epoch": 1, "outcome": "", "trial_id": trial.trial_id}
    assert parts.journal.history.trials[0].epochs[1].metrics == {"iou": 0.5}


def test_ray_keeps_no_pictures_with_a_checkpoint(parts, placed_trial):
    saved = tune.Checkpoint(placed_trial.storage.trial_fs_path)
    metrics = {"epoch": 1, "pictures": {"day": bytes(100_000)}, "checkpoint_dir_name": "checkpoint_000000"}
    placed_trial.on_checkpoint(_TrainingResult(saved, metrics))
    assert len(placed_trial.get_json_state()[1]) > 100_000
    parts.recorder.on_trial_save(1, [placed_trial], placed_trial)
    assert len(placed_trial.get_json_state()[1]) < 10_000
    assert not placed_trial.has_checkpoint()
