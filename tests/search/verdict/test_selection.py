import json
from dataclasses import replace

import pytest

from search.folder import SearchFolder
from search.memory.best import Finalist, describe_winner, read_best, write_best
from search.memory.events import Asked
from search.memory.history import History
from search.memory.journal import read_history
from search.verdict.notes import best_note
from search.verdict.selection import (
    choose_best,
    choose_candidates,
    choose_confirmed,
    choose_contenders,
    choose_further,
    find_earlier_retraining,
)
from segcore.config import TrainConfig
from segcore.data.dividing.split import FoldSplit
from segcore.errors import CheckpointError, StorageError


def test_winner_is_the_trial_with_the_highest_score_of_any_epoch(make_history, make_settings):
    def write(script):
        for trial, ious in enumerate(((0.5, 0.6, 0.55), (0.4, 0.7, 0.65), (0.69,))):
            script.ask(trial, fold=2, batch_size=trial + 1)
            script.epochs(trial, *ious)
            script.end(trial)

    best = choose_best(make_history(write), make_settings(folds=3, fold=2))
    assert (best.search, best.trial, best.fold, best.epoch) == ("streets", 1, 2, 2)
    assert best.metrics == {"iou": 0.7, "train_loss": 0.5}
    assert best.values["batch_size"] == 2
    assert best.trials == 3


@pytest.mark.parametrize(
    ("schedule", "epochs"),
    [("constant", 2), ("plateau", 2), ("onecycle", 9)],  # onecycle's rate falls to zero at the end, not at epoch 2
)
def test_epochs_to_retrain_come_from_the_winner(make_history, make_settings, schedule, epochs):
    def write(script):
        script.ask(0, rate_schedule=schedule, epochs=9, patience_epochs=3)
        script.epochs(0, 0.5, 0.7, 0.6)
        script.end(0, "stopped by ASHA")

    values = choose_best(make_history(write), make_settings()).values
    assert values["epochs"] == epochs
    assert values["patience_epochs"] == 0, "no fold may steer its own training"


def test_of_equal_scores_the_lower_number_and_the_earlier_epoch_win(make_history, make_settings):
    def write(script):
        script.ask(0)
        script.ask(1)
        script.epochs(1, 0.7)
        script.epochs(0, 0.6, 0.7, 0.7)

    best = choose_best(make_history(write), make_settings())
    assert (best.trial, best.epoch) == (0, 2)


@pytest.mark.parametrize("outcome", ["failed", "diverged", "out of memory"])
def test_stopped_and_unfinished_trials_may_win_failed_ones_not(make_history, make_settings, outcome):
    def write(script):
        script.ask(0)
        script.epochs(0, 0.9)
        script.end(0, outcome, "a bug")
        script.ask(1)
        script.epochs(1, 0.5)
        script.end(1, "stopped by ASHA")
        script.ask(2)
        script.epochs(2, 0.4)

    history = make_history(write)
    assert choose_best(history, make_settings()).trial == 1
    assert [trial.number for trial in choose_candidates(history, make_settings())] == [1]


def test_search_without_a_score_is_refused_with_how_its_trials_ended(make_history, make_settings):
    def write(script):
        for trial in range(5):
            script.ask(trial)
        script.end(4, "failed", "no disk")
        script.end(0, "failed", "a bug.")
        for trial in (2, 3):
            script.end(trial, "over a limit")
        script.epochs(1, None)

    told = (
        "'streets' has no trial with a score yet; of 5 trials: 2 failed, 2 over a limit, 1 not ended. The last that "
        "failed, trial 0: a bug. Once the cause is mended, 'resume' with --retry-failed takes up again what failed"
    )
    with pytest.raises(CheckpointError, match=told):
        choose_best(make_history(write), make_settings())


def test_search_whose_trials_are_all_over_a_limit_sends_to_status(make_history, make_settings):
    def write(script):
        script.ask(0)
        script.end(0, "over a limit")

    with pytest.raises(CheckpointError, match=r"of 1 trial: 1 over a limit\. 'status' says why, and what to do"):
        choose_best(make_history(write), make_settings())


