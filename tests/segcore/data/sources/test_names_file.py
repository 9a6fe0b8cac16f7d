"""Lists of names: each line's number is known, or the file is refused; a list misread shifts every class."""

import pytest

from segcore.data.sources.names_file import find_names_file, read_names
from segcore.errors import DataError


def read(folder, text):
    (folder / "names.txt").write_text(text, encoding="utf-8")
    return read_names(folder / "names.txt")


@pytest.mark.parametrize(
    "text",
    [
        "7 road\n26 car\n",
        "7: road\n26: car",
        "7,road\n26,car",
        "07\troad\n26\tcar\n",
        "7=road\n26=car",
        "7. road\n26. car",
        "7) road\n26) car",
        "[7] road\n[26] car",
        "7 - road\n26 - car",
        "7 -> road\n26 => car",
        "7|road\n26 | car",
        "\ufeff# id name\r\n7 road\r\n26 car\r\n255 void\r\n",
    ],
)
def test_number_before_each_name_is_taken_however_it_is_set_apart(tmp_path, text):
    assert read(tmp_path, text) == (("road", "car"), (7, 26))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("road\ncar\n\n", ("road", "car")),
        ("__ignore__\n_background_\nroad", ("_background_", "road")),
        # Numbers that belong to the name.
        ("road\n2 wheeler\n", ("road", "2 wheeler")),
        ("lane 1\nlane 2\nlane 3", ("lane 1", "lane 2", "lane 3")),
        ("1.5 t truck\n4-wheeler\nroad", ("1.5 t truck", "4-wheeler", "road")),
        ("class 0\nclass 1", ("class 0", "class 1")),
        ("2-wheeler\n4-wheeler", ("2-wheeler", "4-wheeler")),
        ("road 0\ncar 1", ("road 0", "car 1")),
        ("name plate\nroad", ("name plate", "road")),
        ("b\ng", ("b", "g")),
        ("Curb, Cut\nroad", ("Curb, Cut", "road")),
    ],
)
def test_names_alone_are_of_the_numbers_in_order(tmp_path, text, names):
    assert read(tmp_path, text) == (names, ())


def test_list_is_found_whatever_the_case_of_its_letters(tmp_path):
    (tmp_path / "Names.TXT").write_text("road\ncar\n")
    assert find_names_file(tmp_path) == tmp_path / "Names.TXT"
    (tmp_path / "names.txt").write_text("car\nroad\n")
    with pytest.raises(DataError, match=r"has names\.txt and Names\.TXT, which do not name the same classes"):
        find_names_file(tmp_path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("id,name\n0,road\n1,car", "line 1, 'id,name', is a heading and no class"),
        ("Idx\tName\n0\troad\n1\tcar", "is a heading and no class"),
        ("Idx\tRatio\tStuff\tName\n1\t0.16\t1\twall\n2\t0.11\t1\tsky", "others do not, as 'Idx\\tRatio"),
        ("name\nroad\ncar", "line 1, 'name', is a heading and no class"),
        ("class_name;r;g;b\nroad;1;2;3", "is a heading and no class"),
        ("0 road\n1 car\nsky\n", "begin with a number, as '0 road', and others do not, as 'sky'"),
        ("other\n1: car", "begin with a number, as '1: car', and others do not, as 'other'"),
        ("road,7\ncar,26", "have the number behind the name, as 'road,7'"),
        ("road: 0\ncar: 1", "have the number behind the name, as 'road: 0'"),
        ("road 7\ncar 26", "have the number behind the name, as 'road 7'"),
        ("7.0 road\n26.0 car", "begin with a number of another form, as '7.0 road'"),
        ('"7","road"\n"26","car"', 'begin with a number of another form, as \'"7","road"\''),
        ("(7) road\n(26) car", "begin with a number of another form, as '(7) road'"),
        ("128 64 128 road\n0 0 142 car", "have colours, as '128 64 128 road'"),
        ("road 128 64 128\ncar 0 0 142", "have colours, as 'road 128 64 128'"),
        ("road,128,64,128\ncar,0,0,142", "have colours, as 'road,128,64,128'"),
        ('["road", "car"]', "is a list"),
        ('"road",\n"car"\n', "have dashes, quotes or commas, as '\"road\",'"),
        ("- road\n- car\n", "have dashes, quotes or commas, as '- road'"),
        ("road,\ncar,\nsky", "have dashes, quotes or commas, as 'road,'"),
        ("road\n\ncar\n", "the line behind 'road' is empty: take it out, or name its number"),
        ("road, car, sky", "its only line, 'road, car, sky', is a list"),
    ],
)
def test_lines_of_which_nobody_knows_the_numbers_are_refused(tmp_path, text, told):
    with pytest.raises(DataError) as caught:
        read(tmp_path, text)
    assert told in str(caught.value) and "or each with its number: '7 road'" in str(caught.value)


