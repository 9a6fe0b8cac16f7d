import dataclasses

from segcore.data.classes import VOID
from segcore.data.labels import build_label_map


def test_full_labels_learn_every_class_under_its_own_index(classes):
    label_map = build_label_map(classes, "full")
    assert label_map.outputs == 4
    assert label_map.target_of_class[:4].tolist() == [0, 1, 2, 3]
    assert label_map.class_of_output[:4].tolist() == [0, 1, 2, 3]


def test_scored_labels_learn_scored_classes_and_one_background(classes):
    # Classes road, car, person, sky; scored in the order person, car: outputs person 0, car 1, background 2.
    table = dataclasses.replace(classes, scored=("person", "car"))
    label_map = build_label_map(table, "scored")
    assert label_map.outputs == 3
    assert label_map.target_of_class[:4].tolist() == [2, 1, 0, 2]
    assert label_map.class_of_output[:3].tolist() == [2, 1, VOID]


def test_the_background_is_the_only_class_that_is_not_scored(classes):
    table = dataclasses.replace(classes, scored=("person", "car", "sky"))
    label_map = build_label_map(table, "scored")
    assert label_map.target_of_class[:4].tolist() == [3, 1, 0, 2]
    assert label_map.class_of_output[:4].tolist() == [2, 1, 3, 0]


def test_void_is_never_learnt(classes):
    for labels in ("full", "scored"):
        assert set(build_label_map(classes, labels).target_of_class[4:].tolist()) == {VOID}
