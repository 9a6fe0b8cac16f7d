import io

import pytest

from search.commands.console import PlainConsole
from search.commands.tables import (
    best_table,
    confirmation_table,
    describe_seconds,
    describe_values,
    importance_table,
    insight_report,
    out_of_fold_table,
    progress_panel,
    settings_table,
    summary_line,
    trials_table,
)
from search.insight.importance import measure_importance
from search.memory.events import Asked, Ended, Epoch, Halted, Opened, Started
from search.memory.history import History
from search.memory.outcome import Outcome
from search.verdict.notes import best_note, confirmation_line, out_of_fold_note
from search.verdict.out_of_fold import OutOfFold
from search.verdict.selection import choose_best
from segcore.config import TrainConfig

RESULT = OutOfFold(
    metrics={"iou": 0.5, "miou_scored": 0.55, "iou/car": 0.4},
    fold_ious={0: 0.6, 1: 0.4},
    images=12,
    unseen_iou=0.4,
    seen_folds=(0,),
    single_class="car",
    single_class_iou=0.125,
)


def render(shown: object, width: int = 200) -> str:
    stream = io.StringIO()
    console = PlainConsole(file=stream)
    console.width = width
    console.print(shown)
    return stream.getvalue()


def row_of(text: str, first: str) -> str:
    """The one line that begins with a word."""
    (line,) = [line for line in text.splitlines() if line.split()[: len(first.split())] == first.split()]
    return line


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


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (44.6, "45 s"),
        (89, "89 s"),
        (90, "2 min"),  # 1.5 minutes, rounded to even
        (720, "12 min"),
        (5340, "89 min"),
        (5400, "1 h 30 min"),
        (11100, "3 h 05 min"),
        (86400, "24 h 00 min"),
    ],
)
def test_durations_as_a_person_says_them(seconds, text):
    assert describe_seconds(seconds) == text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"input_mode": "crop", "crop_size": 256}, "resnet34 ce crop 256 full lr 1.0e-03"),
        ({"input_mode": "resize", "scale": 0.75, "labels": "scored"}, "resnet34 ce resize 0.75 scored lr 1.0e-03"),
        ({"learning_rate": 0.00025, "loss": "focal"}, "resnet34 focal full full lr 2.5e-04"),
    ],
)
def test_configuration_in_one_line_has_only_what_its_input_mode_uses(values, text):
    assert describe_values(TrainConfig.from_values(values).values()) == text


def test_configuration_that_is_none_is_shown_as_it_is():
    values = {**TrainConfig.from_values({}).values(), "input_mode": "[/red]", "learning_rate": "[b]"}
    text = describe_values({**values, "scale": None})
    assert text == "resnet34 ce [/red] full lr [b]"


def test_trials_table_shows_state_epoch_and_scores(make_history):
    history = make_history(every_state)
    text = render(trials_table([trial for _, trial in sorted(history.trials.items())]))
    assert row_of(text, "0").split() == [
        "0", "finished", "1", "0.6123", "0.5000", "resnet34", "ce+jaccard", "crop", "256", "full", "lr", "1.0e-03",
    ]  # fmt: skip
    assert row_of(text, "1").split()[:6] == ["1", "stopped", "by", "ASHA", "0", "-"]
    assert row_of(text, str(RUNS)).split()[:5] == [str(RUNS), "running", "2", "0.3000", "-"]
    assert row_of(text, str(WAITS)).split()[:4] == [str(WAITS), "waiting", "0", "-"]
    for trial, outcome in enumerate(Outcome):
        assert str(outcome) in row_of(text, str(trial))


def test_summary_counts_trials_by_state_and_names_the_best(make_history, make_settings):
    text = render(summary_line(make_history(every_state), make_settings(trials=9), 2))
    assert f"{len(Outcome) + 2} of 9 trials" in text
    assert "1 running  ·  1 waiting" in text
    for outcome in Outcome:
        assert f"1 {outcome}" in text
    assert "best iou 0.6123 in trial 0" in text


def test_summary_of_nothing(make_settings):
    assert "0 of 9 trials  ·  0 running" in render(summary_line(History(), make_settings(trials=9), 2))


def test_summary_tells_the_time_left_by_how_many_trials_ran_at_once(make_settings):
    """Eight trials of 100 s at once; 72 of 80 are left: 72 x 100 / 8 = 900 s."""
    history = History()
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


def test_summary_says_nothing_of_a_time_that_nobody_knows(make_history, make_settings):
    history = make_history(lambda script: script.ask(0))
    assert "left" not in render(summary_line(history, make_settings(trials=9)))


def test_progress_shows_the_running_and_the_best_of_many_trials(make_history, make_settings):
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


def test_settings_table_shows_every_setting_and_the_grace_that_follows(make_settings, make_place):
    text = render(settings_table(make_settings(epochs=54, trials=13), make_place(max_concurrent=5)))
    assert "Search streets" in text
    assert row_of(text, "trials").split() == ["trials", "13"]
    assert row_of(text, "grace_epochs").split() == ["grace_epochs", "2", "(of", "54)"]
    assert row_of(text, "max_concurrent").split() == ["max_concurrent", "5"]


@pytest.fixture
def best(make_history, make_settings) -> dict:
    return choose_best(make_history(every_state), make_settings())


