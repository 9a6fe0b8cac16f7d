from pathlib import Path

from search.commands.tables import (
    describe_reason,
    importance_table,
    insight_report,
    progress_panel,
    settings_table,
    summary_line,
    trials_table,
)
from search.insight.importance import CHANCE, Importance, measure_importance
from search.memory.events import Asked, Ended, Epoch, Halted, Opened, Started
from search.memory.history import History
from search.memory.journal import read_history
from search.memory.outcome import Outcome

RUNS, WAITS = len(Outcome), len(Outcome) + 1


def every_state(script) -> None:
    script.ask(0, loss="ce+jaccard", input_mode="crop", crop_size=256)
    script.journal.write(Epoch(trial=0, epoch=1, metrics={"iou": 0.61234, "miou": 0.5}))
    script.end(0)
    for trial, outcome in enumerate(list(Outcome)[1:], start=1):
        script.ask(trial)
        script.end(trial, str(outcome))
    script.ask(RUNS, input_mode="resize", scale=0.75)
    script.journal.write(Started(trial=RUNS))
    script.epochs(RUNS, 0.3, 0.2)
    script.ask(WAITS)


def test_trials_table_shows_state_epoch_and_scores(render, row_of, make_history):
    history = make_history(every_state)
    text = render(trials_table([trial for _, trial in sorted(history.trials.items())], "iou"))
    assert row_of(text, "0").split() == [
        "0", "finished", "1", "0.6123", "0.5000", "-",
        "resnet34,", "loss", "ce+jaccard,", "crop", "256,", "lr", "0.001",
    ]  # fmt: skip
    assert row_of(text, "1").split()[:6] == ["1", "stopped", "by", "ASHA", "0", "-"]
    assert row_of(text, str(RUNS)).split()[:5] == [str(RUNS), "running", "2", "0.3000", "-"]
    assert row_of(text, str(RUNS)).split()[6:8] == ["s", "ago"]
    assert row_of(text, str(WAITS)).split()[:4] == [str(WAITS), "waiting", "0", "-"]
    for trial, outcome in enumerate(Outcome):
        assert str(outcome) in row_of(text, str(trial))


def test_summary_counts_trials_by_state_and_names_the_best(render, make_history, make_settings):
    text = render(summary_line(make_history(every_state), make_settings(trials=9), 2))
    assert f"{len(Outcome) + 2} of 9 trials" in text
    assert "1 running  ·  1 waiting" in text
    for outcome in Outcome:
        assert f"1 {outcome}" in text
    assert "best iou 0.6123 in trial 0" in text


def test_summary_names_no_failed_trial_as_the_best(render, make_trials, make_settings):
    history = make_trials({"ious": [0.9], "outcome": "failed"}, {"ious": [0.5]})
    assert "best iou 0.5000 in trial 1" in render(summary_line(history, make_settings(), 2))


def test_summary_of_nothing(render, make_settings):
    assert "0 of 9 trials  ·  0 running" in render(summary_line(History("iou"), make_settings(trials=9), 2))
    of_stage = render(summary_line(History("iou"), make_settings(trials=9), 2, History("iou")))
    assert "0 of 9 trainings  ·  0 running" in of_stage, "what another stage runs is no trial of the search"


def test_summary_tells_the_time_left_by_how_many_trials_ran_at_once(render, make_settings):
    """Eight trials of 100 s at once; 72 of 80 are left: 72 x 100 / 8 = 900 s."""
    history = History("iou")
    history.apply(Opened(cache_key="key", time=0.0))
    for trial in range(8):
        history.apply(Asked(trial=trial, fold=0, values={}, params={}, time=0.0))
        history.apply(Epoch(trial=trial, epoch=1, metrics={"iou": 0.5, "seconds": 100.0}, time=100.0))
        history.apply(Ended(trial=trial, outcome=Outcome.FINISHED, time=100.0))
    history.apply(Halted(time=100.0))
    text = render(summary_line(history, make_settings(trials=80)))
    assert "about 15 min left once it goes on, 8 at a time" in text
    assert "about 30 min left once it goes on, 4 at a time" in render(
        summary_line(history, make_settings(trials=80), 4)
    )
    assert "left" not in render(summary_line(history, make_settings(trials=8)))


