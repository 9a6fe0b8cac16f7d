"""The command line end to end: real Ray, MLflow and Optuna on twelve small images, each command a process of its own.

A command needs some ten seconds to import everything and to start Ray, so tests look at the same few searches.
"""

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image
from typer.testing import CliRunner

from search.__main__ import app
from search.commands.progress import describe_end
from search.finding import lock_stage
from search.folder import SearchFolder, folder_of
from search.judge.asha import Asha
from search.memory.events import Asked, Ended, Epoch, Event, Opened, TrialEvent
from search.memory.history import History
from search.memory.journal import Journal, read_events, read_history
from search.memory.outcome import Outcome
from search.place import read_place, write_place
from search.settings import read_settings, write_settings
from segcore.config import TrainConfig
from segcore.data.dataset import read_dataset
from segcore.data.dividing.split import FoldSplit, read_folds, write_folds
from segcore.errors import StreetError
from segcore.machine import detect_machine
from segcore.prediction.ensemble_files import load_ensemble, read_ensemble_notes
from tests.conftest import paint

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
TRIALS, EPOCHS, FOLDS = 4, 4, 2

SECRETS = {
    name: f"PLANTED-{number}"
    for number, name in enumerate(
        (
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "MLFLOW_TRACKING_PASSWORD",
            "RAY_AUTH_TOKEN",
        )
    )
}

# Where nobody listens: what cannot be told is said, and changes nothing.
SECRETS["STREET_SEARCH_NOTIFY"] = "http://127.0.0.1:9/hooks/PLANTED-hook"

SPACES = """
SMALL = {"backbone": "tf_efficientnet_lite0", "weights": "none", "decoder_channels": 16, "crops_per_image": 1}
SMALL["batch_size"] = 6


def tiny(trial):
    trial.suggest_float("learning_rate", 1e-3, 1e-2, log=True)
    if trial.suggest_categorical("input_mode", ("crop", "full")) == "crop":
        trial.suggest_categorical("crop_size", (32,))
    return {**SMALL, "rate_schedule": "cosine"}


def too_large(trial):
    return {**SMALL, "input_mode": "crop", "crop_size": 128}
"""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the searches of this file are.

    Args:
        root: folder of own spaces, storage and cache.
        data: the data set.
        arguments: of `launch`, without a name.
    """

    root: Path
    data: Path
    arguments: tuple[object, ...]

    @property
    def storage(self) -> tuple[object, ...]:
        return "--storage", self.root / "searches"

    def folder(self, name: str) -> SearchFolder:
        return SearchFolder(root=self.root / "searches" / name)


@pytest.fixture(scope="module")
def place(dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("cli")
    (root / "my_spaces.py").write_text(SPACES)
    arguments = ("launch", "--data", dataset_folder, "--storage", root / "searches", "--cache", root / "cache")
    arguments += ("--space", "my_spaces:tiny", "--trials", TRIALS, "--epochs", EPOCHS, "--folds", FOLDS)
    return Place(root, dataset_folder, (*arguments, "--max-concurrent", 2, "--confirm", 0))


@pytest.fixture(scope="module")
def run(run_cli: Callable, place: Place) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs a command which must succeed, with the own spaces on the path."""

    def succeed(*arguments: object) -> subprocess.CompletedProcess[str]:
        done = run_cli(*arguments, python_path=place.root, **SECRETS)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "PLANTED" not in done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        return done

    return succeed


@pytest.fixture(scope="module")
def launched(run: Callable, place: Place) -> str:
    """What the launch of search `whole` printed: ASHA compares after epochs 1 and 2 of 4; two are confirmed."""
    arguments = (*place.arguments, "--name", "whole", "--grace-epochs", 1, "--reduction-factor", 2, "--confirm", 2)
    return run(*arguments).stdout


@pytest.fixture(scope="module")
def retrained(launched: str, run: Callable, place: Place) -> str:
    """What the retraining of search `whole` printed."""
    return run("retrain", "whole", *place.storage).stdout


def find_runs(folder: SearchFolder, stage: str) -> tuple[list[Run], list[Run]]:
    """Parent and child runs that MLflow has of a stage."""
    client = MlflowClient(read_place(folder.place).tracking_uri)
    experiment = client.get_experiment_by_name(folder.name)
    runs = client.search_runs([experiment.experiment_id], f"tags.`search.stage` = '{stage}'")
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    return [run for run in runs if run not in children], children


