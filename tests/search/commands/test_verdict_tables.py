"""The winner in tables and in words: what the terminal and the pages of MLflow say of it."""

import math
from dataclasses import replace

import pytest

from search.commands.verdict_tables import best_table, confirmation_table, ensemble_table, out_of_fold_table
from search.memory.best import Confirmation, Finalist, Winner
from search.verdict.notes import best_note, confirmation_line, out_of_fold_note
from search.verdict.out_of_fold import ChosenMember, EnsembleVerdict, OutOfFold
from search.verdict.selection import choose_best

RESULT = OutOfFold(
    metric="iou",
    metrics={"iou": 0.5, "miou_scored": 0.55, "iou/car": 0.4},
    fold_scores={0: 0.6, 1: 0.4},
    images=12,
    unseen_score=0.4,
    seen_folds=(0,),
    single_class=("car", 0.125),
)


@pytest.fixture
def best(make_history, make_settings) -> Winner:
    def write(script) -> None:
        script.ask(0, loss="ce+jaccard", input_mode="crop", crop_size=256)
        script.write("epoch", trial=0, epoch=1, metrics={"iou": 0.61234, "miou": 0.5})
        script.end(0)

    return choose_best(make_history(write), make_settings())


def test_best_table_shows_the_winner(render, row_of, best):
    text = render(best_table(best))
    assert "0, epoch 1, fold 0" in row_of(text, "trial")
    assert row_of(text, "iou").split() == ["iou", "0.6123"]
    assert row_of(text, "loss").split() == ["loss", "ce+jaccard"]
    assert row_of(text, "crop_size").split() == ["crop_size", "256"]
    assert "plateau_factor" not in text, "a default"
    assert "segcore fields" in row_of(text, "all else")


def test_winner_on_the_official_split_is_said_to_be_scored_on_its_val(render, row_of, best):
    official = replace(best, split="official")
    assert "0, epoch 1, the official val" in row_of(render(best_table(official)), "trial")
    assert best_note(official).startswith("### Best: trial 0, epoch 1, iou 0.6123 on the official val\n")


SEEDS_CONFIRMATION = Confirmation(
    told="confirmed with 2 further seeds on the official split; no further folds exist",
    score=0.71,
    folds=[],
    further_seeds=[1, 2],
    optimism=0.02,
    best_of=2,
    choice_bias=0.01,
    rivals=[],
    contenders=[Finalist(trial=4, search_score=0.73, fold_scores={1: 0.7, 2: 0.72}, score=0.71)],
)


def test_confirmation_by_seeds_says_what_it_cannot_tell(render, row_of):
    text = render(confirmation_table(SEEDS_CONFIRMATION, 200))
    assert "Confirmed with 2 further seeds on the official split; no further folds exist" in text
    assert "seed +1" in text and "seed +2" in text and "fold " not in text.replace("folds exist", "")
    assert confirmation_line(SEEDS_CONFIRMATION, "iou") == (
        "The winner's iou with 2 further seeds is 0.7100; its score in the search was 0.0200 higher. Confirmed "
        "with 2 further seeds on the official split; no further folds exist. The search was steered by these images, "
        "so this score flatters; other images would tell how much. It is the best of 2 with these seeds, so this score "
        "still flatters: by about 0.0100 were all of them equally good, by less otherwise."
    )


def test_best_note_is_a_markdown_table_of_the_winner(best):
    note = best_note(best)
    assert note.startswith("### Best: trial 0, epoch 1, iou 0.6123 on fold 0\n")
    assert "\n| loss | ce+jaccard |\n" in note


