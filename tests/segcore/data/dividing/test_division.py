from pathlib import Path

import pytest

from segcore.data.case import Case
from segcore.data.dividing.division import choose_division
from segcore.errors import ConfigError
from tests.conftest import ENCODING


@pytest.fixture
def file(tmp_path):
    found = tmp_path / "mine.json"
    found.write_text('{"a": 0, "b": 1, "c": 2}')
    return found


def test_folds_are_made_unless_others_are_given(file):
    assert (choose_division("folds", None, None).kind, choose_division("folds", None, None).folds) == ("folds", 7)
    assert choose_division("folds", 3, None).folds == 3
    assert (choose_division("official", None, None).kind, choose_division("official", 1, None).folds) == ("official", 1)
    assert (choose_division("folds", None, file).kind, choose_division("folds", 3, file).folds) == ("own", 3)


@pytest.mark.parametrize(
    ("split", "folds", "given", "message"),
    [
        ("half", None, False, "--split 'half': use folds, or official"),
        ("own", None, True, "--split 'own': use folds, or official"),
        ("official", 5, False, "--folds 5 contradicts --split official, which has 1; leave --folds out"),
        ("official", 0, False, "--folds 0 contradicts --split official"),
        ("official", None, True, "--split official and --folds-file both say"),
        ("folds", 5, True, r"--folds 5 contradicts --folds-file .*mine\.json, which has 3"),
    ],
)
def test_options_that_contradict_each_other_are_refused(file, split, folds, given, message):
    with pytest.raises(ConfigError, match=message):
        choose_division(split, folds, file if given else None)


def test_data_is_divided_as_the_options_say(file):
    cases = [
        Case(name=name, image=Path("i"), mask=Path("m"), encoding=ENCODING, group="", split=side)
        for name, side in (("a", "train"), ("b", "val"), ("c", "train"))
    ]
    # Images without frames are blocks of their own, which are dealt one by one.
    for division, fold_of in (
        (choose_division("folds", 2, None), {"a": 0, "b": 1, "c": 0}),
        (choose_division("official", None, None), {"a": None, "b": 0, "c": None}),
        (choose_division("folds", None, file), {"a": 0, "b": 1, "c": 2}),
    ):
        split = division.divide(cases)
        assert (split.kind, split.folds, split.fold_of) == (division.kind, division.folds, fold_of)
        assert division.find_given(cases) == (None if division.kind == "folds" else split)