def require_mlflow_equals_journal(folder: SearchFolder, stage: str, journal: Path) -> None:
    """One parent, one child per trial, and in each child every number of the journal, once."""
    (parent,), children = find_runs(folder, stage)
    trials = read_history(journal, "iou").trials
    assert sorted(int(run.data.tags["search.trial"]) for run in children) == sorted(trials)
    client = MlflowClient(read_place(folder.place).tracking_uri)
    for child in children:
        trial = trials[int(child.data.tags["search.trial"])]
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.data.tags["outcome"] == str(trial.outcome)
        points = client.get_metric_history(child.info.run_id, "iou")
        told = sorted((point.step, point.value) for point in points)
        assert told == [(epoch, record.score) for epoch, record in sorted(trial.epochs.items())]


def test_search_tries_as_many_configurations_as_asked(launched, place):
    history = read_history(place.folder("whole").search_stage.journal, "iou")
    assert sorted(history.trials) == [0, 1, 2, 3]
    assert {trial.outcome for trial in history.trials.values()} <= {Outcome.FINISHED, Outcome.STOPPED}
    assert len({trial.values["learning_rate"] for trial in history.trials.values()}) == TRIALS
    for trial in history.trials.values():
        assert sorted(trial.epochs) == list(range(1, trial.last_epoch + 1))
        assert trial.values["backbone"] == "tf_efficientnet_lite0"
        if trial.outcome is Outcome.FINISHED:
            assert trial.last_epoch == EPOCHS


def test_trials_that_asha_stopped_are_those_that_its_rule_stops(launched, place):
    """The journal, judged again event by event."""
    asha = Asha(grace_epochs=1, reduction_factor=2, epochs=EPOCHS, metric="iou")
    journal = place.folder("whole").search_stage.journal
    for event in read_events(journal):
        if isinstance(event, Epoch):
            assert asha.decide(event.trial, event.epoch, event.metrics["iou"]) == event.verdict
        asha.apply(event)
    trials = read_history(journal, "iou").trials.values()
    assert {trial.last_epoch for trial in trials if trial.outcome is Outcome.STOPPED} <= {1, 2}


def test_launch_into_a_file_has_a_line_for_each_trial_that_ended(launched, place):
    history = read_history(place.folder("whole").search_stage.journal, "iou")
    lines = [line for line in launched.splitlines() if re.match(r"trial \d+ (finished|stopped)", line)]
    for trial in history.in_order:
        assert describe_end(trial, "iou") in lines
    confirmation = read_history(place.folder("whole").confirm_stage.journal, "iou")
    for training in confirmation.in_order:
        assert describe_end(training, "iou", "training") in launched
    assert "--notify *** was not told (Connection refused); the search is as it is." in launched


def test_dry_run_says_what_a_launch_would_take_and_begins_none(run, place):
    outside = place.root / "known.json"
    outside.write_text(json.dumps({"optimizer": "sgd", "learning_rate": 0.03}))
    told = run(*place.arguments, "--name", "dry", "--seed-config", outside, "--dry-run").stdout
    assert "Configurations that are tried first: 1, each once" in told, "what a launch refuses, this refuses"
    # Without a first rung of its own: at epochs 1 and 2 of 4.
    assert "4 trials; as ASHA decides, about 4 to epoch 1, 2 to epoch 2, 1 to epoch 4: 8 epochs, of the 16" in told
    assert re.search(r"^ search +4 +8 +\d+% +\S+ \S+ +[\d.]+", told, re.MULTILINE), told
    assert re.search(r"^ retraining +up to 2 +8 ", told, re.MULTILINE), told
    assert "Checkpoints take up to" in told
    assert "Nothing was begun" in told
    assert not place.folder("dry").root.exists()


def test_launch_names_the_winner_and_what_to_do_next(launched, place):
    best = json.loads(place.folder("whole").best.read_text())
    ranked = read_history(place.folder("whole").search_stage.journal, "iou").ranked
    (winner,) = [trial for trial in ranked[:2] if trial.number == best["trial"]]
    assert best["metrics"]["iou"] == winner.best.score
    assert f"best iou {ranked[0].best.score:.4f} in trial {ranked[0].number}" in launched
    assert f"search retrain whole --storage {place.root / 'searches'}" in launched
    assert f"search ui --storage {place.root / 'searches'}" in launched


