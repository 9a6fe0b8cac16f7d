import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from segcore.__main__ import app
from segcore.data.dataset import read_dataset
from segcore.data.dividing.division import Division
from segcore.data.dividing.split import FoldSplit, write_folds
from segcore.errors import DataError, StorageError
from segcore.insight.explore import explore_dataset
from segcore.insight.explore_page import render_exploration


def run(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def render(folder, folds=2):
    return render_exploration(
        explore_dataset(folder, Division(kind="folds", folds=folds), lambda done, total: None), "<i>data</i>"
    )


def test_page_shows_everything_that_is_in_the_data(dataset_folder, tmp_path, read_page):
    out = tmp_path / "new" / "folder" / "page.html"
    result = run("explore", dataset_folder, out, "--folds", 3)
    assert result.exit_code == 0, result.output
    page = out.read_text(encoding="utf-8")
    text = read_page(page)
    for said in ("No problem found.", "No image occurs twice.", "96 x 64", "4, 2 scored", "Tokyo1, day", "fold 2"):
        assert said in text, said
    # Twelve images over two groups and two conditions, three of each; 4 x 4 pixels of 64 x 96 are void.
    assert "group day night all Saitama 3 3 6 Tokyo1 3 3 6 all groups 6 6 12" in text
    assert "(void) 0.26% 12 100%" in text
    assert page.count("<img ") == 12 + 4 * 2


def test_folds_of_a_search_are_shown_with_a_total_for_each_condition(dataset_folder, tmp_path, read_page):
    """Of its folds.json; the first six images, three of each condition, are in fold 0."""
    cases = sorted(read_dataset(dataset_folder).cases, key=lambda case: (case.condition, case.name))
    first = {case.name for case in (*cases[:3], *cases[6:9])}
    fold_of = {case.name: int(case.name not in first) for case in cases}
    blocks = {name: name for name in fold_of}
    write_folds(FoldSplit(folds=2, fold_of=fold_of, block_of=blocks), tmp_path / "folds.json")
    done = run("explore", dataset_folder, tmp_path / "page.html", "--folds-file", tmp_path / "folds.json")
    assert done.exit_code == 0, done.output
    text = read_page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "all groups, day 3 3 6 all groups, night 3 3 6 all images 6 6 12" in text
    assert "Folds given by --folds-file: 6, 6 cases in 2 folds." in text


def test_gaps_between_frames_are_shown(dataset_folder, read_page):
    # Frames 0, 40, 80 and so on, in each group and condition.
    assert "Tokyo1 day 3 40 40 40" in read_page(render(dataset_folder))


def test_gaps_of_a_million_frames_are_written_out(make_dataset, read_page):
    folder = make_dataset(*[(32, 48)] * 3)
    for number, frame in enumerate((19, 1_000_019, 3_000_020)):
        file = folder / "seg_train_annotations" / f"train_{number:04}.json"
        said = {"attributes": {"route": "Tokyo1", "timeofday": "day"}, "frameIndex": frame}
        file.write_text(json.dumps(said))
    assert "Tokyo1 day 3 1,000,000 1,500,000.5 2,000,001" in read_page(render(folder))


def test_data_without_groups_conditions_and_frames_has_no_empty_table_and_no_row_twice(make_dataset, read_page):
    folder = make_dataset(*[(32, 48)] * 6)
    for file in (folder / "seg_train_annotations").glob("*.json"):
        file.unlink()
    (folder / "seg_train_images").rename(folder / "images")
    (folder / "seg_train_annotations").rename(folder / "masks")
    text = read_page(render(folder))
    assert "No image has a frame number." in text and "smallest gap" not in text
    assert "group (not known) all all 6 6 How near" in text
    assert "groups none conditions none problems 0" in text
    assert "fold 0 fold 1 all all 3 3 6 Share of pixels" in text


def test_problems_and_twins_are_shown(make_dataset, read_page):
    folder = make_dataset(*[(32, 48)] * 6)
    (folder / "seg_train_annotations" / "train_0000.png").unlink()
    (folder / "seg_train_images" / "train_0001.jpg").write_bytes(
        (folder / "seg_train_images" / "train_0002.jpg").read_bytes()
    )
    page = render(folder)
    text = read_page(page)
    assert "1 problem; an image that has one is left out below." in text and "train_0000.png: missing" in text
    assert "train_0001, train_0002" in text
    assert page.count('class="warning"') == 1


def test_names_from_the_data_are_escaped(make_dataset, read_page):
    folder = make_dataset()
    table = json.loads((folder / "classes.json").read_text())
    table["classes"][1]["name"] = table["scored"][0] = "<b>"
    (folder / "classes.json").write_text(json.dumps(table))
    for file in (folder / "seg_train_annotations").glob("*.json"):
        file.write_text(file.read_text().replace("Tokyo1", "<script>alert(1)</script>"))
    page = render(folder)
    assert "<b>*" not in page and "<b>:" not in page and "<i>data" not in page and "<script>alert" not in page
    text = read_page(page)
    assert "<b> *" in text and "What is in <i>data</i>" in text and "<script>alert(1)</script>, day" in text


def test_data_that_cannot_be_divided_has_a_page_all_the_same(make_dataset, read_page):
    text = read_page(render(make_dataset(*[(32, 48)] * 3), folds=9))
    assert "Folds cannot be made, see the problems." in text
    assert "folds=9: the data has only" in text


@pytest.mark.parametrize(
    ("data", "out", "error", "message"),
    [
        ("nothing", "page.html", DataError, "is no data set"),
        ("data", ".", StorageError, "is a folder; give the name of a file"),
    ],
)
def test_mistakes_are_said_in_one_line(make_dataset, tmp_path, data, out, error, message):
    make_dataset()
    result = run("explore", tmp_path / data, tmp_path / out)
    assert isinstance(result.exception, error)
    assert message in str(result.exception) and "\n" not in str(result.exception)


def test_page_says_what_a_smaller_size_can_reach(dataset_folder, read_page):
    exploration = explore_dataset(dataset_folder, Division(kind="folds", folds=3), lambda done, total: None)
    assert [ceiling.scale for ceiling in exploration.ceilings] == [0.25, 0.5, 0.75]
    row = exploration.ceilings[1]
    assert f"0.5 {row.metrics['iou']:.3f} {row.metrics['miou']:.3f}" in read_page(render_exploration(exploration, "x"))


def test_many_warnings_scroll_by_themselves(tmp_path, read_page):
    """Of twelve classes, each in one image and one fold alone."""
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for number in range(12):
        colours_HW3 = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(colours_HW3).save(tmp_path / f"images/{number}.png")
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(tmp_path / f"masks/{number}.png")
    page = render(tmp_path)
    assert page.count('class="warning"') == 12 and '<div class="tall"><p class="warning">' in page
