import numpy as np
import pytest

from segcore.commands.data import submit
from segcore.data.classes import CONTEST_CLASSES
from segcore.errors import StorageError
from segcore.scoring.mask_files import save_mask, write_mask_notes


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("photo.png", r"photo\.png: a submission is JSON and nothing else; call it photo\.json"),
        ("masks/images.json", "says which images the masks are of, and is not written over; choose another name"),
    ],
)
def test_submission_takes_the_place_of_no_other_file(tmp_path, name, message):
    masks = tmp_path / "masks"
    masks.mkdir()
    write_mask_notes(masks, [tmp_path / "a.jpg"], CONTEST_CLASSES)
    save_mask(np.zeros((4, 4), np.uint8), masks / "a.png", CONTEST_CLASSES)
    (tmp_path / "photo.png").write_text("mine")
    before = (tmp_path / name).read_bytes()
    with pytest.raises(StorageError, match=message):
        submit(masks=masks, out=tmp_path / name)
    assert (tmp_path / name).read_bytes() == before
    submit(masks=masks, out=tmp_path / "new.JSON")
    assert (tmp_path / "new.JSON").read_text() == '{"a.jpg":{"car":{"0":[[0,3]],"1":[[0,3]],"2":[[0,3]],"3":[[0,3]]}}}'
