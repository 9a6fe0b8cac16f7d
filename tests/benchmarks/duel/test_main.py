import dataclasses
import json
import math
import sys
from pathlib import Path

import optuna
import pytest
import typer
from mlflow import MlflowClient

from benchmarks.duel import __main__ as duel
from benchmarks.duel.__main__ import read_rows, settle_terms, take_turns
from benchmarks.duel.measure import Effort, Row, measure_search, train_fold
from benchmarks.duel.space import quarter, recent, small
from benchmarks.duel.stock import draw, make_scheduler
from benchmarks.duel.table import compare, format_row
from benchmarks.duel.terms import Terms, complete_config
from search.__main__ import app
from search.memory.events import parse_event
from search.memory.journal import Journal, read_history
from segcore.config import TrainConfig
from segcore.errors import CheckpointError, ConfigError
from segcore.streets.synthetic import write_streets

TINY = ("weights=none", "decoder_channels=16", "input_mode=resize", "scale=0.5", "decoder=unet", "batch_size=2")


@pytest.fixture
def make_terms(tmp_path):
    def make(**values) -> Terms:
        base = {
            "data": str(tmp_path),
            "output": str(tmp_path),
            "cache_key": "key",
            "space": "demo",
            "fixed": {},
            "seconds": 100.0,
            "epochs": 9,
            "folds": 5,
            "confirm_folds": 2,
            "max_concurrent": 2,
            "cpus_per_trial": 1.0,
            "gpus_per_trial": 0.0,
            "seed": 7,
            "tracking_uri": "",
            "known": [],
        }
        return Terms(**{**base, **values})

    return make


def parse(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["duel", *map(str, arguments)])
    return duel._parse()


def row(arm="project", number=1, course=((10.0, 0.5),), trials=4, iou=0.5, miou=0.5) -> Row:
    return Row(
        round=number,
        arm=arm,
        trials=trials,
        finished=2,
        course=list(course),
        stopped_share=0.25,
        busy_share=0.5,
        effort=Effort(seconds=130.0, load=2.0),
        values={},
        fold_scores={"1": {"iou": iou - 0.1, "miou": miou}, "2": {"iou": iou + 0.1, "miou": miou}},
    )


def write_journal(file, *events):
    journal = Journal(file, "iou")
    for kind, time, content in events:
        journal.write(parse_event(json.dumps({"event": kind, "time": time, **content}).encode()))
    journal.close()
    return read_history(file, "iou")


def asked(trial):
    return {"trial": trial, "fold": 0, "values": TrainConfig().values(), "params": {}}


def epoch(trial, number, iou, seconds):
    return {"trial": trial, "epoch": number, "metrics": {"iou": iou, "seconds": seconds}}


def test_a_search_is_measured_from_its_journal(tmp_path, make_terms):
    history = write_journal(
        tmp_path / "journal.jsonl",
        ("opened", 1000.0, {"cache_key": "key"}),
        ("asked", 1001.0, asked(0)),
        ("asked", 1001.0, asked(1)),
        ("epoch", 1020.0, epoch(0, 1, 0.3, 15.0)),
        ("epoch", 1030.0, epoch(1, 1, 0.2, 20.0)),
        ("ended", 1030.0, {"trial": 1, "outcome": "stopped by ASHA", "message": ""}),
        ("epoch", 1040.0, epoch(0, 2, 0.6, 15.0)),
        ("epoch", 1060.0, epoch(0, 3, 0.4, 15.0)),
        ("ended", 1060.0, {"trial": 0, "outcome": "finished", "message": ""}),
        ("asked", 1060.0, asked(2)),
        ("epoch", 1090.0, epoch(2, 1, 0.1, 15.0)),
        ("halted", 1100.0, {}),
    )
    found = measure_search(
        history,
        make_terms(),
        arm="stock",
        number=3,
        effort=Effort(seconds=120.0, load=2.0),
        values={},
        fold_scores={},
    )
    assert (found.trials, found.finished) == (3, 1)
    # Of any epoch: the first trial ends at 0.4, but had 0.6.
    assert (found.search_iou, found.best_seconds) == (0.6, 40.0)
    assert found.course == [(20.0, 0.3), (40.0, 0.6)]
    # Epochs of 3 x 15 s, 20 s and 15 s; two workers had 100 s each.
    assert found.stopped_share == 20 / 80
    assert found.busy_share == 80 / 200


def test_a_search_without_a_score_says_what_to_do(tmp_path, make_terms):
    history = write_journal(tmp_path / "journal.jsonl", ("opened", 1000.0, {"cache_key": "key"}))
    with pytest.raises(CheckpointError, match=r"stock had no score after 100 s.*--seconds"):
        measure_search(
            history,
            make_terms(),
            arm="stock",
            number=1,
            effort=Effort(seconds=1.0, load=1.0),
            values={},
            fold_scores={},
        )