def test_the_best_two_are_confirmed_on_the_other_fold(launched, place):
    folder = place.folder("whole")
    ranked = read_history(folder.search_stage.journal, "iou").ranked
    trainings = read_history(folder.confirm_stage.journal, "iou").in_order
    assert {trial.source for trial in trainings} == {ranked[0].number, ranked[1].number}
    assert {(trial.fold, trial.outcome, trial.last_epoch) for trial in trainings} == {(1, Outcome.FINISHED, EPOCHS)}
    best, split = json.loads(folder.best.read_text()), read_folds(folder.folds)
    scores = {}
    for trial in trainings:
        assert {split.fold_of[name] for name in trial.epochs[EPOCHS].image_scores} == {1}
        scores[trial.source] = best_contender(best, trial.source)["fold_scores"]["1"]
        assert scores[trial.source] in [record.score for record in trial.epochs.values()]
    assert best["confirmation"]["score"] == max(scores.values()) == scores[best["trial"]]
    assert f"{best['confirmation']['score']:.4f}" in launched
    require_mlflow_equals_journal(folder, "confirm", folder.confirm_stage.journal)


def best_contender(best: dict, trial: int) -> dict:
    (contender,) = [each for each in best["confirmation"]["contenders"] if each["trial"] == trial]
    return contender


def test_mlflow_has_what_the_journal_has(launched, place):
    require_mlflow_equals_journal(place.folder("whole"), "search", place.folder("whole").search_stage.journal)


def test_every_trial_has_pictures_of_its_last_epoch(launched, place):
    stage = place.folder("whole").search_stage
    for trial in read_history(stage.journal, "iou").trials.values():
        last = trial.epochs[trial.last_epoch]
        assert last.picture == next(iter(last.pictures.values()))
        for file in last.pictures.values():
            with Image.open(stage.root / file) as image:
                assert image.height >= 64


def test_status_shows_every_trial(launched, run, place):
    shown = run("status", "whole", *place.storage).stdout
    history = read_history(place.folder("whole").search_stage.journal, "iou")
    assert f"{TRIALS} of {TRIALS} trials" in shown
    for trial in history.trials.values():
        assert f"{trial.best.score:.4f}" in shown


def test_best_writes_the_winner_again(launched, run, place):
    file = place.folder("whole").best
    before = file.read_text()
    file.unlink()
    shown = run("best", "whole", *place.storage).stdout
    assert file.read_text() == before
    assert f"{json.loads(before)['metrics']['iou']:.4f}" in shown


def test_retraining_trains_the_winner_once_per_fold(retrained, place):
    folder = place.folder("whole")
    best = json.loads(folder.best.read_text())
    trials = read_history(folder.retrain_stage.journal, "iou").trials
    assert {number: trial.fold for number, trial in trials.items()} == {0: 0, 1: 1}
    for trial in trials.values():
        assert trial.values == best["values"]
        assert trial.outcome is Outcome.FINISHED
        assert sorted(trial.epochs) == list(range(1, best["values"]["epochs"] + 1))


def test_confirmation_goes_on_where_it_was_interrupted(retrained, run, place):
    """The last training is taken out of the journal, as if its driver had died before it began."""
    stage = place.folder("whole").confirm_stage
    events = list(read_events(stage.journal))
    last = max(event.trial for event in events if isinstance(event, TrialEvent))
    lines = stage.journal.read_text().splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line).get("trial") != last and json.loads(line)["event"] != "closed"]
    stage.journal.write_text("".join(kept))
    run("confirm", "whole", *place.storage)
    new = tuple(read_events(stage.journal))[len(kept) :]
    assert {event.trial for event in new if isinstance(event, TrialEvent)} == {last}
    assert epochs_of(new, last) == list(range(1, EPOCHS + 1))


def test_fold_of_the_confirmation_is_not_trained_twice(retrained, place):
    folder = place.folder("whole")
    trials = read_history(folder.retrain_stage.journal, "iou").trials
    assert "trained in the confirmation" in trials[1].message
    assert "trained in the confirmation" not in trials[0].message
    assert not folder.retrain_stage.trial(1).exists()


def test_every_image_is_scored_out_of_fold_once(retrained, place, dataset_folder):
    folder = place.folder("whole")
    split, scored = read_folds(folder.folds), []
    for trial in read_history(folder.retrain_stage.journal, "iou").trials.values():
        scores = folder.retrain_stage.resolve(trial.checkpoint) / "scores.json"
        names = [entry["name"] for entry in json.loads(scores.read_text())]
        assert {split.fold_of[name] for name in names} == {trial.fold}
        scored += names
    assert sorted(scored) == sorted(case.name for case in read_dataset(dataset_folder).cases)
    notes = read_ensemble_notes(folder.model)["notes"]
    assert f"{notes['out_of_fold']['iou']:.4f} over 12 images" in retrained


