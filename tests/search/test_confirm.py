import pytest

from search.confirm import can_confirm, count_trainings, find_confirmed
from segcore.config import TrainConfig


@pytest.mark.parametrize(("confirm", "possible"), [(0, False), (1, False), (2, True), (5, True)])
def test_a_comparison_needs_two_configurations(make_history, make_settings, confirm, possible):
    def write(script):
        for number, size in enumerate((4, 8)):
            script.ask(number, batch_size=size)
            script.epochs(number, 0.5)

    assert can_confirm(make_history(write), make_settings(confirm=confirm)) is possible


def test_equal_configurations_are_one(make_history, make_settings):
    def write(script):
        for number in range(2):
            script.ask(number)
            script.epochs(number, 0.5)

    assert not can_confirm(make_history(write), make_settings(confirm=3))


def test_trainings_of_a_confirmation(make_settings):
    assert count_trainings(make_settings(confirm=3, confirm_folds=2, folds=7)) == 6
    assert count_trainings(make_settings(confirm=3, confirm_folds=2, folds=2)) == 3


def test_trainings_that_a_retraining_would_repeat_are_found_by_fold(script, tmp_path):
    values = TrainConfig.from_values({"epochs": 3}).values()

    def train(number, fold, source=5, outcome="finished", **changes):
        content = {"trial": number, "fold": fold, "values": {**values, **changes}, "params": {}, "source": source}
        script.journal.write("asked", content)
        checkpoint = tmp_path / str(number)
        checkpoint.mkdir()
        script.journal.write("checkpoint", {"trial": number, "epoch": 3, "path": str(checkpoint)})
        if outcome:
            script.end(number, outcome)
        return checkpoint

    train(0, 1)
    train(1, 2, source=6)
    train(2, 3, epochs=2)
    train(3, 4, outcome="diverged")
    train(4, 5, outcome="")
    train(5, 6).rmdir()
    found = find_confirmed(script.journal.history, 5, values)
    assert {fold: trial.number for fold, trial in found.items()} == {1: 0}
