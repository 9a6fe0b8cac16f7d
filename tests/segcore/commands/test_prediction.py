import io

import pytest
from rich.console import Console

from segcore.commands.prediction import predict, read_way, tune_predict, tune_table
from segcore.errors import ConfigError, DataError
from segcore.prediction.options import PredictOptions
from segcore.prediction.tune_ways import Measured


def measured(score: float, milliseconds: float, **options: object) -> Measured:
    """Scored on three images."""
    images = {name: score + more for name, more in (("a", -0.01), ("b", 0.0), ("c", 0.02))}
    return Measured(
        options=PredictOptions(**options),
        members=10,
        score=score,
        image_scores=images,
        metrics={"iou": score, "miou": score / 2},
        milliseconds=milliseconds,
    )


@pytest.mark.parametrize("width", [80, 120])
def test_table_of_ways_to_predict_cuts_no_number_short(width):
    now, best = measured(0.2341, 53.8), measured(0.2434, 12152.1, mode="full", flip=True, scales=(0.75, 1.0, 1.25))
    shown = io.StringIO()
    Console(width=width, file=shown).print(tune_table([now, best], [], best, now, "iou"))
    told = shown.getvalue()
    for text in ("0.2341", "0.2434", "0.1217", "53.8", "12152.1", "+0.0093", "Pareto"):
        assert text in told, told
    assert max(map(len, told.splitlines())) <= width


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mode": "whole"}, "mode='whole' is no prediction option"),
        ({"overlap": 0.95}, "overlap=0.95 is no share of a tile between 0 and 0.9"),
        ({"scales": "1,nan"}, "are not one or more numbers over 0 and at most 4"),
    ],
)
def test_way_that_no_model_can_predict_in_is_refused_without_one(given, message):
    nothing = dict.fromkeys(("mode", "scale", "tile_size", "overlap", "flip", "scales"))
    with pytest.raises(ConfigError, match=message):
        read_way(**{**nothing, **given}, clean=True)


@pytest.mark.parametrize("part", ["masks", "overlays"])
def test_images_in_a_folder_of_the_results_are_not_written_over(part, tmp_path):
    (tmp_path / part).mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / part / "a.png").touch()
    for images, out in ((tmp_path / part, tmp_path), (tmp_path / part, tmp_path / "link")):
        with pytest.raises(DataError, match=f"{part} holds the images, and what is predicted would take their places"):
            predict(
                model=tmp_path / "no model",
                images=images,
                out=out,
                overlays=True,
                mode=None,
                scale=None,
                tile_size=None,
                overlap=None,
                flip=None,
                scales=None,
                clean=True,
                device="cpu",
                cpus=1,
            )


@pytest.mark.parametrize("milliseconds", ["0", "-5", "nan"])
def test_time_in_which_nothing_can_be_predicted_is_refused_before_anything_is_measured(milliseconds, tmp_path):
    with pytest.raises(ConfigError, match=f"--max-ms {milliseconds}: milliseconds above 0"):
        tune_predict(
            model=tmp_path / "no model",
            data="no data",
            images=1,
            max_ms=float(milliseconds),
            objective="",
            layout="",
            device="cpu",
            cpus=1,
        )
