from dataclasses import replace

import pytest

from search.verdict.notes import STEERED, confirmation_line, ensemble_line, out_of_fold_note
from search.verdict.out_of_fold import ChosenMember, EnsembleVerdict, OutOfFold

RESULT = OutOfFold(
    metric="iou",
    metrics={"iou": 0.72},
    fold_scores={0: 0.6, 1: 0.8},
    images=4,
    unseen_score=0.6,
    seen_folds=(1,),
    single_class=None,
)
CHOSEN = EnsembleVerdict(
    kept=True,
    members=(
        ChosenMember(trial=1, snapshot=0, weight=2, alone=0.6),
        ChosenMember(trial=1, snapshot=1, weight=0, alone=0.5),
        ChosenMember(trial=4, snapshot=0, weight=1, alone=0.58),
    ),
    metric="iou",
    metrics={"iou": 0.65},
    plain=0.6,
    nested=0.62,
    networks=14,
    failures=("trial 5 failed",),
)


@pytest.mark.parametrize(
    ("rivals", "changes", "told"),
    [
        (
            [3],
            {},
            "The winner's miou on 2 further folds is 0.5000 (0.4000 to 0.6000 over images); its score in the search "
            "was 0.1000 higher. It cannot be told from trial 3. It is the best of 2 on these folds, so this score "
            "still flatters: by about 0.0100 were all of them equally good, by less otherwise.",
        ),
        (
            [3, 1, 2],
            {"interval": None, "folds": [1], "optimism": -0.02, "choice_bias": None},
            "The winner's miou on 1 further fold is 0.5000; its score in the search was 0.0200 lower. It cannot be "
            "told from trials 3, 1 and 2. It is the best of 2 on these folds, so this score still flatters; by how "
            "much, so few trainings do not say.",
        ),
        (
            [],
            {
                "told": "one more",
                "interval": None,
                "folds": [],
                "further_seeds": [1],
                "best_of": 1,
            },
            "The winner's miou with 1 further seed is 0.5000; its score in the search was 0.1000 higher. One more. "
            f"{STEERED}",
        ),
        (
            [],
            {"told": "again", "interval": None, "folds": [], "further_seeds": [1, 2], "choice_bias": None},
            "The winner's miou with 2 further seeds is 0.5000; its score in the search was 0.1000 higher. Again. "
            f"{STEERED} It is the best of 2 with these seeds, so this score still flatters; by how much, so few "
            "trainings do not say.",
        ),
    ],
    ids=["folds", "one fold", "one seed", "seeds"],
)
def test_confirmation_is_told_with_what_it_says_of_the_search(make_best, rivals, changes, told):
    assert confirmation_line(make_best(rivals=rivals, **changes).confirmation, "miou") == told


def test_chosen_ensemble_is_told_by_a_score_that_nothing_was_chosen_by():
    # 0.62 - 0.6 is what it brings, 0.65 - 0.62 what choosing on the scored images adds.
    assert ensemble_line(CHOSEN) == (
        "Chosen among 3 candidates of 2 configurations: iou 0.6200 when chosen without the images that they are scored "
        "on, the winner's networks alone 0.6000 (+0.0200). Chosen on all images 0.6500, which flatters by +0.0300. 14 "
        "networks predict each image, one after the other. Trial 5 failed: it had no say."
    )
    assert ensemble_line(replace(CHOSEN, kept=False, failures=())) == (
        "No choice among 3 candidates of 2 configurations surely beat the winner's networks alone (iou 0.6000; chosen "
        "without the images that they are scored on 0.6200): the model is the winner's."
    )


def test_score_out_of_fold_is_told_with_its_spread():
    # The mean of 0.6 and 0.8, and 0.2 / sqrt(2).
    note = out_of_fold_note(RESULT, 0.8)
    assert "Out of fold: iou 0.7200 over 4 images" in note
    assert "Over folds 0.7000 ± 0.1414; the search's own score was 0.8000." in note
    assert "| 0 | 0.6000 |\n| 1 | 0.8000 |" in note
    assert STEERED not in note and "snapshot" not in note
    of_seeds = out_of_fold_note(replace(RESULT, by="seed"), 0.8)
    assert "On the only validation images: iou 0.7000 of one network" in of_seeds
    assert f"Mean over 2 seeds ± 0.1414, on 4 images; the search's own score was 0.8000. {STEERED}" in of_seeds


def test_choice_among_configurations_is_told_beside_the_score():
    kept, plain = (
        out_of_fold_note(replace(RESULT, ensemble=replace(CHOSEN, kept=kept)), 0.8) for kept in (True, False)
    )
    assert "Over folds 0.7000" in kept and "### Ensemble of several configurations" in kept
    assert "### The winner alone is the model" in plain
    assert "| 1 | 0 | 2 | 0.6000 |\n| 1 | 1 | 0 | 0.5000 |\n| 4 | 0 | 1 | 0.5800 |" in kept
