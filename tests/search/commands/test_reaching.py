from dataclasses import replace

import pytest

from search.commands.reaching import expect_tracking, reached, read_data
from search.opening import open_search
from segcore.errors import ConfigError, DataError, TrackingError


def test_search_that_goes_on_does_not_wait_for_an_mlflow_that_is_away(make_place, find_free_port, capsys):
    place = make_place(tracking_uri=f"http://user:PW@127.0.0.1:{find_free_port()}")
    expect_tracking(place)
    told = capsys.readouterr().out
    assert "does not answer" in told
    assert "The search goes on; MLflow is sent what it misses when it answers." in told
    assert "PW" not in told


def test_mlflow_that_can_never_be_used_is_refused_when_a_search_goes_on(make_place):
    with pytest.raises(TrackingError, match="is no address that MLflow knows"):
        expect_tracking(make_place(tracking_uri="foo://host"))


def test_extra_data_that_is_none_is_refused_as_the_data_is(make_place, make_dataset):
    """Reading comes before Ray."""
    data, extra = make_dataset(), make_dataset(name="more")
    place = make_place(data=str(data))
    assert len(read_data(place).cases) == 4
    with pytest.raises(DataError, match="nowhere is no data set"):
        read_data(replace(place, extra=("/nowhere",)))
    with pytest.raises(DataError, match=r"more cannot be trained on beside .*: 4 names occur twice"):
        read_data(replace(place, extra=(str(extra),)))


def test_mlflow_that_answers_is_not_mentioned(make_place, capsys):
    expect_tracking(make_place())
    assert capsys.readouterr().out == ""


def test_no_stage_gives_a_training_more_gpus_than_it_uses(searched):
    settings, place = open_search(searched, {"gpus_per_trial": 2})
    with (
        pytest.raises(ConfigError, match="--gpus-per-trial 2: a training uses one GPU"),
        reached(settings, place, searched, 1),
    ):
        pass
