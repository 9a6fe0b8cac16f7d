import io

import pytest
from rich.console import Console

from segcore.commands.prediction import tune_table
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