def test_search_that_has_not_begun_is_refused(make_settings):
    with pytest.raises(CheckpointError, match="'streets' has begun no trial yet; resume it first"):
        choose_best(History("iou"), make_settings())


def test_best_comes_back_from_its_file_unchanged(make_history, make_settings, tmp_path):
    def write(script):
        script.ask(0)
        script.epochs(0, 0.1 + 0.2)

    best = choose_best(make_history(write), make_settings())
    write_best(best, tmp_path / "best.json")
    assert read_best(tmp_path / "best.json") == best
    assert [file.name for file in tmp_path.glob("best*")] == ["best.json"]


def test_best_that_cannot_be_written_is_told(tmp_path, make_best):
    (tmp_path / "best.json").mkdir()
    with pytest.raises(StorageError, match=r"best\.json cannot be written \(Is a directory\)"):
        write_best(make_best(), tmp_path / "best.json")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", "[" * 100_000, '{"values": {"bakbone": "resnet18"}}', '{"values": 3}']
)
def test_best_that_is_damaged_is_refused_with_the_remedy(tmp_path, content):
    (tmp_path / "best.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"best\.json cannot be read .* 'python -m search best .*' writes it"):
        read_best(tmp_path / "best.json")


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ({"trial": None}, "trial: "),
        ({"fold": "0"}, "fold: "),
        ({"metrics": {}}, "metrics: there is no iou"),
        ({"metrics": {"iou": {}}}, "metrics.iou: "),
        ({"metrics": {"iou": float("nan")}}, "metrics.iou: "),
        ({"confirmation": "nan"}, "confirmation: "),
        ({"confirmation": {"told": "", "score": 0.5, "folds": ["nan"]}}, "confirmation.folds.0: "),
    ],
)
def test_best_that_a_retraining_could_not_follow_is_refused(make_history, make_settings, tmp_path, edit, told):
    """A retraining takes hours before it comes to some of these."""

    def write(script):
        script.ask(0)
        script.epochs(0, 0.5)

    best = describe_winner(choose_best(make_history(write), make_settings()))
    (tmp_path / "best.json").write_text(json.dumps({**best, **edit}))
    with pytest.raises(CheckpointError, match=r"best\.json cannot be read") as caught:
        read_best(tmp_path / "best.json")
    assert f"({told}" in str(caught.value)


SPLIT = FoldSplit(folds=7, fold_of={}, block_of={})


def three_trials(script) -> None:
    for trial, iou in enumerate((0.5, 0.7, 0.6)):
        script.ask(trial, batch_size=trial + 1, epochs=1)
        script.epochs(trial, iou)
        script.end(trial)


def confirm_as(ious: dict[int, tuple[float, ...]]):
    """Write trainings of the search's trials on folds 1, 2, ..."""

    def write(script) -> None:
        number = 0
        for source, row in ious.items():
            for fold, iou in enumerate(row, start=1):
                values = TrainConfig.from_values({"epochs": 1}).values()
                content = {"trial": number, "fold": fold, "values": values, "params": {}, "source": source}
                script.journal.write(Asked(**content))
                script.epochs(number, iou)
                script.end(number)
                number += 1

    return write


def test_candidates_are_the_best_by_the_searchs_score(make_history, make_settings):
    candidates = choose_candidates(make_history(three_trials), make_settings(confirm=2))
    assert [trial.number for trial in candidates] == [1, 2]


