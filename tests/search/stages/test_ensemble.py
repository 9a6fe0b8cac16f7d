import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from search.folder import SearchFolder, StageFolder
from search.memory.best import Configuration, Winner
from search.memory.events import Asked, CheckpointSaved
from search.memory.journal import read_history
from search.run.asking import Voter, ask
from search.run.polling import Poll, run_polls
from search.run.stage import Stage
from search.run.trial import STATE_FILE
from search.run.trial_job import TrialJob
from search.stages.ensemble import _is_ahead, find_parts, forget_votes, select_ensemble
from search.stages.plan import plan_folds, plan_further
from search.stages.retrain import build_ensemble, measure_out_of_fold
from segcore.config import TrainConfig
from segcore.data.dividing.split import FoldSplit, write_folds
from segcore.errors import CheckpointError
from segcore.machine import Machine
from segcore.prediction.cases import predict_cases, score_cases
from segcore.prediction.ensemble_files import load_ensemble, read_ensemble_notes
from segcore.prediction.votes import read_votes, write_votes
from segcore.scoring.metrics import ImageScore
from segcore.scoring.score_text import SCORES_FILE
from segcore.training.checkpoint import save_state
from segcore.training.state import new_state

SMALL = {"backbone": "tf_efficientnet_lite0", "weights": "none", "decoder_channels": 16, "epochs": 1}
CAR = 1


def make_best(**values):
    whole = TrainConfig.from_values({**SMALL, **values}).values()
    return Winner(search="streets", trial=5, fold=0, epoch=1, metrics={"iou": 0.8}, values=whole, trials=1)


@pytest.fixture
def folder(tmp_path, script):
    found = SearchFolder(root=tmp_path)
    found.retrain_stage.root.symlink_to(script.journal.file.parent)
    return found


@pytest.fixture
def stage(script, cache, make_settings, make_place):
    split = FoldSplit(
        folds=2,
        fold_of={name: number % 2 for number, name in enumerate(cache.names)},
        block_of={name: name for name in cache.names},
    )
    job = TrialJob(
        data="",
        extra=(),
        cache_root=cache.folder.parent,
        cache_key=cache.key,
        split=split,
        cpus=1,
        gpus=0,
        metric="iou",
    )
    settings, place = make_settings(folds=2), make_place(cpus_per_trial=1, gpus_per_trial=0)
    return Stage(
        settings=settings,
        place=place,
        folder=StageFolder(root=script.journal.file.parent),
        journal=script.journal,
        job=job,
        name="retrain",
    )


@pytest.fixture
def train(script, cache):
    """Return a function that ends every training with a network which calls everything by one class."""

    def finish(class_of_source):
        for trial in script.journal.history.unfinished:
            config, path = TrainConfig.from_values(trial.values), script.journal.file.parent / "ray" / str(trial.number)
            path.mkdir(parents=True)
            state = new_state(config, 4, Machine())
            head = state.model.network.segmentation_head[0]
            with torch.no_grad():
                head.weight.zero_()
                head.bias.zero_()[class_of_source[trial.source]] = 3.0
            save_state(state, path / STATE_FILE)
            indices = [index for index in range(len(cache)) if index % 2 == trial.fold]
            scores = score_cases(predict_cases(state.model, cache, indices, config, Machine()), cache, indices)
            told = [
                {"name": s.name, "condition": s.condition, "iou": s.iou, "confusion": s.confusion_CP.tolist()}
                for s in scores
            ]
            (path / SCORES_FILE).write_text(json.dumps(told))
            script.journal.write(CheckpointSaved(trial=trial.number, epoch=1, path=f"ray/{trial.number}"))
            script.end(trial.number)

    return finish


FURTHER = Configuration(trial=7, values=make_best(decoder="linknet", seed=3).values)


def test_parts_are_folds_or_halves_that_keep_blocks_together():
    fold_of = {"a": 0, "b": 2, "c": 1}
    assert find_parts(["a", "b", "c"], FoldSplit(folds=3, fold_of=fold_of, block_of={})) == [0, 2, 1]
    blocks = {"a": "x", "b": "y", "c": "x", "d": "z"}
    assert find_parts(["a", "b", "c", "d"], FoldSplit(folds=1, fold_of={}, block_of=blocks)) == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("gains", "blocks", "ahead"),
    [
        # No image would change the gain.
        ([0.1, 0.1, 0.1, 0.1], "abcd", True),
        # Mean 0.1 with a standard error of 0.2 / sqrt(3) = 0.115.
        ([0.3, -0.1, 0.3, -0.1], "abcd", False),
        # Mean 0.01, standard error 0.001 / sqrt(3) of four images, times t(3) = 3.18: 0.0018.
        ([0.009, 0.011, 0.009, 0.011], "abcd", True),
        # The same of two blocks, which are alike but for 0.001, times t(1) = 12.7: 0.0127.
        ([0.009, 0.009, 0.011, 0.011], "aabb", False),
        # One block says nothing of others.
        ([0.1, 0.1, 0.1, 0.1], "aaaa", False),
    ],
)
def test_gain_counts_where_other_images_would_not_undo_it(classes, gains, blocks, ahead):
    def scores(gains):
        none = np.zeros((len(classes), len(classes) + 1), np.int64)
        return [
            ImageScore(name=str(i), condition="", iou=0.5 + gain, confusion_CP=none) for i, gain in enumerate(gains)
        ]

    block_of = {str(i): block for i, block in enumerate(blocks)}
    assert _is_ahead(classes, "iou", block_of, scores(gains), scores([0.0] * 4)) is ahead


