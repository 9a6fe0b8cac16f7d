import re

from search.report.axes import Axis
from search.report.draw import Plot, shorten


def draw() -> Plot:
    return Plot(Axis(label="x", low=0, high=10), Axis(label="y", low=0, high=1), width=460, height=290)


def test_marks_lie_where_their_values_do():
    plot = draw()
    # From the right of the labels (a letter is 6.6 wide, "0.0" three of them) to 12 before the edge.
    assert plot.place((0, 0)) == (3 * 6.6 + 24, 250)
    assert plot.place((10, 1)) == (448, 10)


def test_marks_know_their_trial_and_say_what_they_are():
    plot = draw()
    plot.dot((5, 0.5), "win", trial=7, note="<b>")
    plot.line([(0, 0), (10, 1)], "end", trial=7)
    page = plot.render("a chart")
    assert len(re.findall('data-t="7"', page)) == 2
    assert "<title>&lt;b&gt;</title>" in page
    assert 'aria-label="a chart"' in page


def test_steps_go_level_and_then_up():
    plot = draw()
    plot.line([(0, 0), (10, 1)], "front", steps=True)
    (points,) = re.findall(r'class="front" points="([^"]*)"', plot.render(""))
    assert points == "43.8,250.0 448.0,250.0 448.0,10.0"


def test_texts_are_escaped_and_cut_to_their_room():
    assert shorten("tf_efficientnet_lite0", 66) == "tf_effici…"
    assert shorten("ce", 5) == "ce"
    # Ten letters fit, and a Japanese one takes the room of two.
    assert shorten("歩行者と自転車", 66) == "歩行者と…"
    assert shorten("歩行者", 66) == "歩行者"
    plot = Plot(Axis(label="<x>", low=0, high=1, names=[(0, "<a>")]), Axis(label="&", low=0, high=1))
    assert "<x>" not in plot.render('"')
    assert "&lt;x&gt;" in plot.render('"')
    assert 'aria-label="&quot;"' in plot.render('"')


def test_names_beside_an_axis_leave_room_for_its_marks_and_are_told_whole_by_a_pointer():
    name = "construction--flat--pedestrian-area"
    for text, shown in ((name, name), ("x" * 100, f"{'x' * 36}…")):
        plot = Plot(Axis(label="", low=0, high=1), Axis(label="", low=0, high=1, names=[(0.5, text)]), width=460)
        assert plot.place((0, 0))[0] <= 0.55 * 460
        assert f">{shown}<" in plot.render("")
        assert (f"<title>{text}</title>" in plot.render("")) is (shown != text)