def test_confirmed_winner_replaces_that_of_the_search(make_history, make_settings, tmp_path):
    history = make_history(three_trials)
    (tmp_path / "history" / "journal.jsonl").unlink()
    trainings = make_history(confirm_as({1: (0.4, 0.5), 2: (0.5, 0.6)}))
    best = choose_confirmed(history, trainings, make_settings(confirm=2), SPLIT)
    assert (best.trial, best.metrics["iou"], best.values["batch_size"]) == (2, 0.6, 3)
    confirmation = best.confirmation
    assert confirmation.score == pytest.approx(0.55)
    assert confirmation.optimism == pytest.approx(0.05)  # 0.6 - 0.55
    assert [each.trial for each in confirmation.contenders] == [2, 1]
    # Rows differ by 0.1 on either fold: no residual, so the choice between the two is no luck.
    assert (confirmation.best_of, confirmation.choice_bias) == (2, pytest.approx(0, abs=1e-9))
    assert best.confirmation_folds == [1, 2]
    assert (confirmation.further_seeds, confirmation.rounds) == ([], 2)
    write_best(best, tmp_path / "best.json")
    assert read_best(tmp_path / "best.json") == best


def test_file_says_how_sure_a_confirmed_score_and_a_difference_are(script, make_history, make_settings, tmp_path):
    """Two blocks of one image each leave one degree of freedom, of which the t quantile is 12.7062."""
    history = make_history(three_trials)
    # The variance of a mean of two blocks: (0.001^2 + 0.001^2) / 2^2 x 2 / 1, so the error is 0.001.
    for number, (source, ious) in enumerate(((1, {"a": 0.501, "b": 0.499}), (2, {"a": 0.401, "b": 0.399}))):
        script.ask(number, fold=1, source=source, batch_size=source + 1, epochs=1)
        score = {1: 0.5, 2: 0.4}[source]
        script.write("epoch", trial=number, epoch=1, metrics={"iou": score}, image_scores=ious)
        script.end(number)
    split = FoldSplit(folds=7, fold_of={"a": 1, "b": 1}, block_of={"a": "x", "b": "y"})
    best = choose_confirmed(history, script.journal.history, make_settings(confirm=2, confirm_folds=1, folds=7), split)
    assert best.confirmation.interval == pytest.approx((0.487294, 0.512706), abs=1e-6)
    winner, behind = best.confirmation.contenders
    assert (winner.trial, winner.difference, winner.image_difference) == (1, None, None)
    assert behind.interval == pytest.approx((0.387294, 0.412706), abs=1e-6)
    # Both images differ alike. Over a single fold there is no interval of the difference.
    assert (behind.difference, behind.image_difference) == (None, pytest.approx((-0.1, -0.1)))


def test_confirmed_winner_is_retrained_for_the_epochs_that_the_further_folds_say(script, make_history, make_settings):
    def search(script):
        for trial, ious in enumerate(((0.7, 0.1, 0.1), (0.6, 0.1, 0.1))):
            script.ask(trial, batch_size=trial + 1, epochs=3, rate_schedule="constant")
            script.epochs(trial, *ious)
            script.end(trial)

    history = make_history(search)
    for number, (source, ious) in enumerate(((0, (0.4, 0.5, 0.6)), (1, (0.1, 0.1, 0.1)))):
        script.ask(number, fold=1, source=source, batch_size=source + 1, epochs=3, rate_schedule="constant")
        script.epochs(number, *ious)
        script.end(number)
    best = choose_confirmed(history, script.journal.history, make_settings(confirm=2, confirm_folds=1, folds=7), SPLIT)
    assert (best.trial, best.epoch, best.values["epochs"]) == (0, 1, 3)


def test_contender_whose_training_failed_has_no_score_in_the_file(script, make_history, make_settings, tmp_path):
    history = make_history(three_trials)
    for number, source in enumerate((1, 2)):
        script.ask(number, fold=1, source=source, batch_size=source + 1, epochs=1)
        script.epochs(number, 0.5)
        script.end(number, "finished" if source == 1 else "failed")
    best = choose_confirmed(history, script.journal.history, make_settings(confirm=2, confirm_folds=1, folds=7), SPLIT)
    assert [(each.trial, each.score) for each in best.confirmation.contenders] == [(1, 0.5), (2, None)]
    assert best.confirmation.best_of == 1
    write_best(best, tmp_path / "best.json")
    assert read_best(tmp_path / "best.json") == best