def test_summary_says_nothing_of_a_time_that_nobody_knows(render, make_history, make_settings):
    history = make_history(lambda script: script.ask(0))
    assert "left" not in render(summary_line(history, make_settings(trials=9)))


def test_progress_shows_the_running_and_the_best_of_many_trials(render, make_history, make_settings):
    def write(script):
        for trial in range(40):
            script.ask(trial)
            script.epochs(trial, 0.9 if trial == 3 else 0.1)
            if trial < 38:
                script.end(trial)

    panel = progress_panel(make_history(write), make_settings(), concurrent=2, about="MLflow: here", rows=8)
    text = render(panel)
    shown = {int(line.split()[0]) for line in text.splitlines() if line.split() and line.split()[0].isdigit()}
    assert {3, 38, 39} <= shown
    assert len(shown - {40}) == 8  # the summary line begins with a number, too
    assert "best iou 0.9000 in trial 3" in text
    assert "MLflow: here" in text


def test_settings_table_shows_no_password(render, make_settings, make_place):
    text = render(settings_table(make_settings(), make_place(tracking_uri="postgresql://u:PW@host/db")))
    assert "postgresql://***@host/db" in text
    assert "PW" not in text


def test_settings_table_shows_every_setting_and_the_grace_that_follows(render, row_of, make_settings, make_place):
    text = render(settings_table(make_settings(epochs=54, trials=13), make_place(max_concurrent=5)))
    assert "Search streets" in text
    assert row_of(text, "trials").split() == ["trials", "13"]
    assert row_of(text, "grace_epochs").split() == ["grace_epochs", "2", "(of", "54)"]
    assert row_of(text, "max_concurrent").split() == ["max_concurrent", "5"]


def test_settings_table_says_what_a_setting_means_that_is_not_given(render, row_of, make_settings, make_place):
    text = render(settings_table(make_settings(max_latency_ms=20, confirm=0), make_place()))
    told = {name: row_of(text, name).split(maxsplit=1)[1].strip() for name in ("max_latency_ms", "confirm", "fold")}
    assert told == {"max_latency_ms": "20", "confirm": "none", "fold": "0"}
    assert "no limit" in row_of(text, "max_memory_gib")
    assert "as many as fit" in row_of(text, "max_concurrent")
    assert "start a local Ray" in row_of(text, "address")


def test_settings_table_shows_large_numbers_with_all_their_digits(render, row_of, make_settings, make_place):
    text = render(settings_table(make_settings(time_budget_seconds=14 * 86400), make_place()))
    assert row_of(text, "time_budget_seconds").split()[1] == "1209600"


def test_settings_table_shows_lists_and_values_as_they_were_given(render, row_of, make_settings, make_place):
    fixed, extra = {"batch_size": 16, "loss": "ce"}, (Path("/sure"), Path("/more"))
    text = render(settings_table(make_settings(fixed=fixed), make_place(extra=extra)))
    told = {name: row_of(text, name).split(maxsplit=1)[1].strip() for name in ("fixed", "extra", "gpus_per_trial")}
    assert told == {"fixed": "batch_size=16, loss=ce", "extra": "/sure, /more", "gpus_per_trial": "0"}
    bare = render(settings_table(make_settings(), make_place()))
    assert {row_of(bare, name).split()[1] for name in ("fixed", "extra")} == {"none"}


def test_settings_table_cuts_no_path_short(render, make_settings, make_place):
    data = f"/data/{'a' * 90}/streets"
    text = render(settings_table(make_settings(), make_place(data=data)), 80)
    assert data in "".join(text.split())


def test_first_of_a_rung_is_not_said_to_have_lost(render, make_history):
    def write(script):
        script.ask(0)
        script.epochs(0, 0.5)
        script.end(0, "stopped by ASHA", "iou 0.5000 after epoch 1 is rank 1 of 1; the best half goes on")

    text = render(trials_table(make_history(write).in_order, "iou", reasons=True))
    assert "first after epoch 1, with none to compare with yet" in text


