import json

import pytest

from segcore.data.dividing.own_folds import read_own_folds
from segcore.errors import DataError


@pytest.fixture
def read(tmp_path):
    """Return a function that writes a file of folds and reads it."""

    def write_and_read(content, name="mine.json"):
        file = tmp_path / name
        file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return read_own_folds(file)

    return write_and_read


def test_names_with_their_folds_are_the_simplest_form(read):
    own = read({"a": 0, "b": 1, "c": "train", "d": None})
    assert (own.folds, own.fold_of, own.block_of) == (2, {"a": 0, "b": 1, "c": None, "d": None}, {})


def test_folds_of_this_project_are_read_with_their_blocks_where_they_have_some(read):
    own = read({"folds": 2, "split": "folds", "cases": {"a": {"fold": 0, "block": "x"}, "b": {"fold": 1}}})
    assert (own.folds, own.fold_of, own.block_of) == (2, {"a": 0, "b": 1}, {"a": "own/x"})


def test_table_of_names_and_folds_is_read_whatever_the_order_of_columns(read):
    own = read("\ufefffold, name\n1,a\n0, b\ntrain,c\n", "mine.CSV")
    assert (own.folds, own.fold_of) == (2, {"a": 1, "b": 0, "c": None})


def test_splits_of_nnu_net_are_read(read):
    # d is validated in no fold, and trained on in both.
    own = read([{"train": ["b", "c", "d"], "val": ["a"]}, {"train": ["a", "d"], "val": ["b", "c"]}])
    assert (own.folds, own.fold_of) == (2, {"a": 0, "b": 1, "c": 1, "d": None})


def test_a_single_split_of_nnu_net_is_one_fold(read):
    own = read([{"train": ["b", "c"], "val": ["a"]}])
    assert (own.folds, own.fold_of) == (1, {"a": 0, "b": None, "c": None})


def test_names_may_have_the_suffix_of_their_image(read):
    assert read("name,fold\na.jpg,0\nb.PNG,1\nc.v2,train\n", "mine.csv").fold_of == {"a": 0, "b": 1, "c.v2": None}
    assert read({"a.jpg": 0, "b": 1}).fold_of == {"a": 0, "b": 1}
    assert read([{"train": ["a.png"], "val": ["b.png"]}]).fold_of == {"a": None, "b": 0}


def test_folds_may_have_the_point_that_pandas_writes(read):
    assert read("name,fold\na,0.0\nb,1.0\nc,train\n", "mine.csv").fold_of == {"a": 0, "b": 1, "c": None}
    assert read({"a": 0.0, "b": 1.0}).fold_of == {"a": 0, "b": 1}


@pytest.mark.parametrize(("content", "name"), [("name,fold\na,0.5\nb,1\n", "mine.csv"), ({"a": 0.5, "b": 1}, "f.json")])
def test_half_a_fold_is_refused(read, content, name):
    with pytest.raises(DataError, match=r"'a' has the fold .?0.5.?; use a whole number from 0, or train"):
        read(content, name)


def test_letters_of_a_mac_are_those_of_the_image(read):
    assert read({"cafe\u0301": 0, "b": 1}).fold_of == {"caf\u00e9": 0, "b": 1}


def test_every_fault_of_nnu_nets_splits_is_told_at_once(read):
    entries = [{"train": ["b", "c", "a"], "val": ["a"]}, {"train": ["b"], "val": ["a"]}]
    with pytest.raises(DataError) as caught:
        read(entries)
    assert caught.value.problems == (
        "1 image is in both train and val of fold 0: a",
        "1 image of the val of fold 1 is in that of an earlier one too: a",
        "1 image of other folds is in neither train nor val of fold 1: c",
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"a": 1, "b": 2}, "of folds 0 to 2, 1 have no image, fold 0 first; count from 0, without a gap"),
        ({"a": 0, "b": 10**9}, "of folds 0 to 1000000000, 999999999 have no image, fold 1 first"),
        ({"a": 0, "b": 0}, "every image is in fold 0, which leaves none to train on; call those 'train'"),
        (
            {"cases": {"a": {"fold": 0, "block": "x"}, "b": {"fold": 1, "block": "x"}}},
            "1 block is in several folds: x",
        ),
    ],
)
def test_folds_that_no_training_can_follow_are_refused(read, content, problem):
    with pytest.raises(DataError, match=r"mine\.json cannot be used") as caught:
        read(content)
    assert problem in caught.value.problems[0]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "Expecting value"),
        ("7", "it holds 7"),
        ("null", "it holds None"),
        ([["a"], ["b"]], "it holds ['a'] where train and val of a fold are to be"),
        ("{}", "gives no image a fold"),
        ({"a": None}, "gives no image a fold"),
        ({"a": "0"}, "'a' has the fold '0'"),
        ({"a": True, "b": 0}, "'a' has the fold True"),
        ({"a": -1}, "'a' has the fold -1"),
        ({"a": 0.5}, "'a' has the fold 0.5"),
        ({"cases": {"a": {"fold": 0, "color": 1}}}, "'a' has the unknown key 'color'"),
        ({"cases": {"a": {"block": "x"}}}, "it lacks 'fold'"),
        ('{"a": 0, "a": 1}', "'a' is given twice"),
        ([{"train": ["a"]}], "it lacks 'val'"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_file_of_no_known_form_is_refused_with_the_forms(read, content, told):
    with pytest.raises(DataError) as caught:
        read(content)
    assert told in str(caught.value)
    assert 'give a JSON object such as {"a": 0, "b": 1}' in str(caught.value)
    assert len(str(caught.value)) < 900


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "its first line is ''"),
        ("image,fold\na,0\n", "its first line is 'image,fold'"),
        ("name,fold\na\n", "line 2 has another number of values"),
        ("name,fold\na,0,1\n", "line 2 has another number of values"),
        ("name,fold\na,\n", "'a' has the fold ''"),
        ("name,fold\na,0\na,1\n", "'a' is given twice"),
    ],
)
def test_table_of_another_form_is_refused(read, text, told):
    with pytest.raises(DataError) as caught:
        read(text, "mine.csv")
    assert told in str(caught.value)


def test_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"none\.json cannot be read \(.*No such file"):
        read_own_folds(tmp_path / "none.json")
