import pytest

from search.insight.choices import compare_values, is_numeric, list_choices


def test_values_stand_by_how_many_trials_theirs_beat(make_trials):
    history = make_trials(
        {"params": {"backbone": "a"}, "ious": [0.1, 0.2, 0.9]},
        {"params": {"backbone": "a"}, "ious": [0.1, 0.2, 0.8]},
        {"params": {"backbone": "b"}, "ious": [0.1, 0.2, 0.7]},
        {"params": {"backbone": "b"}, "ious": [0.1], "outcome": "stopped by ASHA"},
        {"params": {"backbone": "c"}, "ious": [0.95], "outcome": "diverged"},
    )
    first, second, third = compare_values(history, "backbone", 3)
    # Of five trials the places are 4, 3, 2, 1 and 0, each over the four others.
    assert (first.value, first.trials, first.best, first.standing) == ("a", 2, 0.9, pytest.approx(3.5 / 4))
    assert (second.value, second.trials, second.best, second.standing) == ("b", 2, 0.7, pytest.approx(1.5 / 4))
    assert (third.value, third.trials, third.best, third.standing) == ("c", 1, None, 0.0)
    # Both trials of a beat both of b, so whatever is drawn of each, a leads; of c one trial tells nothing.
    assert (first.leads, second.leads, third.leads) == (1.0, 0.0, 0.0)


def test_values_that_overlap_lead_only_sometimes(make_trials):
    scores = {"a": (0.9, 0.1), "b": (0.8, 0.2)}
    history = make_trials(
        *({"params": {"loss": loss}, "ious": [score]} for loss, both in scores.items() for score in both)
    )
    values = compare_values(history, "loss", 1)
    assert sum(each.leads for each in values) == pytest.approx(1)
    assert all(0.2 < each.leads < 0.8 for each in values)


def test_values_that_stand_alike_share_the_lead(make_trials):
    """Whichever were named first would have come first in each resample."""
    history = make_trials(*({"params": {"loss": loss}, "ious": [0.5]} for loss in "aabbccd"))
    leads = {each.value: each.leads for each in compare_values(history, "loss", 1)}
    assert leads == {"a": pytest.approx(1 / 3), "b": pytest.approx(1 / 3), "c": pytest.approx(1 / 3), "d": 0.0}


def test_value_of_a_single_trial_leads_never_however_high_it_ranks(make_trials):
    scores = {"a": (0.9, 0.1), "b": (0.8, 0.2), "c": (0.95,)}
    history = make_trials(
        *({"params": {"loss": loss}, "ious": [score]} for loss, each in scores.items() for score in each)
    )
    first, *others = compare_values(history, "loss", 1)
    assert (first.value, first.leads) == ("c", 0.0)
    assert sum(each.leads for each in others) == pytest.approx(1)


def test_beside_values_of_a_single_trial_nothing_leads(make_trials):
    history = make_trials(*({"params": {"loss": loss}, "ious": [0.5]} for loss in "aab"))
    assert [each.leads for each in compare_values(history, "loss", 1)] == [0.0, 0.0]


def test_a_choice_with_one_value_or_of_no_trial_compares_nothing(make_trials):
    history = make_trials({"params": {"loss": "ce"}, "ious": [0.1]}, {"params": {"loss": "ce"}, "ious": [0.2]})
    assert compare_values(history, "loss", 1) == compare_values(history, "crop_size", 1) == []
    assert list_choices(history) == []


def test_choices_are_what_was_drawn_differently(make_trials):
    history = make_trials(
        *(
            {"params": {"rate": 0.1 * n, "size": n % 8, "loss": "ce", "flip": n > 5, "word": str(n)}, "ious": [0.1]}
            for n in range(12)
        )
    )
    assert list_choices(history) == ["flip", "rate", "size", "word"]
    assert [name for name in list_choices(history) if is_numeric(history, name)] == ["rate"]


def test_numbers_with_more_digits_than_a_person_lists_are_of_a_range_however_few(make_trials):
    drawn = ({"rate": 0.00110766, "share": 0.25}, {"rate": 0.00151367, "share": 0.125})
    history = make_trials(*({"params": params, "ious": [0.1]} for params in drawn))
    assert [is_numeric(history, name) for name in ("rate", "share")] == [True, False]


def test_of_a_range_its_thirds_stand(make_trials):
    trials = [{"params": {"rate": 0.1 * n}, "ious": [0.05 * n]} for n in range(1, 13)]
    history = make_trials(*trials, {"params": {}, "ious": [0.01]})
    values = compare_values(history, "rate", 1)
    # Of twelve values the edges are the 1st, 5th, 8th and 12th, each the last of its third.
    assert [(each.value, each.trials) for each in values] == [("0.8 to 1.2", 4), ("0.5 to 0.8", 3), ("0.1 to 0.5", 5)]
    assert values[0].leads == 1.0


def test_of_a_range_of_whole_numbers_its_thirds_stand(make_trials):
    history = make_trials(*({"params": {"width": 512 + 128 * n}, "ious": [0.01 * n]} for n in range(1, 10)))
    # Of nine values the edges are the 1st, 4th, 6th and 9th.
    values = [(each.value, each.trials) for each in compare_values(history, "width", 1)]
    assert values == [("1280 to 1664", 3), ("1024 to 1280", 2), ("640 to 1024", 4)]


def test_a_range_of_which_no_trial_got_anywhere_yet_compares_nothing(make_trials):
    """As it is while the first trials of a search run."""
    drawn = ({"rate": 0.00110766}, {"rate": 0.00880151})
    history = make_trials(*({"params": params, "ious": [0.1], "outcome": None} for params in drawn))
    assert (list_choices(history), is_numeric(history, "rate")) == (["rate"], True)
    assert compare_values(history, "rate", 4) == []