def test_a_reason_in_a_table_says_when_none_goes_on_yet(make_history):
    def write(script):
        script.ask(0)
        message = "iou 0.5000 after epoch 1 is rank 1 of 2; none goes on at once until 3 got there"
        script.end(0, "stopped by ASHA", message)

    (trial,) = make_history(write).in_order
    assert describe_reason(trial) == "rank 1 of 2 after epoch 1; none goes on at once until 3 got there"


def test_insight_says_what_was_stopped_what_time_bought_and_what_mattered(render, row_of, make_history, make_settings):
    def write(script):
        script.journal.write(Opened(cache_key="key"))
        for trial in range(14):
            backbone = "ab"[trial % 2]
            script.ask(trial, params={"backbone": backbone, "batch_size": (2, 4)[trial // 7]})
            script.epochs(trial, 0.8 if backbone == "a" else 0.4)
            script.end(trial, "stopped by ASHA" if trial < 3 else "finished")

    history = make_history(write)
    text = render(insight_report(history, make_settings(epochs=1)))
    text += render(importance_table(measure_importance(history, 1), "iou"))
    assert row_of(text, "finished").split()[:2] == ["finished", "11"]
    assert "stopped by ASHA: 3 after epoch 1" in text
    assert "best iou by time: " in text
    assert "0.8000 at 100%" in text
    assert "What mattered for how trials stand: how far they got, then their iou there" in text
    assert row_of(text, "backbone").rstrip().endswith("matters")
    assert "cannot be told from chance" in row_of(text, "batch_size")


def test_metric_that_decides_is_shown_by_its_name_with_another_beside_it(render, row_of, make_settings, script):
    script.ask(0)
    script.write("epoch", trial=0, epoch=1, metrics={"iou": 0.9, "miou": 0.4, "iou/car": 0.25})
    history = read_history(script.journal.file, "iou/car")
    text = render(trials_table(history.in_order, history.metric))
    assert row_of(text, "trial").split()[2:5] == ["epoch", "iou/car", "miou"]
    assert row_of(text, "0").split()[3:5] == ["0.2500", "0.4000"]
    assert "best iou/car 0.2500 in trial 0" in render(summary_line(history, make_settings(objective="iou/car")))
    of_miou = read_history(script.journal.file, "miou")
    assert row_of(render(trials_table(of_miou.in_order, "miou")), "0").split()[3:5] == ["0.4000", "0.9000"]


def test_trainings_are_told_from_trials_and_say_whose_they_are(render, row_of, make_history):
    def write(script) -> None:
        script.ask(0, fold=2, source=7)
        script.ask(1, fold=1)

    text = render(trials_table(make_history(write).in_order, "iou", trainings=True))
    assert row_of(text, "training").split()[:2] == ["training", "state"]
    assert "trial 7, fold 2: resnet34" in row_of(text, "0")
    assert " fold 1: resnet34" in row_of(text, "1")
    assert "fold" not in render(trials_table(make_history(write).in_order, "iou"))


def test_trials_table_fits_60_columns_and_says_why(render, make_history):
    def write(script) -> None:
        every_state(script)
        script.ask(20, backbone="tf_efficientnet_lite0", input_mode="resize", scale=0.5)
        message = "iou 0.2106 after epoch 4 is rank 5 of 6; of every 2 the best goes on"
        script.end(20, "stopped by ASHA", message)
        script.ask(21)
        script.end(21, "failed", "Traceback:\n  File x\nOSError: no disk")

    trials = make_history(write).in_order
    text = render(trials_table(trials, "iou", wide=False, reasons=True), 60)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 60
    told = " ".join(text.split())
    assert "…" not in text
    assert "rank 5 of 6" in told
    assert "OSError: no disk" in told
    assert "Traceback" not in told


def test_a_long_name_of_what_decides_is_shown_whole_in_60_columns(render, make_history):
    name = "iou/construction--flat--pedestrian-area"
    text = render(trials_table(make_history(every_state).in_order, name, wide=False), 60)
    head = text[: text.index("──")]
    assert name in "".join(head.replace("trial", "").replace("state", "").split()).replace("epoch", "")
    assert "…" not in text


def test_no_name_of_a_hyperparameter_is_cut_in_60_columns(render):
    names = ("rare_crop_probability", CHANCE)
    text = render(importance_table([Importance(name=name, share=0.2, low=0.1, high=0.3) for name in names], "iou"), 60)
    assert "…" not in text
