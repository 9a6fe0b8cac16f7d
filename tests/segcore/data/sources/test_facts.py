import json
from unicodedata import normalize

import pytest

from segcore.data.case import Case
from segcore.data.sources.facts import add_facts
from segcore.errors import DataError
from tests.conftest import ENCODING


def _case(folder, name, **known):
    return Case(**{
        "name": name, "image": folder / f"{name}.jpg", "mask": folder / f"{name}.png", "encoding": ENCODING,
        "group": "all", **known,
    })  # fmt: skip


def _facts(cases):
    return [(case.name, case.group, case.condition, case.frame, case.split) for case in cases]


def test_without_facts_cases_stay_and_everything_unknown_is_said(tmp_path):
    cases, problems, notes = add_facts(tmp_path, [_case(tmp_path, "a"), _case(tmp_path, "b")])
    assert _facts(cases) == [("a", "all", "", None, ""), ("b", "all", "", None, "")]
    assert problems == []
    assert notes == [
        "groups: none; folders of the images, or a cases.csv, may give them: images of one drive then stay in one fold",
        "conditions: none; a cases.csv may give them",
        "frames: 0 of 2 images have one; each image stands alone in the folds",
    ]


def test_cases_csv_gives_any_of_the_facts_and_empty_ones_change_nothing(tmp_path):
    (tmp_path / "cases.csv").write_text(
        'split,name,frame,group,condition\ntrain,a,12,"drive 1, north",night\nval, b ,-3,,\n,c,,,rain\n'
    )
    cases = [_case(tmp_path, name, group="folder", frame=1) for name in "abc"]
    known, problems, notes = add_facts(tmp_path, cases)
    assert _facts(known) == [
        ("a", "drive 1, north", "night", 12, "train"),
        ("b", "folder", "", -3, "val"),
        ("c", "folder", "rain", 1, ""),
    ]
    assert problems == []
    assert notes == [
        "groups: drive 1, north, folder",
        "conditions: night, rain",
        "frames: 3 of 3 images have one",
        "split that came with the data: 1 train, 1 val (--split official)",
    ]


def test_images_of_the_test_split_are_left_out_and_counted(tmp_path):
    (tmp_path / "cases.csv").write_text("Name,Split\na,Testing\nb,Train\n")
    known, problems, notes = add_facts(tmp_path, [_case(tmp_path, "a"), _case(tmp_path, "b")])
    assert [case.name for case in known] == ["b"]
    assert problems == []
    assert notes[-1] == "left out: 1 image of the split test"


def test_where_all_images_are_for_testing_nothing_else_is_said(tmp_path):
    (tmp_path / "cases.csv").write_text("name,split\na,test\n")
    assert add_facts(tmp_path, [_case(tmp_path, "a")]) == ([], [], ["left out: 1 image of the split test"])


def test_document_beside_an_image_gives_facts_and_cases_csv_is_heard_first(tmp_path):
    document = {"group": "g", "condition": "fog", "frame": 4, "split": "val", "shapes": [], "flags": None}
    (tmp_path / "a.json").write_text(json.dumps(document), encoding="utf-8-sig")
    (tmp_path / "cases.csv").write_text("name,condition\na,rain\n")
    known, problems, _ = add_facts(tmp_path, [_case(tmp_path, "a")])
    assert _facts(known) == [("a", "g", "rain", 4, "val")]
    assert problems == []


def test_document_of_another_program_says_nothing(tmp_path):
    (tmp_path / "a.json").write_text('{"version": "5.0", "group": null, "frame": null}')
    (tmp_path / "b.json").write_text("[1, 2]")
    known, problems, _ = add_facts(tmp_path, [_case(tmp_path, "a"), _case(tmp_path, "b")])
    assert _facts(known) == [("a", "all", "", None, ""), ("b", "all", "", None, "")]
    assert problems == []


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe{", b"[" * 100_000, b'{"frame": 1, "frame": 2}'])
def test_document_that_cannot_be_read_is_named(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    _, problems, _ = add_facts(tmp_path, [_case(tmp_path, "a")])
    assert len(problems) == 1 and problems[0].startswith("a.json: cannot be read (")


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"group": 3}, "a: group is 3, not a text"),
        ({"group": " "}, "a: group ' ' is blank; give it letters"),
        ({"condition": ["night"]}, "a: condition is ['night'], not a text"),
        ({"condition": "x" * 101}, f"a: condition '{'x' * 40}'... has 101 characters; use at most 100"),
        ({"frame": 1.5}, "a: frame is 1.5, not a whole number"),
        ({"frame": True}, "a: frame is True, not a whole number"),
        ({"frame": "--5"}, "a: frame is '--5', not a whole number"),
        ({"frame": "9" * 30}, f"a: frame is '{'9' * 30}', not a whole number"),
        ({"split": "dev"}, "a: split is 'dev'; use train, val or test, or leave it empty"),
        ({"split": ["train"]}, "a: split is ['train']; use train, val or test, or leave it empty"),
        ({"split": {}}, "a: split is {}; use train, val or test, or leave it empty"),
    ],
)
def test_fact_that_cannot_be_is_named_and_its_image_left_out(tmp_path, facts, problem):
    (tmp_path / "a.json").write_text(json.dumps(facts))
    known, problems, _ = add_facts(tmp_path, [_case(tmp_path, "a"), _case(tmp_path, "b")])
    assert [case.name for case in known] == ["b"]
    assert problems == [f"{problem}; if another program wrote a.json, move it away"]


