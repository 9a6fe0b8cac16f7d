from dataclasses import replace

from search.insight.importance import CHANCE, Importance
from search.report.choices import category_axis, importance, slices


def test_numbers_are_in_order_of_size_and_words_of_letters():
    _, places = category_axis("batch_size", [16, 4, 8, 8])
    assert list(places) == ["4", "8", "16"]
    _, places = category_axis("loss", ["focal", "ce", None])
    assert list(places) == ["None", "ce", "focal"]


def test_every_choice_has_a_slice_and_every_value_a_row(matter):
    page = slices(matter).content
    choices = ("augmentation", "backbone", "batch_size", "crop_size", "input_mode", "learning_rate", "loss")
    assert all(f"iou by {choice}" in page for choice in choices)
    assert "tf_efficientnetv2_s" in page
    drawn = sum("crop_size" in trial.params for trial in matter.history.in_order)
    assert f"crop_size (of {drawn} trials)" in page


def test_importance_stands_beside_what_means_nothing(matter):
    found = [
        Importance(name="backbone", share=0.5, low=0.4, high=0.6),
        Importance(name="loss", share=0.1, low=0.0, high=0.2),
        Importance(name=CHANCE, share=0.05, low=0.0, high=0.1),
    ]
    page = importance(replace(matter, importances=found)).content
    assert "backbone: 50%, 40% to 60% over resamples" in page
    # Only the backbone is told from chance, by its colour.
    assert (page.count('class="bar"'), page.count('class="wait"'), page.count('class="chance"')) == (1, 2, 1)
    assert "Too few trials" in importance(matter).content
