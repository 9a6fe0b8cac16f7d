import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import segcore.prediction.votes
from segcore.data.classes import VOID
from segcore.data.labels import build_label_map
from segcore.errors import StorageError
from segcore.machine import Machine
from segcore.networks.model import build_architecture
from segcore.prediction.cases import predict_cases, score_cases
from segcore.prediction.predict import average_probabilities
from segcore.prediction.votes import (
    Ballot,
    Candidate,
    Votes,
    collect_votes,
    divide_pixels,
    read_votes,
    reduce_weights,
    score_votes,
    write_votes,
)
from segcore.scoring.metrics import count_confusion
from segcore.scoring.overlaps import count_overlaps

MACHINE = Machine()


@pytest.fixture(scope="module")
def candidates(make_config):
    found = []
    for seed, values in enumerate(({}, {}, {"input_mode": "resize", "scale": 0.5})):
        torch.manual_seed(seed)
        config = make_config(backbone="tf_efficientnet_lite0", **values)
        found.append(Candidate(config=config, networks=(build_architecture(config, 4).eval(),)))
    return found


def _divide(probabilities_KOHW, truth_HW, classes):
    greatest_KHW = probabilities_KOHW.astype(np.float32).argmax(axis=1)
    class_of_output = build_label_map(classes, "full").class_of_output
    return divide_pixels(greatest_KHW, probabilities_KOHW, truth_HW, class_of_output, classes), class_of_output


def test_only_disputed_pixels_keep_their_probabilities(classes):
    # One row of four pixels, two candidates, four classes: they agree on the first two, the last is void.
    first = [[0.7, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1], [0.4, 0.3, 0.2, 0.1], [0.7, 0.1, 0.1, 0.1]]
    second = [[0.4, 0.3, 0.2, 0.1], [0.0, 0.9, 0.1, 0.0], [0.1, 0.6, 0.2, 0.1], [0.1, 0.7, 0.1, 0.1]]
    probabilities = np.array([first, second], np.float16).transpose(0, 2, 1)[:, :, None]
    votes, class_of_output = _divide(probabilities, np.array([[0, 3, 1, VOID]], np.uint8), classes)
    assert votes.disputed_KOP.shape == (2, 4, 1)
    assert (votes.truth_P.tolist(), votes.pixels_each) == ([1], 1.0)
    agreed = np.zeros((4, 5), int)
    agreed[0, 0] = agreed[3, 1] = 1
    assert np.array_equal(votes.agreed_CP, agreed)
    # The disputed pixel: 0.4 against 0.3 for the first alone; (0.1, 0.6) alone; (0.5, 0.9) together; and with the
    # first four times (4 * 0.4 + 0.1, 4 * 0.3 + 0.6) = (1.7, 1.8).
    for weights, predicted in (((1, 0), 0), ((0, 1), 1), ((1, 1), 1), ((4, 1), 1), ((7, 1), 0)):
        counted = score_votes(votes, weights, class_of_output, classes).confusion_CP - agreed
        assert counted[1, predicted] == counted.sum() == 1, weights


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_weights_are_scored_as_the_weighted_mean_of_whole_images(classes, data):
    # Multiples of 1/64 are exact at 16 bits, and so are their sums.
    shape, levels = (3, 4, 3, 5), st.integers(0, 64)
    numbers = data.draw(st.lists(levels, min_size=180, max_size=180))
    probabilities = (np.array(numbers).reshape(shape) / 64).astype(np.float16)
    truth = data.draw(st.lists(st.sampled_from([0, 1, 2, 3, VOID]), min_size=15, max_size=15))
    truth_HW = np.array(truth, np.uint8).reshape(3, 5)
    weights = data.draw(st.tuples(*[st.integers(0, 4)] * 3).filter(any))
    votes, class_of_output = _divide(probabilities, truth_HW, classes)
    total_OHW = sum(weight * part.astype(np.float32) for weight, part in zip(weights, probabilities, strict=True))
    predicted_HW = class_of_output[total_OHW.argmax(axis=0)]
    expected = count_confusion(torch.from_numpy(truth_HW), torch.from_numpy(predicted_HW), 4).numpy()
    assert np.array_equal(score_votes(votes, weights, class_of_output, classes).confusion_CP, expected)


def test_votes_of_networks_give_the_score_of_the_ruler(cache, candidates, classes):
    """Of one network, and of the weighted mean, but for ties that 16 bits cannot tell."""
    class_of_output = build_label_map(classes, "full").class_of_output
    (votes,) = collect_votes(cache, [0], candidates, MACHINE)
    total_OHW = torch.zeros(())
    for position, (candidate, weight) in enumerate(zip(candidates, (2, 1, 3), strict=True)):
        (ruled,) = score_cases(predict_cases(candidate.networks[0], cache, [0], candidate.config, MACHINE), cache, [0])
        single = tuple(int(each == position) for each in range(3))
        found = score_votes(votes, single, class_of_output, classes)
        moved = np.abs(found.confusion_CP - ruled.confusion_CP).sum() / 2
        assert moved <= 0.002 * ruled.confusion_CP.sum()
        assert (found.name, found.condition) == (ruled.name, ruled.condition)
        mean_OHW = average_probabilities(candidate.networks, cache.image_HW3(0), candidate.config, MACHINE)
        total_OHW = total_OHW + weight * mean_OHW
    predicted_HW = torch.from_numpy(class_of_output)[total_OHW.argmax(dim=0)]
    (ruled,) = score_cases(iter([predicted_HW]), cache, [0])
    found = score_votes(votes, (2, 1, 3), class_of_output, classes)
    assert np.abs(found.confusion_CP - ruled.confusion_CP).sum() / 2 <= 0.002 * ruled.confusion_CP.sum()


