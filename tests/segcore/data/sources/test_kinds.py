import numpy as np
import pytest
from PIL import Image

from segcore.data.sources.kinds import count_codes, find_kind, require_one_reading
from segcore.errors import DataError

GREY = np.array([[0, 7], [7, 255]], np.uint8)


def save(folder, name, image):
    image.save(folder / name)
    return folder / name


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(GREY),
        Image.fromarray(GREY.astype(np.uint16) * 100),
        Image.fromarray(GREY > 0),
        Image.fromarray(GREY.astype(np.float32)),
        Image.fromarray(np.repeat(GREY[..., None], 3, axis=2)),
    ],
    ids=["8 bits", "16 bits", "1 bit", "floating point", "colours that are grey"],
)
def test_files_of_grey_levels_hold_numbers(tmp_path, image):
    assert find_kind([save(tmp_path, "a.tif", image)]) == ("index", ())


def test_one_coloured_pixel_makes_them_colours(tmp_path):
    colours_HW3 = np.repeat(GREY[..., None], 3, axis=2)
    colours_HW3[0, 0] = (1, 2, 3)
    assert find_kind([save(tmp_path, "a.png", Image.fromarray(colours_HW3))]) == ("rgb", ())


@pytest.mark.parametrize("coloured", [1, 39])
def test_one_mask_with_colours_among_black_ones_is_found(tmp_path, coloured):
    """Lanes may be in few images, and a sample of masks black."""
    black_HW3 = np.zeros((2, 2, 3), np.uint8)
    masks = [save(tmp_path, f"{number:02}.png", Image.fromarray(black_HW3)) for number in range(40)]
    assert find_kind(masks) == ("index", ())
    black_HW3[0, 0] = (255, 0, 0)
    save(tmp_path, masks[coloured].name, Image.fromarray(black_HW3))
    assert find_kind(masks) == ("rgb", ())


def test_numbers_are_counted_over_all_masks_that_can_be_read(tmp_path):
    masks = [save(tmp_path, f"{name}.png", Image.fromarray(GREY)) for name in "ab"]
    (tmp_path / "c.png").write_bytes(b"no image")
    assert count_codes([*masks, tmp_path / "c.png"], "index") == {0: 2, 7: 4, 255: 2}


def test_masks_of_which_none_can_be_read_are_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    for read in (find_kind, lambda masks: count_codes(masks, "index")):
        with pytest.raises(DataError, match=r"a\.png: cannot be decoded"):
            read([tmp_path / "a.png"])


def test_one_palette_of_many_that_is_unlike_the_others_makes_them_colours(tmp_path):
    """Its numbers mean other classes, and only its colours say so."""
    masks = []
    for number in range(40):
        image = Image.fromarray(GREY > 0).convert("P")
        image.putpalette([0, 0, 0, 200, 0, 0] if number != 21 else [200, 0, 0, 0, 0, 0])
        masks.append(save(tmp_path, f"{number:02}.png", image))
    assert find_kind(masks) == ("rgb", ())
    assert find_kind(masks[:21])[0] == "index"


ROAD = np.array([[0, 1], [1, 1]], np.uint8)


@pytest.mark.parametrize(
    "whole", [Image.fromarray(ROAD * 255), Image.fromarray(np.repeat(ROAD[..., None] * 255, 3, 2))]
)
def test_one_bit_among_masks_of_0_and_255_is_refused(tmp_path, whole):
    """A program that makes files smaller keeps 0 and 255 as one bit; read as 0 and 1, 255 elsewhere would be void."""
    masks = [save(tmp_path, "a.png", whole), save(tmp_path, "b.png", Image.fromarray(ROAD.astype(bool)))]
    told = r"1 of the masks, b\.png first, have bits a pixel: 1, and others 8; whether their 1 means 1, or 255 as in"
    with pytest.raises(DataError, match=told):
        find_kind(masks)
    with pytest.raises(DataError, match=told):
        require_one_reading(masks, "index")


def test_one_bit_is_taken_as_numbers_where_no_other_mask_has_its_level(tmp_path):
    masks = [save(tmp_path, "a.png", Image.fromarray(ROAD * 2)), save(tmp_path, "b.png", Image.fromarray(ROAD > 0))]
    assert find_kind(masks) == ("index", ())
    # Nothing is read of a mask that cannot be, and who decodes it says so.
    (tmp_path / "c.png").write_bytes(b"no image")
    require_one_reading([*masks, tmp_path / "c.png"], "index")
