import pytest
from PIL import Image

from benchmarks.throughput.prediction import (
    Run,
    format_runs,
    measure_agreement,
    prepare_plain,
    prepare_segcore,
    write_model,
)
from segcore.data.listing import list_images
from segcore.data.sources.contest import IMAGES_FOLDER
from segcore.streets.synthetic import write_streets


def run(images_per_second, peak_mib):
    return Run(images_per_second=images_per_second, peak_mib=peak_mib)


def test_ratios_are_medians_of_pairs_of_runs():
    runs = {
        ("segcore", 1): [run(2, 100), run(3, 100), run(4, 50)],
        ("plain", 1): [run(1, 200), run(2, 300), run(1, 200)],
    }
    # Speeds 2/1, 3/2, 4/1; memory 2, 3, 4.
    segcore, plain, ratio = format_runs(runs)
    assert " ".join(segcore.split()) == "1 network(s) segcore 3.000 images/s (2.000 to 4.000) 100 MiB"
    assert " ".join(plain.split()) == "1 network(s) plain 1.000 images/s (1.000 to 2.000) 200 MiB"
    assert "2.00 times as fast (1.50 to 4.00), memory 3.00 times smaller" in ratio


@pytest.mark.parametrize("members", [1, 2])
def test_both_sides_give_the_same_masks(tmp_path, members):
    write_streets(tmp_path / "streets", cases=2, height=64, width=80, test_cases=0)
    files = list_images(tmp_path / "streets" / IMAGES_FOLDER)
    write_model(tmp_path / "model", members, "tf_efficientnet_lite0", 16)
    for name, prepare in (("segcore", prepare_segcore), ("plain", prepare_plain)):
        (tmp_path / name).mkdir()
        prepare(tmp_path / "model", tmp_path / name, 1)(files)
        assert len(list((tmp_path / name).iterdir())) == 2
    # Two libraries decode a JPEG, and rounding decides between classes that are equally probable.
    assert measure_agreement(tmp_path / "segcore", tmp_path / "plain") > 0.97


def test_agreement_is_the_share_of_equal_pixels(tmp_path):
    for name, colours in (("a", [(0, 0, 0), (9, 9, 9)]), ("b", [(0, 0, 0), (9, 9, 8)])):
        (tmp_path / name).mkdir()
        image = Image.new("RGB", (2, 1))
        image.putdata(colours)
        image.save(tmp_path / name / "street.png")
    assert measure_agreement(tmp_path / "a", tmp_path / "b") == 0.5