def test_mlflow_has_the_retraining_and_its_score(retrained, place):
    folder = place.folder("whole")
    require_mlflow_equals_journal(folder, "retrain", folder.retrain_stage.journal)
    (parent,), _ = find_runs(folder, "retrain")
    notes = read_ensemble_notes(folder.model)["notes"]
    assert parent.info.status == "FINISHED"
    assert notes["out_of_fold"]["iou"] in parent.data.metrics.values()
    assert f"/#/experiments/{parent.info.experiment_id}/runs/{parent.info.run_id}?" in notes["run"]


def test_registered_model_is_fetched_unless_its_files_were_changed(retrained, run, run_cli, place, tmp_path):
    (digest,) = [line.split()[-1] for line in retrained.splitlines() if line.startswith("sha256:")]
    done = run("fetch", "whole", tmp_path / "model", *place.storage)
    assert digest in done.stdout
    assert len(read_ensemble_notes(tmp_path / "model" / "artifacts" / "model")["members"]) == FOLDS
    (code,) = (place.root / "searches" / "mlartifacts").rglob("served.py")
    before = code.read_text()
    try:
        code.write_text(f"{before}\nprint('someone else')\n")
        refused = run_cli("fetch", "whole", tmp_path / "other", *place.storage)
    finally:
        code.write_text(before)
    assert refused.returncode == 2
    assert "its files were changed after it was registered" in refused.stderr
    assert not (tmp_path / "other").exists()


def test_no_secret_of_the_environment_stands_in_any_file(retrained, place):
    """Keys of an object store and MLflow's password, which every command of this file had."""
    files = [file for file in place.root.rglob("*") if file.is_file() and file.name != "my_spaces.py"]
    assert len(files) > 50
    assert [file for file in files if b"PLANTED" in file.read_bytes()] == []


def test_registered_model_predicts_what_the_ensemble_predicts(retrained, place, tmp_path, dataset_folder):
    """In a process that knows MLflow's store and nothing of this project."""
    folder = place.folder("whole")
    images = [np.asarray(Image.open(case.image)) for case in read_dataset(dataset_folder).cases[:3]]
    np.save(tmp_path / "images.npy", np.stack(images))
    (address,) = [line.split()[-1] for line in retrained.splitlines() if line.startswith("registered:")]
    assert address == "models:/whole/1"
    program = (
        "import sys, mlflow, numpy as np\n"
        "mlflow.set_tracking_uri(sys.argv[1])\n"
        "model = mlflow.pyfunc.load_model(sys.argv[2])\n"
        "np.save('classes.npy', model.predict(np.load('images.npy')))\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", program, read_place(folder.place).tracking_uri, address]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    threads = torch.get_num_threads()
    ensemble = load_ensemble(folder.model, detect_machine(1))
    expected = np.stack([ensemble.predict(image) for image in images])
    torch.set_num_threads(threads)
    served = np.load(tmp_path / "classes.npy")
    assert served.dtype == np.uint8
    assert len(ensemble.members) == FOLDS
    assert np.array_equal(served, expected)
    assert len(np.unique(expected)) > 1, "a constant answer would be equal by chance"