def test_best_table_shows_the_winner(best):
    text = render(best_table(best))
    assert "0, epoch 1, fold 0" in row_of(text, "trial")
    assert row_of(text, "iou").split() == ["iou", "0.6123"]
    assert row_of(text, "loss").split() == ["loss", "ce+jaccard"]
    assert row_of(text, "crop_size").split() == ["crop_size", "256"]


def test_best_note_is_a_markdown_table_of_the_winner(best):
    note = best_note(best)
    assert note.startswith("### Best: trial 0, epoch 1, iou 0.6123 on fold 0\n")
    assert "\n| loss | ce+jaccard |\n" in note


def test_out_of_fold_table_shows_how_much_the_search_flattered():
    text = render(out_of_fold_table(RESULT, search_iou=0.58))
    assert "0.5000 over 12 images" in text
    assert "mean 0.5000, standard deviation 0.1414" in text  # sqrt((0.1² + 0.1²) / 1)
    assert row_of(text, "fold 0").split()[-1] == "0.6000"
    assert row_of(text, "fold 1").split()[-1] == "0.4000"
    # 0.58 on the search's fold against 0.4 on the others.
    assert "0.5800 (+0.1800)" in text
    assert "0.1250 when everything is called car" in text
    assert row_of(text, "iou/car").split() == ["iou/car", "0.4000"]


def test_out_of_fold_note_has_every_fold():
    note = out_of_fold_note(RESULT, search_iou=0.58)
    assert "iou 0.5000 over 12 images" in note
    assert "| 0 | 0.6000 |\n| 1 | 0.4000 |" in note


CONFIRMATION = {
    "iou": 0.71,
    "interval": [0.68, 0.74],
    "folds": [1, 2],
    "optimism": 0.0432,
    "best_of": 3,
    "choice_bias": 0.0041,
    "rivals": [9],
    "contenders": [
        {"trial": 4, "search_iou": 0.7532, "fold_ious": {"1": 0.7, "2": 0.72}, "iou": 0.71, "difference": None,
         "image_difference": None, "dismissed": "", "doubt": ""},
        {"trial": 9, "search_iou": 0.75, "fold_ious": {"1": 0.69, "2": 0.7}, "iou": 0.695, "difference": [-0.05, 0.02],
         "image_difference": [-0.02, -0.01], "dismissed": "", "doubt": "the difference may be 0"},
        {"trial": 2, "search_iou": 0.74, "fold_ious": {"1": 0.6}, "iou": 0.6, "difference": None,
         "image_difference": [-0.12, -0.08], "dismissed": "worse by 0.08 to 0.12 iou", "doubt": ""},
        {"trial": 1, "search_iou": 0.73, "fold_ious": {}, "iou": None, "difference": None,
         "image_difference": None, "dismissed": "its training on fold 1 has no score (failed)", "doubt": ""},
    ],
}  # fmt: skip


def test_confirmation_shows_every_fold_difference_and_verdict():
    text = render(confirmation_table(CONFIRMATION))
    assert row_of(text, "4").split() == ["4", "0.7532", "0.7000", "0.7200", "0.7100", "-", "winner"]
    assert "0.6950 -0.0200 to +0.0500 cannot be told from the winner: the difference may be 0" in " ".join(
        row_of(text, "9").split()
    )
    assert row_of(text, "2").split()[:11] == [
        "2", "0.7400", "0.6000", "-", "0.6000", "+0.0800", "to", "+0.1200", "(images", "alone)", "worse",
    ]  # fmt: skip
    assert row_of(text, "1").split()[:6] == ["1", "0.7300", "-", "-", "-", "-"]


def test_confirmation_in_words():
    assert confirmation_line(CONFIRMATION) == (
        "The winner's iou on 2 further fold(s) is 0.7100 (0.6800 to 0.7400 over images); its score in the search was "
        "+0.0432 from that. It cannot be told from trial 9. It is the best of 3 on these folds, so this score still "
        "flatters: by about 0.0041 were all of them equally good, by less otherwise."
    )
    one_fold = confirmation_line({**CONFIRMATION, "choice_bias": None})
    assert one_fold.endswith("so this score still flatters; by how much, one fold does not say.")
    alone = {**CONFIRMATION, "rivals": [], "interval": None, "best_of": 1}
    assert confirmation_line(alone).endswith("is 0.7100; its score in the search was +0.0432 from that.")


def test_insight_says_what_was_stopped_what_the_time_bought_and_what_mattered(make_history, make_settings):
    def write(script):
        script.journal.write(Opened(cache_key="key"))
        for trial in range(14):
            backbone = "ab"[trial % 2]
            script.ask(trial, params={"backbone": backbone, "batch_size": (2, 4)[trial // 7]})
            script.epochs(trial, 0.8 if backbone == "a" else 0.4)
            script.end(trial, "stopped by ASHA" if trial < 3 else "finished")

    history = make_history(write)
    text = render(insight_report(history, make_settings(epochs=1)))
    text += render(importance_table(measure_importance(history, 1)))
    assert row_of(text, "finished").split()[:2] == ["finished", "11"]
    assert "stopped by ASHA: 3 after epoch 1" in text
    assert "best iou by time: " in text
    assert "0.8000 at 100%" in text
    assert "What mattered for how trials stand: how far they got, then their iou there" in text
    assert row_of(text, "backbone").rstrip().endswith("matters")
    assert "cannot be told from chance" in row_of(text, "batch_size")
