import pickle

import pytest

from segcore import errors


def _descendants(error: type[Exception]) -> list[type[Exception]]:
    children = error.__subclasses__()
    return [*children, *(descendant for child in children for descendant in _descendants(child))]


EVERY_ERROR = [errors.StreetError, *_descendants(errors.StreetError)]


@pytest.mark.parametrize("kind", EVERY_ERROR, ids=lambda kind: kind.__name__)
def test_error_keeps_type_and_message_when_it_crosses_processes(kind):
    error = kind("crop_size=4096 is larger than the image; use 512.")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == "crop_size=4096 is larger than the image; use 512."


def test_data_error_keeps_its_problems_when_it_crosses_processes():
    error = errors.DataError("DATA cannot be used:", ["a.jpg: missing", "b.png: missing"])
    copy = pickle.loads(pickle.dumps(error))
    assert copy.summary == "DATA cannot be used:"
    assert copy.problems == ("a.jpg: missing", "b.png: missing")
    assert str(copy) == "DATA cannot be used:\n  - a.jpg: missing\n  - b.png: missing"
