import json

import cv2
import numpy as np
import pytest

from benchmarks.quality.shrinking import main, shrink
from segcore.data.dataset import read_dataset
from segcore.errors import DataError


def test_image_is_averaged_and_mask_keeps_its_colours(tmp_path):
    data, out = tmp_path / "data", tmp_path / "out"
    for name in ("seg_train_images", "seg_train_annotations"):
        (data / name).mkdir(parents=True)
    grey_HW = np.array([[0, 20, 100, 100], [40, 60, 100, 100]], np.uint8)
    cv2.imwrite(str(data / "seg_train_images" / "a.bmp"), np.repeat(grey_HW[..., None], 3, axis=2))
    # Car is 0, 0, 255 and pedestrian 255, 0, 0; OpenCV writes blue first.
    mask_HW3 = np.array([[[255, 0, 0]] * 2 + [[0, 0, 255]] * 2] * 2, np.uint8)
    cv2.imwrite(str(data / "seg_train_annotations" / "a.png"), mask_HW3)
    facts = {"attributes": {"route": "r", "timeofday": "day"}, "frameIndex": 1}
    (data / "seg_train_annotations" / "a.json").write_text(json.dumps(facts))
    main(["--data", str(data), "--factor", "2", "--out", str(out)])
    assert cv2.imread(str(out / "seg_train_images" / "a.png"), cv2.IMREAD_GRAYSCALE).tolist() == [[30, 100]]
    assert cv2.imread(str(out / "seg_train_annotations" / "a.png")).tolist() == [[[255, 0, 0], [0, 0, 255]]]
    assert [(case.name, case.frame) for case in read_dataset(out).cases] == [("a", 1)]


def test_another_layout_and_a_copy_that_exists_are_refused(tmp_path):
    with pytest.raises(DataError, match="contest's layout"):
        shrink(tmp_path, 2, tmp_path / "out")
    (tmp_path / "seg_train_images").mkdir()
    with pytest.raises(DataError, match="exists"):
        shrink(tmp_path, 2, tmp_path)
