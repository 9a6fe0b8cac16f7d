"""Masks of numbers by a list of names or a file of colours, for which palettes and greys stand, and no other number."""

import pytest

from segcore.data.sources.tables import find_table
from segcore.errors import DataError


def test_palette_is_read_by_the_colours_of_a_file(put, tmp_path):
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nroad,1,2,3\nsky,4,5,6\nvoid,9,9,9\n")
    mask = put(tmp_path / "a.png", [[0, 1, 2]], palette=[9, 9, 9, 4, 5, 6, 1, 2, 3])
    table = find_table(tmp_path, [mask])
    assert (table.classes.names, table.source) == (("road", "sky"), "class_dict.csv")
    assert table.encoding.decode(mask).tolist() == [[255, 1, 0]]


def test_greys_are_read_by_the_colours_of_a_file(put, tmp_path):
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nroad,200,200,200\nsky,100,100,100\n")
    mask = put(tmp_path / "a.png", [[100, 200]])
    assert find_table(tmp_path, [mask]).encoding.decode(mask).tolist() == [[1, 0]]


@pytest.mark.parametrize("palette", [(), [7, 7, 8] * 4])
def test_colours_of_a_file_that_no_number_stands_for_name_nothing(put, tmp_path, palette):
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nroad,1,2,3\nsky,4,5,6\n")
    table = find_table(tmp_path, [put(tmp_path / "a.png", [[0, 3]], palette=palette)])
    assert (table.classes.names, table.source) == (("background", "class_3"), "")


def test_colour_that_a_file_lacks_is_named_with_the_file(put, tmp_path):
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nroad,1,2,3\nsky,4,5,6\n")
    mask = put(tmp_path / "a.png", [[0, 1]], palette=[0, 0, 0, 1, 2, 3])
    with pytest.raises(DataError, match=r"number 1 of the masks is road, and number 0 no class.* add it to class_dict"):
        find_table(tmp_path, [mask])


def test_a_list_of_names_goes_before_a_file_of_colours(put, tmp_path):
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nroad,1,2,3\nsky,4,5,6\n")
    (tmp_path / "names.txt").write_text("sky\nroad\n")
    mask = put(tmp_path / "a.png", [[0, 1]], palette=[1, 2, 3, 4, 5, 6])
    assert find_table(tmp_path, [mask]).classes.names == ("sky", "road")


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("Void\nroad\nsky\n", "0 (Void)"),
        ("1 road\n2 sky\n0 unlabeled\n", "0 (unlabeled)"),
        ("__ignored__\nroad\nsky\nvoid\n", "0 (__ignored__), 3 (void)"),
    ],
)
def test_number_that_a_list_calls_void_counts_nowhere(put, tmp_path, names, told):
    (tmp_path / "names.txt").write_text(names)
    table = find_table(tmp_path, [mask := put(tmp_path / "a.png", [[0, 1, 2, 255]])])
    assert (table.classes.names, table.classes.scored) == (("road", "sky"), ("road", "sky"))
    assert (table.classes.ids, table.encoding.decode(mask).tolist()) == ((1, 2), [[255, 0, 1, 255]])
    assert f"void by their names: {told}" in table.notes


def test_void_beside_one_class_is_everything_else(put, tmp_path):
    (tmp_path / "names.txt").write_text("void\nroad\n")
    table = find_table(tmp_path, [mask := put(tmp_path / "a.png", [[0, 1]])])
    assert (table.classes.names, table.encoding.decode(mask).tolist()) == (("void", "road"), [[0, 1]])
