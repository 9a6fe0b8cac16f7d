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


def test_label_map_in_which_a_colour_is_called_void_counts_it_nowhere(put, tmp_path):
    mask = put(tmp_path / "masks/a.png", [[(0, 0, 0), (9, 8, 7), (250, 50, 83), (51, 221, 255)]])
    (tmp_path / "labelmap.txt").write_text("background:0,0,0::\nignore:9,8,7::\nroad:250,50,83::\ncar:51,221,255::\n")
    table = find_table(tmp_path, [mask])
    assert table.classes.names == ("background", "road", "car")
    assert table.classes.scored == ("road", "car")
    assert table.classes.void == ((9, 8, 7),)
    assert "void by their names: (9, 8, 7) (ignore)" in table.notes
    assert table.encoding.decode(mask).tolist() == [[0, 255, 1, 2]]


@pytest.mark.parametrize(
    ("numbers", "names", "doubted"),
    [
        ([0, 1, 255], "0: unlabeled\n1: person\n2: bicycle\n", True),
        ([0, 1, 2], "0: unlabeled\n1: person\n2: bicycle\n", False),
        ([1, 2, 255], "0: unlabeled\n1: person\n2: bicycle\n", False),
        ([0, 7, 255], "0: unlabeled\n7: person\n8: bicycle\n", False),
        ([0, 1, 255], "0: person\n1: bicycle\n2: unlabeled\n", False),
    ],
)
def test_list_with_void_first_may_be_one_off_where_masks_have_another_void(put, tmp_path, numbers, names, doubted):
    mask = put(tmp_path / "masks/a.png", [numbers])
    (tmp_path / "labels.txt").write_text(names)
    told = "; ".join(find_table(tmp_path, [mask]).notes)
    assert ("every class is read one off: then take unlabeled out of labels.txt, and its numbers" in told) == doubted
