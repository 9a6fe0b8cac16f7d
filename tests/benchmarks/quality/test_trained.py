import json
import math

import pytest

from benchmarks.quality.record import write_table
from benchmarks.quality.recording_job import DIVERGED, OUT_OF_MEMORY
from benchmarks.quality.trained import Trained, list_best
from segcore.errors import ConfigError

HEAD = {"space": "demo", "epochs": 2, "folds": 5, "fixed": {"backbone": "tf_efficientnet_lite0"}}
HEAD["facts"] = {"smallest_side": 64, "images": 12}
WHOLE = {"backbone": "tf_efficientnet_lite0", "loss": "ce", "input_mode": "full"}


def row(configuration: int, epoch: int, score: float | None, *, rate: float, fold: int = 0, ended: str = "") -> dict:
    marks = {"configuration": configuration, "fold": fold, "seed": 0, "epoch": epoch, "ended": ended}
    params = json.dumps({**WHOLE, "learning_rate": rate})
    return {**marks, "params": params, "score": score, "seconds": None if ended else 2.0, "memory_gib": 0.0}


@pytest.fixture(scope="module")
def task(tmp_path_factory) -> Trained:
    rows = [
        *(row(0, 1, 0.1, rate=1e-3), row(0, 2, 0.4, rate=1e-3)),
        *(row(0, 1, 0.2, rate=1e-3, fold=1), row(0, 2, 0.6, rate=1e-3, fold=1)),
        *(row(1, 1, 0.3, rate=3e-3), row(1, 2, None, rate=3e-3, ended=DIVERGED)),
        row(2, 1, None, rate=6e-3, ended=OUT_OF_MEMORY),
    ]
    file = tmp_path_factory.mktemp("trained") / "small.parquet"
    write_table(file, HEAD, rows)
    return Trained(file)


def test_a_configuration_is_worth_the_mean_of_its_trainings_and_the_seed_takes_one_of_them(task):
    first, second = (task.train({**WHOLE, "learning_rate": 1.1e-3}, seed) for seed in (0, 1))
    assert first.scores == pytest.approx([0.1, 0.4]) and second.scores == pytest.approx([0.2, 0.6])
    assert first.final == second.final == pytest.approx(0.5)
    assert (task.name, task.epochs, task.best, task.whole_seconds) == ("trained/small", 2, pytest.approx(0.5), 4.0)


def test_what_ended_early_has_no_final_score(task):
    diverged, too_large = (task.train({**WHOLE, "learning_rate": rate}, 0) for rate in (3e-3, 6e-3))
    assert diverged.scores[0] == pytest.approx(0.3) and math.isnan(diverged.scores[1]) and math.isnan(diverged.final)
    assert too_large.out_of_memory and not diverged.out_of_memory


def test_table_without_a_whole_training_is_refused(tmp_path):
    write_table(tmp_path / "short.parquet", HEAD, [row(0, 1, None, rate=1e-3, ended=DIVERGED)])
    with pytest.raises(ConfigError, match="go on with 'record'"):
        Trained(tmp_path / "short.parquet")


def test_the_best_of_a_table_are_ranked_by_the_mean_of_their_last_scores(tmp_path):
    rows = [
        # 0.8 and 0.1 come to 0.45, less than 0.5.
        *(row(0, 1, 0.1, rate=1e-3), row(0, 2, 0.8, rate=1e-3)),
        *(row(0, 1, 0.1, rate=1e-3, fold=1), row(0, 2, 0.1, rate=1e-3, fold=1)),
        *(row(1, 1, 0.9, rate=2e-3), row(1, 2, 0.5, rate=2e-3)),
        row(2, 1, None, rate=3e-3, ended=OUT_OF_MEMORY),
    ]
    write_table(tmp_path / "table.parquet", HEAD, rows)
    found = list_best(tmp_path / "table.parquet", 3)
    assert found == [{**WHOLE, "learning_rate": 2e-3}, {**WHOLE, "learning_rate": 1e-3}]
    assert list_best(tmp_path / "table.parquet", 1) == found[:1]
