"""What a dry run says of its measurements, written by hand; the whole of it is run in `test_command_line`."""

from dataclasses import replace

from search.commands.dry_run import advise_sharing, stages_table
from search.insight.forecast import StageForecast
from search.run.measuring import Measured

CROP = Measured(values={"batch_size": 8}, epoch_seconds=2.0, memory_gib=3.0, occupied_gib=4.0, gpu_gib=80.0)
FULL = Measured(values={"batch_size": 4}, epoch_seconds=9.0, memory_gib=17.0, occupied_gib=18.0, gpu_gib=80.0)
FAILED = Measured(values={"batch_size": 8}, problem="too large")


def test_the_largest_that_was_measured_says_how_many_trials_share_a_gpu():
    told = advise_sharing([CROP, FULL, FAILED])
    assert "at most 18.0 GiB of the 80.0 GiB of a GPU" in told
    assert "--gpus-per-trial 0.25, 4 would fit" in told, "0.9 x 80 = 72 holds 18 four times"


def test_nothing_is_said_of_what_was_not_measured_or_takes_all_there_is():
    assert advise_sharing([FAILED]) == ""
    assert advise_sharing([CROP, replace(FULL, values={"batch_size": "auto"})]) == ""
    assert advise_sharing([replace(CROP, occupied_gib=0.0, gpu_gib=0.0)]) == ""


def test_what_it_would_take_is_read_in_60_columns(render, make_place):
    stage = {"trainings": 120, "epochs": 3240, "hours": 30.0, "device_hours": 240.0, "start_share": 0.1}
    stages = [StageForecast(stage=name, **stage) for name in ("search", "confirm", "retrain")]
    text = render(stages_table(stages, make_place(), 8), 60)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 60
    assert "…" not in text