def test_who_was_confirmed_before_others_overtook_it_is_still_compared(make_history, make_settings, tmp_path):
    """With one candidate fewer trial 0 is none any more; trial 2, never trained further, is none either."""

    def write(script):
        three_trials(script)
        script.ask(3, batch_size=4, epochs=1)
        script.epochs(3, 0.65)
        script.end(3)

    history = make_history(write)
    (tmp_path / "history" / "journal.jsonl").unlink()
    trainings = make_history(confirm_as({1: (0.4, 0.5), 0: (0.6, 0.7), 3: (0.5, 0.6)}))
    settings = make_settings(confirm=2)
    assert [trial.number for trial in choose_contenders(history, trainings, settings)] == [1, 3, 0]
    (tmp_path / "history" / "journal.jsonl").unlink()
    without_score = make_history(confirm_as({1: (0.4,), 0: (0.6,), 3: (0.5,), 2: (None,)}))
    assert [trial.number for trial in choose_contenders(history, without_score, settings)] == [1, 3, 0]
    best = choose_confirmed(history, trainings, settings, SPLIT)
    assert [(each.trial, each.fold_scores) for each in best.confirmation.contenders] == [
        (0, {1: 0.6, 2: 0.7}),
        (3, {1: 0.5, 2: 0.6}),
        (1, {1: 0.4, 2: 0.5}),
    ]


@pytest.mark.parametrize("ious", [{}, {1: (0.4,)}, {1: (0.4,), 2: (0.5,)}], ids=["none", "a training", "a round"])
def test_winner_of_the_search_stands_until_the_confirmation_is_whole(make_history, make_settings, tmp_path, ious):
    history = make_history(three_trials)
    (tmp_path / "history" / "journal.jsonl").unlink()
    best = choose_confirmed(history, make_history(confirm_as(ious)), make_settings(confirm=2), SPLIT)
    assert best.trial == 1
    assert best.confirmation is None
    assert best.confirmation_folds == []


def test_winner_of_the_search_stands_where_every_training_of_the_confirmation_failed(
    script, make_history, make_settings
):
    history = make_history(three_trials)
    for number, source in enumerate((1, 2)):
        script.ask(number, fold=1, source=source, batch_size=source + 1, epochs=1)
        script.end(number, "failed")
    best = choose_confirmed(history, script.journal.history, make_settings(confirm=2, confirm_folds=1, folds=7), SPLIT)
    assert (best.trial, best.confirmation) == (1, None)


def test_winner_is_the_best_in_the_metric_that_decides_and_names_it(script, make_settings, tmp_path):
    for trial, (iou, miou) in enumerate([(0.9, 0.3), (0.4, 0.5)]):
        script.ask(trial)
        script.write("epoch", trial=trial, epoch=1, metrics={"iou": iou, "miou": miou})
        script.end(trial)
    best = choose_best(read_history(script.journal.file, "miou"), make_settings(objective="miou"))
    assert (best.trial, best.metric, best.score) == (1, "miou", 0.5)
    write_best(best, tmp_path / "best.json")
    assert read_best(tmp_path / "best.json") == best
    assert "miou 0.5000 on fold 0" in best_note(best)


def test_best_without_its_metric_is_refused_and_one_of_before_the_choice_is_of_iou(tmp_path):
    values = TrainConfig.from_values({}).values()
    told = {"search": "s", "trial": 0, "fold": 0, "epoch": 1, "trials": 1}
    before = {**told, "metrics": {"iou": 0.5, "miou": 0.4}, "values": values}
    (tmp_path / "best.json").write_text(json.dumps(before))
    found = read_best(tmp_path / "best.json")
    assert (found.metric, found.score) == ("iou", 0.5)
    (tmp_path / "best.json").write_text(json.dumps({**before, "metric": "iou/car"}))
    with pytest.raises(CheckpointError, match="metrics: there is no iou/car"):
        read_best(tmp_path / "best.json")