@pytest.mark.usefixtures("local_ray")
def test_image_that_was_asked_about_is_not_asked_about_again(stage, train, tmp_path):
    plan_folds(stage.journal, make_best(), 2)
    train({None: CAR})
    voter = Voter(values=make_best().values, checkpoints=(stage.folder.address("ray/0"),), snapshot=0)
    poll = Poll(files={0: tmp_path / "v" / "0.npz", 2: tmp_path / "v" / "2.npz"}, voters=(voter,))
    (known,) = ask(stage.job, [0], [voter])
    write_votes(replace(known, name="kept"), poll.files[0])
    run_polls(stage, [poll])
    assert read_votes(poll.files[0]).name == "kept"
    assert not stage.journal.history.warnings
    (expected,) = ask(stage.job, [2], [voter])
    found = read_votes(poll.files[2])
    assert found.name == expected.name
    assert np.array_equal(found.agreed_CP, expected.agreed_CP)


def _ask_here(stage, polls):
    for poll in polls:
        for votes, file in zip(ask(stage.job, list(poll.files), poll.voters), poll.files.values(), strict=True):
            write_votes(votes, file)


def test_configuration_that_beats_the_winner_out_of_fold_makes_the_model(
    stage, train, cache, folder, classes, monkeypatch
):
    monkeypatch.setattr("search.stages.ensemble.run_polls", _ask_here)
    best = make_best()
    plan_folds(stage.journal, best, 2)
    plan_further(stage.journal, [FURTHER])
    train({None: 3, 7: CAR})
    history = stage.journal.history
    result = measure_out_of_fold(stage.folder, history, classes, 0)
    verdict = select_ensemble(stage, cache, 5, [5, 7], 30)
    assert [(member.trial, member.weight) for member in verdict.members] == [(5, 0), (7, 1)]
    assert (verdict.kept, verdict.networks) == (True, 2)
    # The winner alone is what the ruler says of it.
    assert verdict.plain == pytest.approx(result.score)
    assert verdict.score == pytest.approx(verdict.members[1].alone)
    assert verdict.nested == pytest.approx(verdict.score)

    # One who is killed from here on chooses by what was said.
    monkeypatch.setattr("search.run.polling.ray", None)
    monkeypatch.setattr("search.stages.ensemble.run_polls", run_polls)
    assert select_ensemble(stage, cache, 5, [5, 7], 30) == verdict
    forget_votes(stage.folder)
    assert not list(stage.folder.root.glob("votes*"))

    write_folds(stage.job.split, folder.folds)
    build_ensemble(folder, history, cache, replace(result, ensemble=verdict), best, half=True)
    model = load_ensemble(folder.model, Machine())
    assert [member.config.decoder for member in model.members] == ["linknet", "linknet"]
    assert set(model.predict(np.array(cache.image_HW3(0))).flat) == {CAR}
    notes = read_ensemble_notes(folder.model)["notes"]
    assert (notes["left_out"], notes["ensemble"]["kept"]) == ([0, 1], True)
    assert notes["out_of_fold"] == verdict.metrics


def test_winner_that_nothing_beats_stays_the_model_and_failures_are_told(stage, train, cache, monkeypatch, script):
    monkeypatch.setattr("search.stages.ensemble.run_polls", _ask_here)
    plan_folds(stage.journal, make_best(), 2)
    plan_further(stage.journal, [FURTHER])
    script.journal.write(Asked(trial=4, fold=0, values=FURTHER.values, params={}, source=9))
    script.end(4, "diverged", "the loss is nan")
    train({None: CAR, 7: 3})
    verdict = select_ensemble(stage, cache, 5, [5, 7, 9], 30)
    assert (verdict.kept, verdict.score, verdict.expected) == (False, verdict.plain, verdict.plain)
    assert verdict.failures == ("trial 9 was not trained on every fold (fold 0: diverged the loss is nan)",)


def test_winner_is_needed_whatever_else_was_trained(stage, script, classes):
    plan_folds(stage.journal, make_best(), 2)
    script.end(0, "diverged", "the loss is nan")
    with pytest.raises(CheckpointError, match="Fold 0 was not retrained"):
        measure_out_of_fold(stage.folder, read_history(script.journal.file, "iou"), classes, 0)


@pytest.mark.usefixtures("local_ray")
def test_checkpoint_that_a_worker_cannot_read_is_told_without_the_workers_traceback(stage, train, tmp_path):
    plan_folds(stage.journal, make_best(), 2)
    train({None: CAR})
    (stage.folder.root / "ray" / "0" / STATE_FILE).write_bytes(b"torn")
    voter = Voter(values=make_best().values, checkpoints=(stage.folder.address("ray/0"),), snapshot=0)
    with pytest.raises(CheckpointError) as caught:
        run_polls(stage, [Poll(files={0: tmp_path / "v" / "0.npz"}, voters=(voter,))])
    assert re.fullmatch(
        r"The checkpoint .*state\.pt cannot be read \(.*\); delete it to start anew\.", str(caught.value)
    )