def test_out_of_fold_table_shows_how_much_the_search_flattered(render, row_of):
    text = render(out_of_fold_table(RESULT, search_score=0.58))
    assert "0.5000 over 12 images" in text
    assert "mean 0.5000, standard deviation 0.1414" in text  # sqrt((0.1² + 0.1²) / 1)
    assert row_of(text, "fold 0").split()[-1] == "0.6000"
    assert row_of(text, "fold 1").split()[-1] == "0.4000"
    # 0.58 on the search's fold against 0.4 on the others.
    assert "0.5800 (+0.1800)" in text
    assert "0.1250 when everything is called car" in text
    assert row_of(text, "iou/car").split() == ["iou/car", "0.4000"]


SEEDS = replace(RESULT, by="seed", fold_scores={7: 0.6, 8: 0.4}, unseen_score=math.nan, seen_folds=(7, 8))
STEERED = "The search was steered by these images, so this score flatters"


def test_score_on_the_only_validation_images_is_said_to_flatter(render, row_of):
    text = render(out_of_fold_table(SEEDS, search_score=0.58))
    assert "On the only validation images" in text
    assert "0.5000 of one network on 12 images, the mean over seeds" in text
    assert row_of(text, "seed 8").split()[-1] == "0.4000"
    assert "0.5800 (+0.0800)" in text  # 0.58 - (0.6 + 0.4) / 2
    assert STEERED in text and "nan" not in text
    note = out_of_fold_note(SEEDS, search_score=0.58)
    assert STEERED in note and "| 7 | 0.6000 |\n| 8 | 0.4000 |" in note and "nan" not in note


def test_out_of_fold_note_has_every_fold():
    note = out_of_fold_note(RESULT, search_score=0.58)
    assert "iou 0.5000 over 12 images" in note
    assert "| 0 | 0.6000 |\n| 1 | 0.4000 |" in note


CONFIRMATION = Confirmation(
    told="confirmed on 2 further folds",
    score=0.71,
    interval=(0.68, 0.74),
    folds=[1, 2],
    optimism=0.0432,
    best_of=3,
    choice_bias=0.0041,
    rivals=[9],
    contenders=[
        Finalist(trial=4, search_score=0.7532, fold_scores={1: 0.7, 2: 0.72}, score=0.71),
        Finalist(
            trial=9,
            search_score=0.75,
            fold_scores={1: 0.69, 2: 0.7},
            score=0.695,
            difference=(-0.05, 0.02),
            image_difference=(-0.02, -0.01),
            doubt="the difference may be 0",
        ),
        Finalist(
            trial=2,
            search_score=0.74,
            fold_scores={1: 0.6},
            score=0.6,
            image_difference=(-0.12, -0.08),
            dismissed="worse by 0.08 to 0.12 iou",
        ),
        Finalist(
            trial=1,
            search_score=0.73,
            fold_scores={},
            score=None,
            dismissed="its training on fold 1 has no score (failed)",
        ),
    ],
)


def test_confirmation_shows_every_fold_difference_and_verdict(render, row_of):
    text = render(confirmation_table(CONFIRMATION, 200))
    assert row_of(text, "4").split() == ["4", "0.7532", "0.7000", "0.7200", "0.7100", "-", "winner"]
    assert "0.6950 -0.0200 to +0.0500 cannot be told from the winner: the difference may be 0" in " ".join(
        row_of(text, "9").split()
    )
    assert row_of(text, "2").split()[:11] == [
        "2", "0.7400", "0.6000", "-", "0.6000", "+0.0800", "to", "+0.1200", "(images", "alone)", "worse",
    ]  # fmt: skip
    assert row_of(text, "1").split()[:6] == ["1", "0.7300", "-", "-", "-", "-"]


@pytest.mark.parametrize(("width", "cells"), [(60, 3), (80, 5), (100, 5)])
def test_no_score_of_a_confirmation_is_cut_by_a_narrow_terminal(render, row_of, width, cells):
    text = render(confirmation_table(CONFIRMATION, width), width)
    assert "…" not in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    # Trial, search, mean, and where there is room a score on each of two folds.
    assert row_of(text, "2").split()[:cells] == ["2", "0.7400", *["0.6000", "-"][: cells - 3], "0.6000"]