def test_arms_are_compared_round_by_round():
    rows = [
        row("project", 1, [(10.0, 0.4), (30.0, 0.7)], trials=6, iou=0.60, miou=0.5),
        row("stock", 1, [(20.0, 0.3), (60.0, 0.6)], trials=4, iou=0.50, miou=0.6),
        row("project", 2, [(50.0, 0.2)], trials=4, iou=0.45, miou=0.5),
        row("stock", 2, [(40.0, 0.5)], trials=4, iou=0.50, miou=0.5),
        row("project", 3),
    ]
    title, iou, miou, best, time, trials = compare(rows)
    assert title == "project against stock, medians (ranges) of 2 rounds"
    # 0.1 and -0.05; the third round has no partner.
    assert iou.endswith(" +0.0250 (-0.0500 to +0.1000)")
    assert miou.endswith(" -0.0500 (-0.1000 to +0.0000)")
    assert best.endswith(" -0.1000 (-0.3000 to +0.1000)")
    # 0.6 is there after 30 s of 60; 0.5 never.
    assert time.endswith(" 0.50 (0.50 to 0.50) of its time, reached in 1 of 2 rounds")
    assert trials.endswith(" 1.25 (1.00 to 1.50) times as many")


def test_nothing_is_compared_without_the_stock_pair():
    assert compare([row("project")]) == []


def test_when_a_score_was_first_reached():
    own = row(course=[(10.0, 0.4), (30.0, 0.7)])
    assert [own.seconds_to(iou) for iou in (0.1, 0.4, 0.5, 0.7)] == [10.0, 10.0, 30.0, 30.0]
    assert own.seconds_to(0.71) == math.inf


def test_a_row_shows_means_over_the_further_folds():
    line = format_row(row("stock", 2, [(12.0, 0.25)], iou=0.4, miou=0.3))
    assert line == "| 2 | stock | 4 | 2 | 0.2500 | 0.4000 | 0.3000 | 12 | 25% | 50% | 130 | 2.0 |"


def test_rows_come_back_from_their_file(tmp_path):
    file = tmp_path / "rows.jsonl"
    assert list(read_rows(file)) == []
    file.write_text(json.dumps(dataclasses.asdict(row())) + "\n", encoding="utf-8")
    assert list(read_rows(file)) == [row()]


def test_each_round_another_arm_begins():
    assert [take_turns(["a", "b"], number) for number in (1, 2, 3)] == [["a", "b"], ["b", "a"], ["a", "b"]]


@pytest.mark.parametrize(
    ("epochs", "rungs"), [(1, []), (4, [1, 3]), (9, [1, 3]), (14, [2, 6]), (27, [3, 9]), (40, [4, 12, 36])]
)
def test_the_stock_pair_compares_after_a_ninth_and_thrice_that(make_terms, epochs, rungs):
    (bracket,) = make_scheduler(make_terms(epochs=epochs))._brackets
    milestones = sorted(int(milestone) for milestone, _ in bracket._rungs)
    # At the last epoch nothing is left to stop.
    assert [milestone for milestone in milestones if milestone < epochs] == rungs


def test_both_draw_configurations_that_fit_the_data(make_terms):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    crop_sizes = set()
    for _ in range(60):
        trial = study.ask()
        constants = draw(trial, space=small, smallest_side=128)
        config = complete_config({**trial.params, **constants}, make_terms(fixed={"augmentation": "none"}), seed=5)
        assert (config.seed, config.epochs, config.augmentation) == (5, 9, "none")
        if config.input_mode == "crop":
            crop_sizes.add(config.crop_size)
    assert crop_sizes == {64, 96, 128}


def test_a_quarter_of_the_images_is_drawn_with_everything_else(make_terms):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trial = study.ask()
    config = complete_config({**draw(trial, space=quarter, smallest_side=360), **trial.params}, make_terms(), seed=5)
    assert (config.input_mode, config.scale, config.backbone) == ("resize", 0.25, "tf_efficientnet_lite0")
    assert trial.params.keys() == {"decoder", "class_weights", "loss", "learning_rate"}


def test_a_quarter_of_the_images_is_drawn_with_what_street_networks_are_trained_with(make_terms):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = set()
    for _ in range(40):
        trial = study.ask()
        config = complete_config({**draw(trial, space=recent, smallest_side=360), **trial.params}, make_terms(), seed=5)
        assert (config.input_mode, config.scale, config.rate_schedule) == ("resize", 0.25, "onecycle")
        drawn |= {config.decoder, config.loss, config.ohem_share}
    assert {"upernet", "fpn", "unet", "ce+boundary", "ce+lovasz", 0.25, 1.0} <= drawn


def test_choices_are_confirmed_on_folds_after_the_search(make_terms):
    assert make_terms(folds=5, confirm_folds=2).further_folds == [1, 2]


