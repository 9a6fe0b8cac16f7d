import pytest

from benchmarks.scale.__main__ import LEGS, parse_legs


def test_every_leg_runs_where_none_is_named():
    assert parse_legs([]) == list(LEGS)


def test_named_legs_run_alone_and_in_their_order():
    assert parse_legs(["--legs", "growth", "feeding"]) == ["growth", "feeding"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--legs", "grwth"], "invalid choice: 'grwth' (choose from 'startup'"),
        (["--trials", "5"], "unrecognized arguments: --trials 5"),
        (["growth"], "unrecognized arguments: growth"),
        (["--legs"], "expected at least one argument"),
    ],
)
def test_what_is_no_leg_is_refused(arguments, told, capsys):
    with pytest.raises(SystemExit) as ended:
        parse_legs(arguments)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