@pytest.mark.slow
def test_mlflow_serves_the_champion_and_answers_a_picture(
    retrained, place, dataset_folder, tmp_path, find_free_port, wait_until
):
    """As docs/model.md says: from the environment, the pixels as JSON."""
    folder, port = place.folder("whole"), find_free_port()
    image = np.asarray(Image.open(read_dataset(dataset_folder).cases[0].image))
    command = [BIN / "mlflow", "models", "serve", "-m", "models:/whole@champion", "--env-manager", "local"]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": read_place(folder.place).tracking_uri}
    environment["PATH"] = f"{BIN}{os.pathsep}{environment['PATH']}"
    with (tmp_path / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--port", str(port)], cwd=tmp_path, env=environment, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        wait_until(lambda: ask_model(port, "ping")[0] == 200, "the model is served", 240)
        status, answer = ask_model(port, "invocations", {"inputs": image.tolist()})
        refused = ask_model(port, "invocations", {"inputs": image[..., 0].tolist()})
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    expected = load_ensemble(folder.model, detect_machine(1)).predict(image)
    assert status == 200, answer
    assert np.array_equal(json.loads(answer)["predictions"], expected)
    assert refused[0] == 400
    assert "give RGB images of bytes" in refused[1]


def ask_model(port: int, path: str, content: object = None) -> tuple[int, str]:
    """What a served model answers, with its status; 0 while nobody answers."""
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/{path}", data=data, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=600) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


@dataclasses.dataclass(frozen=True)
class Interrupted:
    """A search whose driver was killed, and that went on when its launch was run again.

    Args:
        killed: what its journal held at the kill.
        before: events until then.
        after: events of the resumed search.
    """

    killed: History
    before: tuple[Event, ...]
    after: tuple[Event, ...]


@pytest.fixture(scope="module")
def interrupted(start_preloaded: Callable, run: Callable, place: Place, wait_until: Callable) -> Interrupted:
    """Search `cut`: its driver is killed once a trial has finished and another has a checkpoint; ASHA stops nobody."""
    journal = place.folder("cut").search_stage.journal
    driver = start_preloaded(*place.arguments, "--name", "cut", "--grace-epochs", EPOCHS, PYTHONPATH=str(place.root))

    def is_midway() -> bool:
        assert driver.poll() is None, driver.communicate()
        history = read_history(journal, "iou")
        half_trained = [trial for trial in history.unfinished if 0 < trial.checkpoint_epoch < EPOCHS]
        return history.count(Outcome.FINISHED) > 0 and bool(half_trained)

    try:
        wait_until(is_midway, "a trial has finished and another has begun", seconds=240)
    finally:
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        kill_session(driver.pid)
    killed, before = read_history(journal, "iou"), tuple(read_events(journal))
    run(*place.arguments, "--name", "cut", "--grace-epochs", EPOCHS, "--or-resume")
    return Interrupted(killed, before, tuple(read_events(journal))[len(before) :])


def kill_session(leader: int) -> None:
    """Kill what a killed driver left of its own Ray: the processes of the session that it led."""
    listing = subprocess.run(["ps", "-eo", "pid=,sid="], capture_output=True, text=True, check=True).stdout
    for pid, session in (map(int, line.split()) for line in listing.splitlines()):
        if session == leader:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def epochs_of(events: tuple[Event, ...], trial: int) -> list[int]:
    return [event.epoch for event in events if event.event == "epoch" and event.trial == trial]


def test_driver_was_killed_midway(interrupted):
    """Guards the tests below."""
    assert interrupted.killed.count(Outcome.FINISHED) > 0
    assert any(trial.checkpoint_epoch for trial in interrupted.killed.unfinished)
    assert len(interrupted.after) > 0


def test_resumed_search_loses_no_trial(interrupted, place):
    history = read_history(place.folder("cut").search_stage.journal, "iou")
    assert sorted(history.trials) == list(range(TRIALS))
    for trial in history.trials.values():
        assert trial.outcome is Outcome.FINISHED
        assert sorted(trial.epochs) == list(range(1, EPOCHS + 1))


def test_resumed_search_repeats_no_finished_trial(interrupted):
    finished = {number for number, trial in interrupted.killed.trials.items() if trial.outcome is not None}
    assert finished
    after = [event for event in interrupted.after if isinstance(event, TrialEvent) and event.trial in finished]
    # The checkpoint of one that is the best no longer may go.
    assert {event.event for event in after} <= {"dropped"}


def test_resumed_search_asks_no_trial_twice(interrupted):
    asked = [event.trial for event in (*interrupted.before, *interrupted.after) if event.event == "asked"]
    assert asked == list(range(TRIALS))


def test_unfinished_trials_go_on_from_their_checkpoint(interrupted):
    for trial in interrupted.killed.unfinished:
        expected = list(range(trial.checkpoint_epoch + 1, EPOCHS + 1))
        assert epochs_of(interrupted.after, trial.number) == expected


def test_mlflow_has_each_trial_of_the_resumed_search_once(interrupted, place):
    require_mlflow_equals_journal(place.folder("cut"), "search", place.folder("cut").search_stage.journal)


def test_trial_that_was_trained_when_the_driver_died_ends_without_another_epoch(interrupted, run, place):
    """The driver dies between a trial's last checkpoint and the note of its end: here the line is taken out. The best
    trial is the one whose checkpoint is kept."""
    stage = place.folder("cut").search_stage
    best = read_history(stage.journal, "iou").ranked[0]
    lines = stage.journal.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not is_end_of(best.number, line)]
    assert len(kept) == len(lines) - 1
    stage.journal.write_text("".join(kept))
    run("resume", "cut", *place.storage)
    trial = read_history(stage.journal, "iou").trials[best.number]
    assert trial.outcome is Outcome.FINISHED
    new = tuple(read_events(stage.journal))[len(kept) :]
    assert [event for event in new if event.event == "epoch"] == []
    require_mlflow_equals_journal(place.folder("cut"), "search", stage.journal)


