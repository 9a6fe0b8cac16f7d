"""The tables of real trainings that lie beside the code, of images at a third of their size."""

import json
from pathlib import Path

import pytest

from benchmarks.quality.record import draw_configuration, read_table
from benchmarks.quality.trained import Trained

FOLDER = Path(__file__).parents[3] / "benchmarks" / "quality"

of_each = pytest.mark.parametrize("name", ["camvid_third", "streets_third"])


@of_each
def test_table_holds_what_its_space_still_draws(name):
    """Whoever goes on recording, or plays it, would else get other configurations than were trained."""
    head, rows = read_table(FOLDER / f"{name}.parquet")
    drawn = {row["configuration"]: row["params"] for row in rows}
    assert len(drawn) >= 40
    for number, params in list(drawn.items())[:3]:
        assert json.loads(params) == draw_configuration(head, number).params


@of_each
def test_table_can_be_searched(name):
    task = Trained(FOLDER / f"{name}.parquet")
    assert task.epochs == 9 and task.worst < task.middle < task.best < 1


def test_both_tables_hold_the_same_configurations():
    camvid, streets = (
        {row["configuration"]: row["params"] for row in read_table(FOLDER / f"{name}.parquet")[1]}
        for name in ("camvid_third", "streets_third")
    )
    assert streets.items() <= camvid.items()
