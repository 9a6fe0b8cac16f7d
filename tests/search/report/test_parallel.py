import re

from search.report.parallel import parallel


def test_each_trial_is_a_line_with_a_point_on_every_axis(matter):
    page = parallel(matter).content
    lines = re.findall(r'<polyline data-t="(\d+)" class="\w+" points="([^"]*)"', page)
    assert sorted(int(number) for number, _ in lines) == sorted(matter.history.trials)
    axes = page.count('class="axis-hit"')
    assert axes == 9, "eight choices and the score"
    assert all(len(points.split()) == axes for _, points in lines)


def test_what_was_not_drawn_lies_below_the_axes(matter):
    page = parallel(matter).content
    absent = [trial.number for trial in matter.history.in_order if "crop_size" not in trial.params]
    below = {int(number) for number in re.findall(r'data-t="(\d+)" class="\w+" points="[^"]*,352\.0', page)}
    assert absent
    assert below == set(absent)


def test_one_trial_compares_with_nothing(make_matter, make_record, make_trials):
    history = make_trials({"params": {"loss": "ce"}, "ious": [0.5]})
    assert "<svg" not in parallel(make_matter(make_record(history))).content