def is_end_of(trial: int, line: str) -> bool:
    event = json.loads(line)
    return event["event"] == "ended" and event["trial"] == trial


@pytest.fixture(scope="module")
def seeded(interrupted: Interrupted, run: Callable, place: Place) -> tuple[Event, ...]:
    """Events of search `seeded`: a configuration from outside of the space, the three best of `cut`, and one more drawn
    after it was extended."""
    outside = place.root / "outside.json"
    outside.write_text(json.dumps({"optimizer": "sgd", "learning_rate": 0.03}))
    arguments = (*place.arguments, "--name", "seeded", "--trials", TRIALS, "--epochs", 1, "--max-concurrent", 1)
    arguments += ("--objective", "iou,latency_ms", "--max-latency-ms", 1e6)
    told = run(*arguments, "--seed-config", outside, "--warm-start", "cut")
    assert "Configurations that are tried first: 4, each once" in told.stdout
    journal = place.folder("seeded").search_stage.journal
    before = tuple(read_events(journal))
    run("resume", "seeded", "--trials", "+1", *place.storage)
    after = tuple(read_events(journal))
    assert after[: len(before)] == before
    assert read_settings(place.folder("seeded").settings).trials == TRIALS + 1
    return after


def test_configurations_of_a_file_and_of_an_earlier_search_are_tried_first(seeded, place):
    asked = [event for event in seeded if event.event == "asked"]
    assert [asked[0].values[name] for name in ("optimizer", "learning_rate", "epochs")] == ["sgd", 0.03, 1]
    earlier = read_history(place.folder("cut").search_stage.journal, "iou").ranked[:3]
    assert [event.params for event in asked[1:4]] == [trial.params for trial in earlier]
    assert [event.drawable for event in asked[:4]] == [False, True, True, True]


def test_latency_is_measured_once_and_shown_beside_the_iou(seeded, run, place):
    epochs = [event for event in seeded if event.event == "epoch"]
    assert all(event.metrics["latency_ms"] > 0 for event in epochs)
    assert len(epochs) == TRIALS + 1
    shown = run("best", "seeded", *place.storage).stdout
    assert "No trial is both faster and better" in shown
    assert f"{max(event.metrics['iou'] for event in epochs):.4f}" in shown.partition("No trial is both")[2]


def test_trial_over_a_limit_is_not_trained(run_cli, place):
    arguments = (*place.arguments, "--name", "slow", "--trials", 2, "--max-latency-ms", 0.001, "--max-concurrent", 1)
    done = run_cli(*arguments, python_path=place.root)
    refuse(done, "has no trial with a score yet")
    trials = read_history(place.folder("slow").search_stage.journal, "iou").in_order
    assert [trial.outcome for trial in trials] == [Outcome.OVER_LIMIT] * 2
    for trial in trials:
        assert "ms per prediction are above --max-latency-ms 0.001" in trial.message
        assert trial.epochs == {}


def test_extended_search_keeps_its_trials_and_draws_one_more(seeded, place):
    trials = read_history(place.folder("seeded").search_stage.journal, "iou").trials
    assert sorted(trials) == list(range(TRIALS + 1))
    assert {trial.outcome for trial in trials.values()} == {Outcome.FINISHED}
    assert all(trials[TRIALS].params != trials[number].params for number in range(TRIALS))
    assert [event.trial for event in seeded if event.event == "asked"] == list(range(TRIALS + 1))