def test_long_lines_take_no_time(tmp_path):
    names, numbers = read(tmp_path, f"a{' ' * 200_000}b\nroad")
    assert (len(names), numbers) == (2, ())


def test_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "names.txt").write_bytes(b"road\xff")
    with pytest.raises(DataError, match=r"names\.txt cannot be read"):
        read_names(tmp_path / "names.txt")


def test_two_lists_are_read_where_they_are_the_same_and_refused_where_nobody_can_tell_which_is_meant(tmp_path):
    (tmp_path / "names.txt").write_text("road\ncar\n")
    (tmp_path / "labels.txt").write_text("road\r\ncar")
    assert find_names_file(tmp_path) == tmp_path / "names.txt"
    (tmp_path / "labels.txt").write_text("car\nroad\n")
    with pytest.raises(DataError, match=r"has names\.txt and labels\.txt, which do not name the same classes; move"):
        find_names_file(tmp_path)


def test_list_among_the_masks_is_read_where_none_lies_in_their_folder_and_no_other_folders(tmp_path):
    masks = [tmp_path / "masks" / side / "a.png" for side in ("train", "val")]
    for mask in masks:
        mask.parent.mkdir(parents=True)
    (tmp_path / "boxes").mkdir()
    (tmp_path / "boxes" / "classes.txt").write_text("car\nroad\n")
    assert find_names_file(tmp_path, masks) is None
    (tmp_path / "masks" / "names.txt").write_text("road\ncar\n")
    assert find_names_file(tmp_path, masks) == tmp_path / "masks" / "names.txt"
    (tmp_path / "masks" / "val" / "labels.txt").write_text("car\nroad\n")
    with pytest.raises(DataError, match=r"has masks/names\.txt and masks/val/labels\.txt, which do not name the same"):
        find_names_file(tmp_path, masks)
    (tmp_path / "classes.txt").write_text("sky\nroad\n")
    assert find_names_file(tmp_path, masks) == tmp_path / "classes.txt"


def test_list_that_roboflow_writes_into_each_side_is_read_without_its_heading(tmp_path):
    for side in ("train", "valid"):
        (tmp_path / side).mkdir()
        (tmp_path / side / "_classes.csv").write_text("Pixel Value, Class\n0, background\n7, road\n")
    file = find_names_file(tmp_path)
    assert file == tmp_path / "train/_classes.csv"
    assert read_names(file) == (("background", "road"), (0, 7))


def test_sides_that_name_other_classes_are_refused(tmp_path):
    for side in ("train", "valid"):
        (tmp_path / side).mkdir()
        (tmp_path / side / "_classes.csv").write_text(f"Pixel Value, Class\n0, {side}\n7, road\n")
    with pytest.raises(DataError, match=r"has train/_classes\.csv and valid/_classes\.csv, which do not name the same"):
        find_names_file(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "objectInfo150.txt",
            "Idx\tRatio\tTrain\tVal\tStuff\tName \r\n1\t0.1576\t11664\t1172\t1\twall \r\n"
            "75\t0.0\t9\t1\t0\tscreen door, screen\n",
        ),
        (
            "object150_info.csv",
            "Idx,Ratio,Train,Val,Stuff,Name\n1,0.1576,11664,1172,1,wall\n75,0,9,1,0,screen door;screen\n",
        ),
    ],
)
def test_table_of_ade20k_gives_each_number_its_first_name(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    file = find_names_file(tmp_path)
    assert file == tmp_path / name
    assert read_names(file) == (("wall", "screen door"), (1, 75))


def test_table_of_ade20k_with_a_line_of_another_form_is_refused(tmp_path):
    (tmp_path / "objectInfo150.txt").write_text("Idx\tRatio\tTrain\tVal\tStuff\tName\n1\t0.1\t9\t1\t1\twall\n2\tsky\n")
    with pytest.raises(DataError, match="others do not, as 'Idx"):
        read_names(tmp_path / "objectInfo150.txt")
