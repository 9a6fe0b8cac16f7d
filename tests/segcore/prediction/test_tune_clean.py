import dataclasses

import numpy as np
import pytest
import torch

from segcore.data.dataset import decode_case, read_dataset
from segcore.machine import Machine
from segcore.networks.model import build_architecture
from segcore.prediction.ensemble_files import load_ensemble, save_ensemble
from segcore.prediction.tune import HeldOutImage
from segcore.prediction.tune_clean import Cleaning, Removals, choose_areas, conclude, count_removals
from segcore.prediction.tune_ways import Gain
from segcore.scoring.metrics import count_confusion

MACHINE = Machine()


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory, make_config, classes):
    config, folder = make_config(), tmp_path_factory.mktemp("clean") / "model"
    weights = []
    for seed in range(2):
        torch.manual_seed(seed)
        weights.append(build_architecture(config, 4).state_dict())
    save_ensemble(folder, iter(weights), config=config, classes=classes, notes={})
    return load_ensemble(folder, MACHINE)


def test_counted_changes_are_those_of_a_prediction_without_small_components(ensemble, dataset_folder):
    case = read_dataset(dataset_folder).cases[0]
    image, decoded = HeldOutImage(case=case, members=(0,)), decode_case(case)
    counted = count_removals(ensemble, image, decoded, ensemble.classes)
    alone = dataclasses.replace(ensemble, members=ensemble.members[:1])

    def count(least_areas):
        predicted_HW = alone.with_options({"least_areas": least_areas}).predict(decoded.image_HW3)
        truth_HW = torch.from_numpy(decoded.mask_HW)
        return count_confusion(truth_HW, torch.from_numpy(predicted_HW), len(ensemble.classes)).numpy()

    assert np.array_equal(counted.confusion_CP, count({}))
    changed = {output for output, _ in counted.changes}
    assert len(changed) >= 2, "a random network makes specks"
    # Changes of several classes add up.
    areas = {output: max(area for each, area in counted.changes if each == output) for output in sorted(changed)}
    together = counted.confusion_CP + sum(counted.changes[each] for each in areas.items())
    assert np.array_equal(together, count({ensemble.classes.names[output]: area for output, area in areas.items()}))


def _removals(case, members, right, wrong_specks):
    """An image whose class 0 is predicted right, and where so many pixels of it are called specks of class 1."""
    confusion = np.zeros((4, 5), np.int64)
    confusion[0, 0], confusion[0, 1], confusion[1, 1] = right, max(0, wrong_specks), 50
    change = np.zeros((4, 5), np.int64)
    if wrong_specks > 0:
        change[0, 1], change[0, 0] = -wrong_specks, wrong_specks
    else:
        # Here the specks are right, and their removal is not.
        change[1, 1], change[1, 0] = wrong_specks, -wrong_specks
    image = HeldOutImage(case=dataclasses.replace(case, name=f"{case.name} {members} {right}"), members=members)
    return Removals(image=image, confusion_CP=confusion, changes={(1, 300): change})


def test_area_is_kept_where_it_helps_on_images_it_was_not_chosen_on(ensemble, dataset_folder):
    case = read_dataset(dataset_folder).cases[0]
    counted = [
        _removals(case, (fold,), right, 20) for fold, right in ((0, 100), (0, 101), (0, 102), (1, 100), (1, 101))
    ]
    found = conclude(counted, ensemble, ensemble.classes, "miou")
    assert found.least_areas == {"car": 300}
    # Without: classes 0 and 1 with 504 of 604 and 250 of 350 pixels; with: all right.
    assert found.before == pytest.approx((504 / 604 + 250 / 350) / 2)
    assert found.after == pytest.approx(1)
    assert found.gain.score > 2 * found.gain.error
    assert found.helps


def test_area_that_helps_on_one_fold_alone_is_not_kept(ensemble, dataset_folder):
    case = read_dataset(dataset_folder).cases[0]
    counted = [_removals(case, (0,), right, 20) for right in (100, 101)]
    counted += [_removals(case, (1,), right, -15) for right in (100, 101)]
    found = conclude(counted, ensemble, ensemble.classes, "miou")
    # On all images it is right more often; chosen on the first fold it is wrong on the other, and there none is chosen.
    assert found.least_areas == {"car": 300} and found.after > found.before
    assert found.gain.score < 0
    assert not found.helps


def test_area_that_changes_nothing_is_not_chosen(ensemble, dataset_folder):
    case = read_dataset(dataset_folder).cases[0]
    found = conclude([_removals(case, (fold,), 100, 0) for fold in (0, 1)], ensemble, ensemble.classes, "miou")
    assert (found.least_areas, found.gain.score, found.helps) == ({}, 0, False)


def test_area_is_not_chosen_for_making_a_score_out_of_nothing(ensemble, dataset_folder):
    """Specks of cars become sky, which no image has and nothing predicted: its IoU would be 0, not better."""
    case = read_dataset(dataset_folder).cases[0]
    counted = [_removals(case, (fold,), 100, 20) for fold in (0, 1)]
    for each in counted:
        each.changes[1, 300][0, 0], each.changes[1, 300][0, 3] = 0, 20
    assert conclude(counted, ensemble, ensemble.classes, "iou/sky").least_areas == {}


def test_gain_within_twice_its_error_may_be_chance():
    cleaning = Cleaning(least_areas={"car": 300}, gain=Gain(score=0.019, error=0.01), before=0.5, after=0.6)
    assert not cleaning.helps
    assert dataclasses.replace(cleaning, gain=Gain(score=0.021, error=0.01)).helps


def test_metric_of_borders_and_a_single_fold_tell_nothing(ensemble, dataset_folder):
    missing = dataclasses.replace(read_dataset(dataset_folder).cases[0], image=dataset_folder / "none.jpg")
    both = [HeldOutImage(case=missing, members=(0,)), HeldOutImage(case=missing, members=(1,))]
    assert choose_areas(ensemble, ensemble.classes, both, lambda done, total: None, "boundary_iou") is None
    for of_one_fold in (both[:1], [both[0], both[0]]):
        assert choose_areas(ensemble, ensemble.classes, of_one_fold, lambda done, total: None, "iou") is None