def test_confirmation_in_words():
    assert confirmation_line(CONFIRMATION, "iou") == (
        "The winner's iou on 2 further folds is 0.7100 (0.6800 to 0.7400 over images); its score in the search was "
        "0.0432 higher. It cannot be told from trial 9. It is the best of 3 on these folds, so this score still "
        "flatters: by about 0.0041 were all of them equally good, by less otherwise."
    )
    one_fold = confirmation_line(replace(CONFIRMATION, choice_bias=None), "iou")
    assert one_fold.endswith("so this score still flatters; by how much, so few trainings do not say.")
    alone = replace(CONFIRMATION, rivals=[], interval=None, best_of=1)
    assert confirmation_line(alone, "iou").endswith("is 0.7100; its score in the search was 0.0432 higher.")
    lower = replace(alone, optimism=-0.0197)
    assert confirmation_line(lower, "iou").endswith("its score in the search was 0.0197 lower.")
    several = replace(alone, rivals=[9, 2, 14])
    assert confirmation_line(several, "iou").endswith(" It cannot be told from trials 9, 2 and 14.")


def test_folds_without_anything_to_count_are_told_instead_of_no_number(render):
    result = replace(RESULT, metric="iou/car", metrics={"iou/car": 0.4}, unseen_score=math.nan, single_class=None)
    text = " ".join(render(out_of_fold_table(result, search_score=0.58)).split())
    assert "without fold 0 the other folds have no pixel of what iou/car counts" in text
    assert "search's own iou/car 0.5800" in text
    assert "nan" not in text and "for comparison" not in text


def _ensemble(*, kept: bool) -> EnsembleVerdict:
    members = ((5, 0, 1, 0.5), (7, 0, 2, 0.48), (9, 1, 0, 0.3)) if kept else ((5, 0, 1, 0.5), (7, 0, 0, 0.48))
    return EnsembleVerdict(
        kept=kept,
        members=tuple(ChosenMember(trial=t, snapshot=s, weight=w, alone=alone) for t, s, w, alone in members),
        metric="iou",
        metrics={"iou": 0.56 if kept else 0.5},
        plain=0.5,
        nested=0.54 if kept else 0.49,
        networks=6 if kept else 3,
        failures=() if kept else ("trial 9 was not trained on every fold (fold 0: diverged)",),
    )


def test_ensemble_is_told_with_what_it_is_worth_on_images_it_was_not_chosen_by(render, row_of):
    text = render(ensemble_table(_ensemble(kept=True)))
    assert row_of(text, "7").split() == ["7", "0", "0.4800", "2"]
    assert row_of(text, "9").split() == ["9", "1", "0.3000", "-"]
    note = out_of_fold_note(replace(RESULT, ensemble=_ensemble(kept=True)), 0.6)
    assert (
        "Chosen among 3 candidates of 3 configurations: iou 0.5400 when chosen without the images that they are scored "
        "on, the winner's networks alone 0.5000 (+0.0400). Chosen on all images 0.5600, which flatters by +0.0200. 6 "
        "networks predict each image, one after the other."
    ) in note
    assert "| 7 | 0 | 2 | 0.4800 |" in note


def test_winner_that_nothing_beat_is_told_to_be_the_model():
    note = out_of_fold_note(replace(RESULT, ensemble=_ensemble(kept=False)), 0.6)
    assert (
        "No choice among 2 candidates of 2 configurations surely beat the winner's networks alone (iou 0.5000; chosen "
        "without the images that they are scored on 0.4900): the model is the winner's. Trial 9 was not trained on "
        "every fold (fold 0: diverged): it had no say."
    ) in note


def test_score_of_a_chosen_model_is_that_of_choices_made_without_the_images():
    assert replace(RESULT, ensemble=_ensemble(kept=True)).expected == {"iou": 0.54}
    assert replace(RESULT, ensemble=_ensemble(kept=False)).expected == RESULT.metrics == RESULT.expected
