import pytest

from segcore.data.sources.pairing import Root, pair_roots


@pytest.fixture
def root(tmp_path):
    return Root(images=tmp_path / "images", masks=tmp_path / "masks")


@pytest.fixture
def touch(tmp_path):
    """Return a function that makes empty files: pairing reads none."""

    def touch(*files):
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()

    return touch


def _names(pairing):
    return [(pair.name, pair.image.name, pair.mask.name) for pair in pairing.pairs]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("x.jpg", "x.png"),
        ("x.jpg", "x_mask.png"),
        ("x.jpg", "x_L.png"),
        ("x.jpg", "x-mask.png"),
        ("x.png", "x_labelTrainIds.png"),
        ("x_leftImg8bit.png", "x_gtFine_labelIds.png"),
        ("x_sat.jpg", "x_mask.png"),
        ("x.png", "x_P.png"),
        ("x.jpg", "x_bin.png"),
        ("x_image.TIFF", "x_label.tiff"),
        ("x_RGB.tif", "x_Mask.PNG"),
        ("x.jpg", "x_segmentation.png"),
        ("x.y.jpg", "x.y.png"),
    ],
)
def test_masks_are_found_by_equal_names_or_known_endings(root, touch, image, mask):
    touch(f"images/{image}", f"masks/{mask}", f"images/a {image}", f"masks/a {mask}")
    found = pair_roots([root])
    stem = (
        image.rpartition(".")[0]
        .removesuffix("_leftImg8bit")
        .removesuffix("_sat")
        .removesuffix("_image")
        .removesuffix("_RGB")
    )
    assert _names(found) == [(f"a {stem}", f"a {image}", f"a {mask}"), (stem, image, mask)]
    assert found.problems == ()


def test_masks_of_two_cameras_are_no_masks_of_one_image(root, touch):
    """CamVid's ending is _L; _l and _r stand for left and right."""
    touch("images/a.jpg", "masks/a_l.png", "masks/a_r.png")
    found = pair_roots([root])
    assert found.pairs == () and len(found.problems) == 3


def test_of_two_endings_that_differ_in_case_alone_the_usual_one_is_taken(root, touch):
    touch("images/a.jpg", "masks/a_mask.png", "masks/a_MASK.png")
    assert _names(pair_roots([root])) == [("a", "a.jpg", "a_mask.png")]


def test_ending_is_said_and_so_is_what_has_another(root, touch):
    touch("images/a.jpg", "images/b.jpg", "masks/a_mask.png", "masks/b_mask.png", "masks/a_overlay.png")
    found = pair_roots([root])
    assert found.notes == (
        "names: x in images/ has the mask x_mask in masks/",
        "left out: 1 file of masks/ whose names do not end in _mask",
    )
    assert found.problems == ()


def test_image_without_the_ending_of_all_others_is_said(root, touch):
    touch(*(f"images/{name}_sat.jpg" for name in "ab"), "images/c.jpg", *(f"masks/{name}_mask.png" for name in "ab"))
    found = pair_roots([root])
    assert "left out: 1 file of images/ whose names do not end in _sat" in found.notes
    assert [pair.name for pair in found.pairs] == ["a", "b"]


def test_ending_that_pairs_most_is_taken(root, touch):
    touch("images/a.jpg", "images/b.jpg", "images/c.jpg", "masks/a.png", "masks/b_mask.png", "masks/c_mask.png")
    found = pair_roots([root])
    assert [pair.name for pair in found.pairs] == ["b", "c"]
    (problem,) = found.problems
    assert problem.startswith("a.jpg: no mask of that name in ")


def test_equal_names_are_preferred_to_endings(root, touch):
    touch("images/a.jpg", "masks/a.png", "masks/a_mask.png")
    found = pair_roots([root])
    assert _names(found) == [("a", "a.jpg", "a.png")]
    assert [problem.split(":")[0] for problem in found.problems] == ["a_mask.png"]


def test_what_shows_a_mask_or_its_objects_is_left_out_and_said(root, touch):
    touch("images/a.jpg", "masks/a.png", "masks/a_color.png", "masks/a_instanceIds.png", "masks/b_color.png")
    found = pair_roots([root])
    assert found.notes == ("left out: 2 files that show other masks or objects, such as a_color",)
    assert [problem.split(":")[0] for problem in found.problems] == ["b_color.png"]


