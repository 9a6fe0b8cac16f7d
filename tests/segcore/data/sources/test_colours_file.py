"""Files that name the colours of masks; each has the colours of the classes as its program writes them."""

import pytest

from segcore.data.dataset import decode_case, read_dataset
from segcore.data.sources.colours_file import find_colours_file, read_colours
from segcore.errors import DataError

TEXTS = {
    "class_dict.csv": "\ufeffname, R, g, b\r\nroad,128,64,128\r\ncar, 0, 0, 142\r\nunlabeled,0,0,0\r\n",
    "label_colors.txt": "128 64 128\t\troad\n0 0 142\tcar\n0 0 0\tVoid\n",
    "labelmap.txt": "# label:color_rgb:parts:actions\nroad:128,64,128::\ncar:0,0,142::\n",
}


@pytest.mark.parametrize("name", TEXTS)
def test_colours_are_those_of_the_classes(tmp_path, name):
    (tmp_path / name).write_text(TEXTS[name], encoding="utf-8")
    file = find_colours_file(tmp_path)
    assert file == tmp_path / name
    table = read_colours(file)
    assert (table.names, table.colours) == (("road", "car"), ((128, 64, 128), (0, 0, 142)))
    assert table.void == (() if name == "labelmap.txt" else ((0, 0, 0),))


def test_background_is_not_scored_and_a_class_of_cvat_may_be_called_void(tmp_path):
    """Numbers count all of CVAT's lines: without that one, those behind it would be read one off."""
    (tmp_path / "labelmap.txt").write_text("background:0,0,0::\nvoid:9,9,9::\ncar:0,0,142::\n")
    table = read_colours(tmp_path / "labelmap.txt")
    assert (table.names, table.scored, table.void) == (("background", "void", "car"), ("void", "car"), ())


@pytest.mark.parametrize("name", ["Class_Dict.CSV", "class_dict_seg.csv", "label_class_dict.csv"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_class_dict_of_other_names_and_separators_is_read(tmp_path, name, separator):
    (tmp_path / name).write_text(TEXTS["class_dict.csv"].replace(",", separator), encoding="utf-8")
    assert read_colours(find_colours_file(tmp_path)).names == ("road", "car")


@pytest.mark.parametrize("name", TEXTS)
def test_masks_of_colours_in_two_folders_are_read_by_them(put_pair, tmp_path, name):
    put_pair(tmp_path / "images" / "a.png", tmp_path / "masks" / "a.png", [[(0, 0, 142), (128, 64, 128)]])
    (tmp_path / name).write_text(TEXTS[name], encoding="utf-8")
    dataset = read_dataset(tmp_path)
    assert decode_case(dataset.cases[0]).mask_HW.tolist() == [[1, 0]]
    assert f"classes: 2, named in {name}" in dataset.notes


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        (
            "class_dict.csv",
            "name,r,g\nroad,1,2\n",
            r"cannot be read \(its first line is 'name,r,g'\); it has the columns name,r,g,b",
        ),
        ("class_dict.csv", "name,r,g,b\nroad,1,2\n", r"cannot be read \(the line \['road', '1', '2'\]\); it has"),
        (
            "class_dict.csv",
            "name,r,g,b\nroad,1,2,300\ncar,1,2,3\n",
            r"cannot be used:\n  - a colour has a part outside",
        ),
        ("class_dict.csv", "name,r,g,b\nroad,1.0,2,3\n", r"cannot be read \('1\.0,2,3' are no three whole numbers"),
        ("labelmap.txt", "road:1,2::\n", r"cannot be read \('1,2' are no three whole numbers"),
        ("label_colors.txt", "1 2\troad\n", r"cannot be read \(the line '1 2\\troad'\); it has a line such as '64 128"),
        ("labelmap.txt", "road:#804080::\n", "cannot be read .*; it has a line such as 'road:128,64,128::'"),
    ],
)
def test_file_of_another_form_is_refused_with_the_form(tmp_path, name, text, told):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=rf"{name} {told}"):
        read_colours(tmp_path / name)