def test_of_very_many_disputed_pixels_a_part_stands_for_all(classes, monkeypatch):
    monkeypatch.setattr(segcore.prediction.votes, "MOST_DISPUTED", 100)
    # On 400 pixels one candidate always says class 0 and the other class 1, of which a quarter is right.
    probabilities = np.zeros((2, 4, 20, 20), np.float16)
    probabilities[0, 0] = 0.75
    probabilities[1, 1] = 1
    truth_HW = np.tile(np.array([1, 0, 2, 3], np.uint8), (20, 5))
    votes, class_of_output = _divide(probabilities, truth_HW, classes)
    assert (len(votes.truth_P), votes.pixels_each) == (100, 4.0)
    confusion = score_votes(votes, (1, 1), class_of_output, classes).confusion_CP
    assert confusion.sum() == 400
    assert 60 <= confusion[1, 1] <= 140
    again, _ = _divide(probabilities, truth_HW, classes)
    assert np.array_equal(again.truth_P, votes.truth_P)


def test_ballot_reads_each_file_once_for_all_weights(cache, candidates, classes, tmp_path, monkeypatch):
    files = []
    for number, votes in enumerate(collect_votes(cache, [0, 1], candidates, MACHINE)):
        files.append(tmp_path / "votes" / f"{number}.npz")
        write_votes(votes, files[-1])
    assert [file.name for file in sorted((tmp_path / "votes").iterdir())] == ["0.npz", "1.npz"]
    read = []
    monkeypatch.setattr(segcore.prediction.votes, "read_votes", lambda file: read.append(file) or read_votes(file))
    ballot = Ballot(files, "full", classes)
    ballot.score([(1, 0, 0), (1, 2, 0)])
    twice, single = ballot.score([(2, 4, 0), (1, 0, 0)])
    assert read == files
    assert [score.name for score in twice] == [cache.cases[0].name, cache.cases[1].name]
    class_of_output = build_label_map(classes, "full").class_of_output
    expected = score_votes(read_votes(files[0]), (1, 0, 0), class_of_output, classes)
    # Of thousands of images a hundred classes against each other would fill the memory.
    assert np.array_equal(single[0].overlaps_C2, count_overlaps(expected.confusion_CP))
    assert (single[0].iou, single[0].condition) == (expected.iou, expected.condition)


def test_damaged_votes_are_told_by_their_file(tmp_path):
    (tmp_path / "3.npz").write_bytes(b"PK\x03\x04 half")
    with pytest.raises(StorageError, match=r"3\.npz cannot be read .*; delete it, and it is made anew"):
        read_votes(tmp_path / "3.npz")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"agreed_CP": np.zeros((2, 3))}, "its arrays are of other kinds"),
        ({"disputed_KOP": np.zeros((1, 2, 3), np.int64)}, "its arrays are of other kinds"),
        ({"truth_P": np.zeros(3, np.int64)}, "its arrays are of other kinds"),
        ({"disputed_KOP": np.zeros((2, 3), np.float16)}, "its arrays are of other kinds"),
        ({"agreed_CP": np.zeros((2, 2), np.int64)}, "its arrays do not belong together"),
        ({"truth_P": np.zeros(2, np.uint8)}, "its arrays do not belong together"),
        ({"pixels_each": 0.5}, "its arrays do not belong together"),
        ({"pixels_each": math.inf}, "its arrays do not belong together"),
        ({"truth_P": np.array([0, 1, 2], np.uint8)}, "its truth has other classes than 2"),
    ],
)
def test_votes_of_other_kinds_and_sizes_are_damaged(tmp_path, changes, told):
    votes = Votes(
        name="a",
        condition="day",
        agreed_CP=np.zeros((2, 3), np.int64),
        disputed_KOP=np.zeros((1, 2, 3), np.float16),
        truth_P=np.array([0, 1, VOID], np.uint8),
    )
    write_votes(votes, tmp_path / "3.npz")
    assert read_votes(tmp_path / "3.npz").truth_P.tolist() == [0, 1, VOID]
    write_votes(replace(votes, **changes), tmp_path / "3.npz")
    with pytest.raises(StorageError, match=rf"3\.npz cannot be read \({told}"):
        read_votes(tmp_path / "3.npz")


def test_weights_are_told_in_the_smallest_numbers():
    assert reduce_weights((4, 0, 2)) == (2, 0, 1)
    assert reduce_weights((0, 3)) == (0, 1)
