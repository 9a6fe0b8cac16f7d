import json
from pathlib import Path

from benchmarks.quality.record import draw_configuration, read_table
from benchmarks.quality.trained import Trained

FILE = Path(__file__).parents[3] / "benchmarks" / "quality" / "camvid_third.parquet"


def test_table_holds_what_its_space_still_draws():
    """Whoever goes on recording, or plays it, would else get other configurations than were trained."""
    head, rows = read_table(FILE)
    drawn = {row["configuration"]: row["params"] for row in rows}
    assert len(drawn) >= 40
    for number, params in list(drawn.items())[:3]:
        assert json.loads(params) == draw_configuration(head, number).params


def test_table_can_be_searched():
    task = Trained(FILE)
    assert task.epochs == 9 and task.worst < task.middle < task.best < 1