# Refused before Ray starts.
MISTAKES = {
    "missing folder": (["--data", "/no/such/folder"], "/no/such/folder is no data set"),
    "no data in the folder": (["--data", "{root}"], "is no data set"),
    "space that is no module": (["--space", "no_such:space"], "No module named 'no_such'"),
    "space that is not in its module": (["--space", "my_spaces:tinny"], "there is no 'tinny' in"),
    "unknown space": (["--space", "steet"], "street_small, or package.module:function"),
    "server that is away": (["--tracking-uri", "http://127.0.0.1:{port}"], "does not answer"),
    "tracking address that is none": (["--tracking-uri", "server:5000"], "is no address"),
    "cluster that is away": (["--address", "127.0.0.1:{port}"], "does not answer"),
    "storage that cannot be written": (["--storage", "{root}/my_spaces.py/searches"], "cannot be written"),
    "too many folds": (["--folds", "99"], "use --folds"),
    "fold that does not exist": (["--folds", "2", "--fold", "2"], "use 0 to 1"),
    "no trials": (["--trials", "0"], "--trials 0"),
    "unknown choice": (["--set", "bakbone=resnet18"], "did you mean backbone"),
    "choice out of range": (["--set", "batch_size=0"], "batch_size='0'"),
    "objective that is no metric": (["--objective", "mIoU"], "use miou"),
    "objective of no class": (["--objective", "iou/cra"], "the data has no class 'cra'; did you mean car"),
    "no assignment": (["--set", "backbone"], "write NAME=VALUE"),
    "no duration": (["--time-budget", "soon"], "--time-budget 'soon' is no duration"),
    "missing configuration": (["--seed-config", "{root}/none.json"], "none.json cannot be read"),
    "unknown earlier search": (["--warm-start", "hole"], "has a search of that name with a score"),
    "no such option": (["--trails", "3"], "No such option"),
    "name with a slash": (["--name", "a/b"], "--name 'a/b'"),
    "name of MLflow's file": (["--name", "mlflow.db"], "is kept for MLflow's own files"),
    "name of MLflow's experiment": (["--name", "Default"], "is kept for MLflow's own files"),
    "name of 300 letters": (["--name", "x" * 300], "at most 100 of the letters"),
    "latency on a shared GPU": (
        ["--gpus-per-trial", "0.5", "--max-latency-ms", "40"],
        "--max-latency-ms 40 with --gpus-per-trial 0.5",
    ),
}
OTHER_MISTAKES = {
    "unknown search to resume": (["resume", "hole"], "No search 'hole'"),
    "unknown search to retrain": (["retrain", "hole"], "No search 'hole'"),
    "unknown search to look at": (["status", "hole"], "No search 'hole'"),
    "no searches to browse": (["ui"], "has no mlflow.db"),
    "unknown command": (["lunch"], "No such command 'lunch'"),
}


@pytest.mark.parametrize("name", [*MISTAKES, *OTHER_MISTAKES])
def test_mistake_is_refused_with_a_message(run_cli, place, find_free_port, tmp_path, name):
    if name in MISTAKES:
        arguments, message = MISTAKES[name]
        given = [part.format(root=place.root, port=find_free_port()) for part in arguments]
        line = ["launch", "--name", "wrong", "--data", place.data, "--space", "my_spaces:tiny"]
        line += ["--cache", tmp_path / "cache", "--storage", tmp_path / "searches", *given]
    else:
        arguments, message = OTHER_MISTAKES[name]
        line = [*arguments, *(["--storage", tmp_path / "none"] if arguments != ["lunch"] else [])]
    done = run_cli(*line, python_path=place.root)
    output = done.stdout + done.stderr
    assert message in " ".join(output.split()), output
    assert "Traceback" not in output
    assert done.returncode == 2
    assert list(tmp_path.rglob("settings.json")) == [], "a refused launch leaves no search behind"


def refuse(done: subprocess.CompletedProcess[str], message: str) -> None:
    assert message in done.stdout + done.stderr, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode == 2


def test_gpu_that_no_node_has_is_refused(run_cli, place):
    if torch.cuda.is_available() or shutil.which("nvidia-smi"):
        pytest.skip("this machine has a GPU")
    done = run_cli(*place.arguments, "--name", "gpu", "--gpus-per-trial", 1, python_path=place.root)
    refuse(done, "--gpus-per-trial 1: this machine has 0 GPUs for trials")
    assert not place.folder("gpu").settings.exists()


def test_crop_larger_than_the_images_is_refused(run_cli, place):
    arguments = (*place.arguments, "--name", "large", "--space", "my_spaces:too_large")
    done = run_cli(*arguments, python_path=place.root)
    refuse(done, "crop_size=128 is larger than the shorter side of the images, 64 pixels; use crop_size=64 or smaller")
    assert not place.folder("large").settings.exists()


def test_data_that_cannot_be_trained_is_refused_before_any_trial(run_cli, place, make_dataset):
    folder = make_dataset(*[(64, 96)] * 12)
    for mask in sorted((folder / "seg_train_annotations").glob("*.png"))[1:]:
        # Road below sky: the first image alone has a car or a person.
        Image.fromarray(paint(np.repeat([3, 0], 32).astype(np.uint8)[:, None].repeat(96, axis=1))).save(mask)
    done = run_cli(*place.arguments, "--name", "bare", "--data", folder, python_path=place.root)
    refuse(done, "no image has a scored class (car, person), so no score could be given there")
    assert "cannot be trained on" in done.stdout + done.stderr
    assert not place.folder("bare").settings.exists()


