import json

import hypothesis
import hypothesis.strategies as st
import pytest

from search.memory.events import (
    Asked,
    CheckpointSaved,
    Closed,
    Dropped,
    Ended,
    Epoch,
    Event,
    Halted,
    Kept,
    Opened,
    Pruned,
    Reopened,
    Restarted,
    Started,
    Warned,
    encode_event,
    parse_event,
)
from search.memory.outcome import Outcome
from segcore.config import TrainConfig
from segcore.errors import CheckpointError, StreetError

texts = st.text(st.characters(codec="utf-8"), max_size=20)
finite = st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | finite | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
values = st.dictionaries(texts, plain, max_size=3)
configs = st.builds(TrainConfig, learning_rate=st.floats(1e-6, 1e-2), epochs=st.integers(1, 99)).map(TrainConfig.values)
numbers = st.integers(0, 10**6)
metrics = st.dictionaries(texts, st.floats(-1e59, 1e59), max_size=3)
times = st.floats(0, 8e9)

events = st.one_of(
    st.builds(Opened, cache_key=texts, time=times),
    st.builds(
        Asked, trial=numbers, fold=numbers, values=configs, params=values, source=st.none() | numbers,
        drawable=st.booleans(), ahead=st.lists(values, max_size=2), time=times,
    ),
    st.builds(Started, trial=numbers, node=st.none() | texts, time=times),
    st.builds(
        Epoch, trial=numbers, epoch=st.integers(1, 999), metrics=metrics, picture=st.none() | texts, verdict=texts,
        image_scores=st.none() | metrics, time=times,
    ),
    st.builds(CheckpointSaved, trial=numbers, epoch=st.integers(0, 100_000), path=texts, time=times),
    st.builds(Restarted, trial=numbers, message=texts, node=st.none() | texts, time=times),
    st.builds(
        Ended, trial=numbers, outcome=st.sampled_from(Outcome), message=texts, node=st.none() | texts, time=times,
    ),
    st.builds(Reopened, trial=numbers, accelerator=st.none() | texts, time=times),
    st.builds(Dropped, trial=numbers, time=times),
    st.builds(Pruned, trial=numbers, reason=texts.filter(bool), time=times),
    st.builds(Kept, trial=numbers, reason=texts.filter(bool), time=times),
    st.builds(Warned, message=texts, time=times),
    st.builds(Halted, time=times),
    st.builds(Closed, metrics=metrics, note=texts, time=times),
)  # fmt: skip


@hypothesis.given(events)
def test_an_event_reads_as_it_was_written(event: Event):
    line = encode_event(event)
    assert b"\n" not in line
    assert parse_event(line) == event


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"bakbone": "resnet18"}, "'bakbone' is no field of TrainConfig"),
        ({"input_mode": []}, "values: input_mode="),
        ({"learning_rate": "[/red]"}, "values: learning_rate="),
    ],
)
def test_values_that_are_no_configuration_are_refused(values: dict[str, object], told: str):
    line = {"event": "asked", "trial": 0, "fold": 0, "values": values, "params": {}, "time": 1.0}
    with pytest.raises(CheckpointError) as caught:
        parse_event(json.dumps(line).encode())
    assert told in str(caught.value)


def test_values_that_a_line_leaves_out_are_the_defaults():
    line = {"event": "asked", "trial": 0, "fold": 0, "values": {"epochs": 9}, "params": {}, "time": 1.0}
    event = parse_event(json.dumps(line).encode())
    assert isinstance(event, Asked)
    assert event.values == TrainConfig(epochs=9).values()


@st.composite
def damaged_lines(draw: st.DrawFn) -> bytes:
    line = encode_event(draw(events))
    place = draw(st.integers(0, len(line)))
    return line[:place] + draw(st.binary(max_size=3)) + line[place + 1 :]


@hypothesis.settings(max_examples=400)
@hypothesis.given(st.binary(max_size=60) | damaged_lines())
def test_any_other_line_is_refused_by_our_error_alone(line: bytes):
    try:
        parse_event(line)
    except StreetError as error:
        assert isinstance(error, CheckpointError)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'{"event":"epoch","trial":0,"epoch":100001,"metrics":{}}', "epoch: .* less than or equal to 100000"),
        (b'{"event":"epoch","trial":0,"epoch":1,"metrics":{"iou":1e61}}', "metrics.iou: .* less than 1"),
        (b'{"event":"moved","trial":0}', "a newer version of street-search may have written it"),
        (b'{"event":"halted","host":"a"}', "a newer version of street-search may have written it"),
    ],
)
def test_a_line_is_refused_with_what_is_wrong(line: bytes, told: str):
    with pytest.raises(CheckpointError, match=told):
        parse_event(line)


def test_an_event_is_stamped_when_it_is_made():
    first, second = Started(trial=0), Started(trial=0)
    assert 0 < first.time <= second.time


def test_the_kind_stands_first_in_a_line():
    assert json.loads(encode_event(Halted(time=3.0))) == {"event": "halted", "time": 3.0}
    assert encode_event(Halted(time=3.0)).startswith(b'{"event":"halted"')


def test_an_event_of_this_process_is_checked_like_one_of_a_file():
    with pytest.raises(ValueError, match="finite number"):
        Epoch(trial=0, epoch=1, metrics={"iou": float("nan")})


def test_scores_of_images_are_read_by_the_name_that_they_had_first():
    line = {"event": "epoch", "trial": 0, "epoch": 1, "metrics": {"iou": 0.5}, "time": 1.0}
    first, now = (
        parse_event(json.dumps({**line, name: {"a": 0.5}}).encode()) for name in ("image_ious", "image_scores")
    )
    assert first == now
    assert b'"image_scores":{"a":0.5}' in encode_event(first)