def test_fact_that_cannot_be_of_the_table_blames_no_document(tmp_path):
    (tmp_path / "cases.csv").write_text("name,frame\na,x\n")
    (tmp_path / "a.json").write_text('{"frame": 3}')
    assert add_facts(tmp_path, [_case(tmp_path, "a")])[1] == ["a: frame is 'x', not a whole number"]


def test_names_may_be_written_with_suffix_and_in_either_form_of_a_letter(tmp_path):
    composed, divided = (normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))
    (tmp_path / "cases.csv").write_text(f"name,group\n{divided},g\nb.JPG,h\nc.d,i\n", encoding="utf-8-sig")
    known, problems, _ = add_facts(tmp_path, [_case(tmp_path, name) for name in (composed, "b", "c.d")])
    assert [case.group for case in known] == ["g", "h", "i"]
    assert problems == []


def test_names_that_no_image_has_are_counted(tmp_path):
    (tmp_path / "cases.csv").write_text("name,group\n" + "".join(f"{letter},g\n" for letter in "abcdefgh"))
    _, problems, _ = add_facts(tmp_path, [_case(tmp_path, "a")])
    assert problems == ["cases.csv: 7 names that no image has, to be taken out: b, c, d, e, f and 2 more"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "has the columns ; its first line names the columns"),
        ("group\ng\n", "has the columns group; its first line names the columns, with commas between: name"),
        ("name;group\na;g\n", "has the columns name;group; "),
        ("name,route\na,g\n", "has the columns name, route; "),
        ("name,group,group\na,g,h\n", "has the columns name, group, group; "),
        ("name,group\na,g,h\n", "line 2: has another number of values than columns"),
        ("name,group\na\n", "line 2: has another number of values than columns"),
        ("name,group\na,g\na,h\n", "line 3: the name 'a' is empty or was given before"),
        ("name,group\na,g\na.png,h\n", "line 3: the name 'a' is empty or was given before"),
        ("name,group\n,g\n", "line 2: the name '' is empty"),
        ('name,group\na,"g\n', "cannot be read"),
    ],
)
def test_table_that_is_not_of_the_form_is_refused_with_what_is_wrong(tmp_path, content, complaint):
    (tmp_path / "cases.csv").write_text(content)
    with pytest.raises(DataError) as caught:
        add_facts(tmp_path, [_case(tmp_path, "a")])
    assert complaint in str(caught.value) and "cases.csv" in str(caught.value)


def test_table_that_is_no_text_or_no_file_is_refused(tmp_path):
    (tmp_path / "cases.csv").write_bytes(b"name,group\n\xff,g\n")
    with pytest.raises(DataError, match=r"cases\.csv cannot be read"):
        add_facts(tmp_path, [])
    (tmp_path / "cases.csv").unlink()
    (tmp_path / "cases.csv").mkdir()
    with pytest.raises(DataError, match=r"cases\.csv is no regular file"):
        add_facts(tmp_path, [])


def test_long_lists_are_told_in_short(tmp_path):
    cases = [_case(tmp_path, str(number), group=f"g{number}") for number in range(8)]
    assert add_facts(tmp_path, cases)[2][0] == "groups: g0, g1, g2, g3, g4 and 3 more"


def test_a_split_of_one_side_is_told_and_not_offered(tmp_path):
    cases = [_case(tmp_path, "a", split="val")]
    _, _, notes = add_facts(tmp_path, cases)
    assert "split that came with the data: 0 train, 1 val" in notes