def test_name_that_is_taken_is_refused(launched, run_cli, place):
    journal = place.folder("whole").search_stage.journal
    before = journal.read_bytes()
    done = run_cli(*place.arguments, "--name", "whole", python_path=place.root)
    refuse(done, f"go on with it by '{place.folder('whole').command('resume')}'")
    assert journal.read_bytes() == before


BUSY = "confirm is in use by another process"
AGAIN = ["launch", "--name", "streets", "--data", "data", "--or-resume", "--trials", "2", "--confirm", "2"]
REFUSED = {
    "resume while the search is confirmed": ({"trials": 2}, "confirm", ["resume", "streets"], BUSY),
    "confirm while the search is confirmed": ({"trials": 2}, "confirm", ["confirm", "streets", "--top", "5"], BUSY),
    "retrain while the search is confirmed": ({"trials": 2}, "confirm", ["retrain", "streets"], BUSY),
    "retrain while the search runs": ({"trials": 2}, "search", ["retrain", "streets"], "streets is in use by another"),
    "resume while the search runs": ({"trials": 2}, "search", ["resume", "streets"], "streets is in use by another"),
    "confirm while the search runs": ({"trials": 2}, "search", ["confirm", "streets"], "confirms by itself at its end"),
    "confirm while it is retrained": ({"trials": 2}, "retrain", ["confirm", "streets"], "retrain is in use by another"),
    "resume while it is retrained": ({"trials": 2}, "retrain", ["resume", "streets"], "retrain is in use by another"),
    "no GPU of half a worker": ({}, "", ["resume", "streets", "--gpus-per-trial", "1.5"], "use --gpus-per-trial 1,"),
    "latency on a shared GPU": (
        {"max_latency_ms": 40.0}, "", ["resume", "streets", "--gpus-per-trial", "0.5"], "cannot measure how long"
    ),
    "data that is not there": (
        {"trials": 2}, "", ["resume", "streets", "--data", "/no/such"], "/no/such is no data set"
    ),
    "more trials without time": (
        {"trials": 2, "time_budget_seconds": 1.0}, "", ["resume", "streets", "--trials", "+40"], "of 1 s is spent"
    ),
    "launch or resume with other settings": (
        {"trials": 2}, "", [*AGAIN, "--trials", "3", "--set", "batch_size=3"], "--trials (it has 2, not 3), --set (it"
    ),
    "launch or resume while the search runs": ({"trials": 2}, "search", AGAIN, "streets is in use by another"),
    "no trials": ({"trials": 2}, "", ["resume", "streets", "--trials", "0"], "use --trials 2 or more"),
    "no trials of a search that has none": ({"trials": 9}, "", ["resume", "streets", "--trials", "0"], "--trials 0"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_command_leaves_the_settings_as_they_were(make_settings, make_place, case):
    changes, busy, arguments, message = REFUSED[case]
    settings, place = make_settings(confirm=2, **changes), make_place()
    folder = folder_of(settings, place)
    journal = Journal(folder.search_stage.journal, "iou")
    write_settings(settings, folder.settings)
    write_place(place, folder.place)
    cases = {f"case{number}": number for number in range(7)}
    write_folds(FoldSplit(folds=7, fold_of=cases, block_of={name: name for name in cases}), folder.folds)
    for trial in range(settings.trials % 9):
        values = TrainConfig.from_values({"batch_size": trial + 1}).values()
        journal.write(Opened(cache_key="key", time=1000.0))
        journal.write(Asked(trial=trial, fold=0, values=values, params={}))
        report = {"trial": trial, "epoch": 1, "metrics": {"iou": 0.5}, "picture": None, "verdict": ""}
        journal.write(Epoch(**report))
        journal.write(Ended(trial=trial, outcome=Outcome("finished")))
    arguments = [*arguments, "--max-concurrent", "7", "--storage", str(place.storage)]
    with lock_stage(folder.stages[busy]) if busy else nullcontext():
        refused = CliRunner().invoke(app, arguments).exception
    assert isinstance(refused, StreetError), repr(refused)
    assert message in str(refused)
    assert read_settings(folder.settings) == settings
    assert read_place(folder.place) == replace(place, home=folder.root)