def test_images_and_masks_without_the_other_are_problems(root, touch):
    touch("images/a.jpg", "images/b.jpg", "masks/a.png", "masks/c.png")
    found = pair_roots([root])
    assert found.problems == (
        f"b.jpg: no mask of that name in {root.masks}; add it, or take the image away",
        f"c.png: a mask without an image of that name in {root.images}; add it, or take the mask away",
    )


def test_names_that_differ_in_case_or_blanks_are_shown_beside_each_other(root, touch):
    touch("images/a 1.jpg", "images/b.jpg", "masks/A 1.png", "masks/b.png")
    found = pair_roots([root])
    assert [pair.name for pair in found.pairs] == ["b"]
    assert found.problems[0].endswith(f"{root.masks}, but 'A 1.png'; give both one name, letter by letter")
    assert found.problems[1].endswith(f"{root.images}, but 'a 1.jpg'; give both one name, letter by letter")


def test_masks_are_sought_at_the_same_place_below(root, touch):
    touch("images/a/x.jpg", "images/b/x.jpg", "masks/a/x.png", "masks/b/x.png")
    found = pair_roots([root])
    assert [(pair.name, pair.image.parent.name, pair.mask.parent.name) for pair in found.pairs] == [
        ("a_x", "a", "a"), ("b_x", "b", "b")
    ]  # fmt: skip
    assert [pair.group for pair in found.pairs] == ["a", "b"]


def test_equal_names_of_both_sides_are_told_apart_by_the_side(tmp_path, touch):
    touch("images/train/0.jpg", "images/val/0.jpg", "masks/train/0.png", "masks/val/0.png")
    roots = [
        Root(images=tmp_path / "images" / side, masks=tmp_path / "masks" / side, split=side)
        for side in ("train", "val")
    ]
    found = pair_roots(roots)
    assert [(pair.name, pair.split) for pair in found.pairs] == [("train_0", "train"), ("val_0", "val")]
    assert found.problems == ()


def test_equal_names_of_both_sides_and_two_folders_are_told_apart_by_both(tmp_path, touch):
    for side in ("train", "val"):
        touch(*(f"{part}/{side}/{folder}/0.png" for part in ("images", "masks") for folder in "ab"))
    roots = [
        Root(images=tmp_path / "images" / side, masks=tmp_path / "masks" / side, split=side)
        for side in ("train", "val")
    ]
    assert [pair.name for pair in pair_roots(roots).pairs] == ["train_a_0", "train_b_0", "val_a_0", "val_b_0"]


def test_names_that_joining_folders_makes_equal_are_problems(root, touch):
    touch(
        "images/a/b_x.jpg", "images/a_b/x.jpg", "images/a/x.jpg", "masks/a/b_x.png", "masks/a_b/x.png", "masks/a/x.png"
    )
    found = pair_roots([root])
    assert [problem.split(": ")[1] for problem in found.problems] == ["has the name of another image, 'x'; rename one"]


def test_name_that_cannot_be_used_is_a_problem(root, touch):
    touch("images/a\x1bb.jpg", "masks/a\x1bb.png", f"images/{'c' * 101}.jpg", f"masks/{'c' * 101}.png")
    found = pair_roots([root])
    assert any("holds a control character" in problem for problem in found.problems)
    assert any("has 101 characters; use at most 100" in problem for problem in found.problems)


def test_given_endings_are_the_only_ones(root, touch):
    touch("images/a_leftImg8bit.png", "masks/a_gtFine_labelIds.png", "masks/a_gtFine_color.png", "masks/a_gtFine_x.png")
    found = pair_roots([root], [("_leftImg8bit", "_gtFine_labelIds")])
    assert _names(found) == [("a", "a_leftImg8bit.png", "a_gtFine_labelIds.png")]


def test_link_to_a_folder_above_is_not_followed(root, touch):
    touch("images/a.jpg", "masks/a.png")
    (root.images / "round").symlink_to(root.images, target_is_directory=True)
    assert [pair.name for pair in pair_roots([root]).pairs] == ["a"]