@pytest.mark.parametrize("count", [0, 3])
def test_folds_that_are_not_there_are_refused(monkeypatch, tmp_path, count):
    arguments = parse(monkeypatch, "--output", tmp_path / "out", "--folds", 3, "--confirm-folds", count)
    with pytest.raises(ConfigError, match=f"--confirm-folds {count}.*use 1 to 2"):
        settle_terms(arguments)
    assert not (tmp_path / "out").exists()


def test_rounds_on_other_terms_are_not_mixed(monkeypatch, tmp_path, dataset_folder):
    settle_terms(parse(monkeypatch, dataset_folder, "--output", tmp_path))
    with pytest.raises(CheckpointError, match="other terms"):
        settle_terms(parse(monkeypatch, dataset_folder, "--output", tmp_path, "--epochs", 5))


def test_a_choice_that_diverges_is_worth_nothing(monkeypatch, tmp_path, dataset_folder):
    terms = settle_terms(parse(monkeypatch, dataset_folder, "--output", tmp_path, "--folds", 3))
    # Decay of 1 at a rate of 10 multiplies every weight by -9 at each of 48 steps: past fp32's 3e38.
    drawn = {"backbone": "tf_efficientnet_lite0", "weights": "none", "decoder_channels": 16, "optimizer": "sgd"}
    drawn |= {"learning_rate": 10, "weight_decay": 1, "rate_schedule": "constant", "batch_size": 2}
    config = complete_config({**drawn, "input_mode": "crop", "crop_size": 32, "crops_per_image": 12}, terms, 0)
    assert train_fold(json.dumps(config.values()), 1, terms) == {"iou": 0.0, "miou": 0.0}


def test_what_is_known_from_other_data_is_tried_first_by_one_arm_alone(tmp_path, make_terms):
    terms = make_terms(known=[{"decoder": "upernet"}, {"decoder": "fpn"}])
    files = [str(tmp_path / f"known-{place}.json") for place in (0, 1)]
    command = duel._command("project-knowing", 1, terms)
    assert command[-4:] == ["--seed-config", files[0], "--seed-config", files[1]]
    assert [json.loads(Path(file).read_text())["decoder"] for file in files] == ["upernet", "fpn"]
    for arm in ("project", "stock"):
        assert "--seed-config" not in duel._command(arm, 1, terms)


@pytest.mark.parametrize("given", [("--known", "table.parquet"), ("--arms", "project-knowing", "stock")])
def test_what_is_known_and_the_arm_that_tries_it_belong_together(monkeypatch, tmp_path, given):
    with pytest.raises(ConfigError, match="--known and --arms project-knowing belong together"):
        settle_terms(parse(monkeypatch, "--output", tmp_path, *given))


def test_the_project_searches_by_its_own_command_without_confirming(make_terms):
    module, command, *options = duel._command("project", 2, make_terms(fixed={"scale": 0.25}))
    assert (module, command) == ("search", "launch")
    launch = typer.main.get_command(app).commands["launch"]
    given = launch.make_context("launch", options).params
    assert (given["name"], given["seed"], given["fixed"]) == ("project-2", 8, ["scale=0.25"])
    assert (given["confirm"], given["time_budget_seconds"], given["trials"]) == (0, "100.0s", 100_000)
    assert given["known"] == 0, "both draw all that they try"
    # What is not said is the project's default.
    assert (given["grace_epochs"], given["reduction_factor"]) == (0, 2)


@pytest.mark.slow
def test_a_small_search_of_the_stock_pair(monkeypatch, tmp_path, capsys):
    write_streets(tmp_path / "streets", cases=6, height=64, width=64, test_cases=0)
    options = ["--arms", "stock", "--epochs", 1, "--folds", 2, "--confirm-folds", 1, "--max-concurrent", 1]
    options += [text for assignment in TINY for text in ("--set", assignment)]
    # The budget is the pair's only end, and however slow the machine, one trial has to get to its end within it.
    for seconds in (30, 120, 900):
        output = tmp_path / f"within_{seconds}"
        arguments = [tmp_path / "streets", "--output", output, "--seconds", seconds, *options]
        monkeypatch.setattr(sys, "argv", ["duel", *map(str, arguments)])
        try:
            duel.main()
            break
        except SystemExit as error:
            # With no trial in time, or with none that came as far as a score.
            assert "more" in str(error) and "--seconds" in str(error) and f"{seconds}" in str(error)
    (found,) = read_rows(output / "rows.jsonl")
    assert found.finished >= 1
    # The best of any epoch, chosen by Ray.
    best = read_history(output / "searches" / "stock-1" / "journal.jsonl", "iou").ranked[0]
    assert (found.values, found.search_iou) == (best.values, best.best.score)
    assert list(found.fold_scores) == ["1"]
    client = MlflowClient(f"sqlite:///{output / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("stock-1").experiment_id])
    assert max(run.data.metrics.get("iou", 0.0) for run in runs) == pytest.approx(best.best.score)
    assert "| 1 | stock | " in capsys.readouterr().out
