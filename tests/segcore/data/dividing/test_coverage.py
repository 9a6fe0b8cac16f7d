from collections import Counter
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import given

from segcore.data.case import Case
from segcore.data.dividing.blocks import Block
from segcore.data.dividing.coverage import cover_classes
from tests.conftest import ENCODING


def make_blocks(*contents, sizes=None, strata=None):
    """One block for each set of classes, of as many images as `sizes` says."""
    blocks, classes_of = [], {}
    for number, names in enumerate(contents):
        stratum = ("", strata[number] if strata else "day")
        cases = tuple(
            Case(name=f"{number}.{k}", image=Path("i"), mask=Path("m"), encoding=ENCODING, group="", condition="")
            for k in range(sizes[number] if sizes else 1)
        )
        blocks.append(Block(cases=cases, strata={stratum: len(cases)}))
        classes_of[cases[0].name] = frozenset(names)
    return blocks, classes_of


def test_folds_stay_where_none_lacks_a_class():
    blocks, classes_of = make_blocks({"car"}, {"car"}, {"car", "bus"}, set())
    # One block has a bus, so one of two folds must do without.
    assert cover_classes([0, 1, 0, 1], blocks, 2, classes_of) == [0, 1, 0, 1]


def test_fold_without_a_scored_class_gets_one_for_a_block_without():
    blocks, classes_of = make_blocks({"car"}, {"car"}, set(), set())
    assert cover_classes([0, 0, 1, 1], blocks, 2, classes_of) == [1, 0, 0, 1]


def test_exchange_is_with_a_block_of_the_same_stratum_and_of_like_size():
    # The fold that lacks a car has blocks of the night (2 images), of the day of 5 and of 3; what comes has 2, by day.
    blocks, classes_of = make_blocks(
        {"car"}, {"car"}, set(), set(), set(), sizes=[2, 2, 2, 5, 3], strata=["day", "day", "night", "day", "day"]
    )
    assert cover_classes([0, 0, 1, 1, 1], blocks, 2, classes_of) == [1, 0, 1, 1, 0]


def test_class_is_spread_without_taking_another_away():
    # Fold 1 lacks the bus; for one it must not give its only car.
    blocks, classes_of = make_blocks({"bus"}, {"bus"}, {"car"}, {"car"})
    dealt = cover_classes([0, 0, 0, 1], blocks, 2, classes_of)
    for name in ("bus", "car"):
        having = [fold for fold, block in zip(dealt, blocks, strict=True) if name in classes_of[block.cases[0].name]]
        assert set(having) == {0, 1}


@given(
    st.integers(2, 5),
    st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.integers(1, 4)), min_size=5, max_size=40),
)
def test_every_fold_has_a_scored_class_when_enough_blocks_have_one(folds, drawn):
    blocks, classes_of = make_blocks(
        *({"car"} if has_car else set() for has_car, _, _ in drawn), sizes=[size for _, _, size in drawn]
    )
    dealt = cover_classes([fold % folds for _, fold, _ in drawn], blocks, folds, classes_of)
    having = Counter(fold for fold, (has_car, _, _) in zip(dealt, drawn, strict=True) if has_car)
    assert len(having) == (folds if having.total() >= folds else len({f % folds for c, f, _ in drawn if c}))
