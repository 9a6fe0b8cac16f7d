import re

from segcore.insight.charts import Column, bar, column_chart, heat_map


def widths(drawing):
    return [float(width) for width in re.findall(r'<rect[^>]*width="([0-9.]+)"', drawing)]


def test_bar_is_filled_to_its_share():
    assert widths(bar(0.25, width=80)) == [80.0, 20.0]
    assert widths(bar(1.5, width=80)) == [80.0, 80.0]
    assert widths(bar(float("nan"), width=80)) == [80.0, 0.0]


def test_columns_are_as_tall_as_their_values():
    columns = [Column(label=str(i), value=value, note="") for i, value in enumerate((10, 5, 0))]
    drawing = column_chart(columns, "axis", width=300, height=154)
    heights = [float(height) for height in re.findall(r'<rect[^>]*height="([0-9.]+)"', drawing)]
    # 154 less 36 for labels and 18 for the value above leave 100 for the largest.
    assert heights == [100.0, 50.0, 0.0]
    assert ">10</text>" in drawing and ">5</text>" in drawing


def test_labels_without_room_are_left_out():
    columns = [Column(label="0.00", value=1, note="") for _ in range(20)]
    assert column_chart(columns, "axis", width=700).count(">0.00</text>") == 20
    assert column_chart(columns, "axis", width=340).count(">0.00</text>") == 10


def test_chart_of_nothing_but_zeros_is_flat():
    assert 'height="0.0"' in column_chart([Column(label="a", value=0, note="")], "axis")


def test_heat_map_shows_percent_and_a_dash_for_unknown_rows():
    names = [((1, 2, 3), "car"), ((4, 5, 6), "sky")]
    drawing = heat_map(names, names, [[0.88, 0.12], [float("nan"), float("nan")]], "confusion")
    assert re.findall(r">([0-9–]+)</text>", drawing) == ["88", "12", "–", "–"]
    assert "true car, predicted sky: 12.0%" in drawing and "no sky" in drawing


def test_heat_map_is_white_at_0_and_the_accent_colour_at_1():
    names = [((1, 2, 3), "a"), ((4, 5, 6), "b")]
    drawing = heat_map(names, names, [[1.0, 0.0], [0.0, 1.0]], "c")
    assert drawing.count('fill="rgb(11, 92, 173)"') == 2 and drawing.count('fill="rgb(255, 255, 255)"') == 2


def test_names_are_escaped(read_page):
    names = [((1, 2, 3), '<b>"')]
    drawing = heat_map(names, names, [[1.0]], '<b>"') + column_chart([Column(label="<b>", value=1, note="<b>")], "<b>")
    assert "<b>" not in drawing
    read_page(drawing)