def test_further_configurations_are_the_confirmed_ones_and_then_the_best_of_the_search(make_history, make_best):
    def search(script):
        for trial, (iou, values) in enumerate(
            ((0.9, {}), (0.8, {"labels": "scored"}), (0.7, {}), (0.6, {}), (0.5, {}), (0.4, {}), (0.3, {}), (0.2, {}))
        ):
            # Trial 5 is the first again, trial 7 is trial 2.
            script.ask(trial, batch_size=trial % 5 + 1, epochs=9, rate_schedule="constant", **values)
            script.epochs(trial, 0.1, iou, 0.1)
            script.end(trial)

    def confirm(script):
        script.ask(0, fold=1, source=3, batch_size=4, epochs=9, rate_schedule="constant")
        script.epochs(0, 0.1, 0.2, 0.3, 0.2)
        script.end(0)
        # What a worker's death cut short might have been better later.
        script.ask(1, fold=2, source=3, batch_size=4, epochs=9, rate_schedule="constant")
        script.epochs(1, 0.9, 0.1)
        script.end(1, "failed")
        script.ask(2, fold=3, source=3, batch_size=4, epochs=9, rate_schedule="constant")
        script.epochs(2, None)
        script.end(2)

    history, trainings = make_history(search), make_history(confirm)
    values = {**history.trials[0].values, "epochs": 2, "patience_epochs": 0}
    contenders = [
        Finalist(trial=trial, search_score=score, fold_scores={1: score}, score=score)
        for trial, score in ((0, 0.4), (3, 0.3))
    ]
    # Its trainings failed, so it stands where the search had it.
    contenders.append(Finalist(trial=4, search_score=0.5, fold_scores={}, score=None))
    best = replace(make_best(rivals=[], contenders=contenders), values=values)
    found = choose_further(best, history, trainings, (), 9)
    # Trial 1 learns other labels, trial 5 is the winner's configuration again, trial 7 that of trial 2.
    assert [each.trial for each in found] == [3, 2, 4, 6]
    # Trial 3 was best in epoch 3 of its confirmation, the others in epoch 2 of the search.
    assert [each.values["epochs"] for each in found] == [3, 2, 2, 2]
    assert [each.trial for each in choose_further(best, history, trainings, (3,), 1)] == [2]
    assert choose_further(best, history, trainings, (), 0) == []


def test_a_file_that_says_the_same_is_left_alone_so_that_who_may_only_read_it_is_shown_it(make_best, tmp_path):
    write_best(make_best(), tmp_path / "best.json")
    before = (tmp_path / "best.json").stat().st_ino
    write_best(make_best(), tmp_path / "best.json")
    assert (tmp_path / "best.json").stat().st_ino == before
    write_best(make_best(rivals=[]), tmp_path / "best.json")
    assert read_best(tmp_path / "best.json") == make_best(rivals=[])


def test_retraining_of_another_winner_is_found_whatever_its_seed(make_best, open_script, tmp_path):
    folder, best = SearchFolder(root=tmp_path), make_best()
    assert find_earlier_retraining(folder, best) == ""
    with open_script(folder.retrain_stage.journal) as script:
        script.ask(0, source=0, **{**best.values, "seed": 5})
    assert find_earlier_retraining(folder, best) == ""
    other = replace(best, values={**best.values, "batch_size": best.values["batch_size"] + 1})
    assert find_earlier_retraining(folder, other) == str(tmp_path / "retrain")


def test_finalist_is_told_as_dismissed_else_as_doubtful_else_as_the_winner():
    told = {"trial": 0, "search_score": 0.5, "fold_scores": {}, "score": None}
    assert Finalist(**told, dismissed="worse", doubt="close").verdict == "worse"
    assert Finalist(**told, doubt="close").verdict == "close"
    assert Finalist(**told).verdict == "the winner"
