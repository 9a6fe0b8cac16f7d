from pathlib import Path

import pytest

from search.commands import server
from search.commands.server import choose_login, require_safe
from segcore.errors import ConfigError


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "*", "192.168.1.5", "gpu.lab", "2001:db8::1"])
def test_other_machines_are_let_in_with_a_password_alone(host):
    with pytest.raises(ConfigError, match=r"ask for a password by --auth, or .* by 'ssh -L 5000:127.0.0.1:5000 "):
        require_safe(host, 5000, asks_password=False)
    require_safe(host, 5000, asks_password=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_this_machine_is_asked_for_none(host):
    require_safe(host, 5000, asks_password=False)


def test_address_of_ipv6_is_told_from_its_port(monkeypatch, tmp_path):
    commands = []
    monkeypatch.setattr(server, "_run", lambda command, environment: commands.append(command))
    for host in ("::1", "127.0.0.1"):
        server.serve(tmp_path, host, 5000, [host], None)
    assert [command[command.index("--host") + 1] for command in commands] == ["[::1]", "127.0.0.1"]


def test_password_is_that_of_mlflows_own_variables():
    login = choose_login({"MLFLOW_TRACKING_USERNAME": "mayor", "MLFLOW_TRACKING_PASSWORD": "twelve-letters"})
    assert (login.user, login.password, login.is_own) == ("mayor", "twelve-letters", False)
    assert "twelve" not in repr(login)


def test_password_is_made_anew_each_time_where_none_is_given():
    first, second = choose_login({}), choose_login({})
    assert first.is_own
    assert len(first.password) >= 12
    assert first.password != second.password


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"MLFLOW_TRACKING_USERNAME": "mayor"}, "set both"),
        ({"MLFLOW_TRACKING_PASSWORD": "twelve-letters"}, "set both"),
        ({"MLFLOW_TRACKING_USERNAME": "mayor", "MLFLOW_TRACKING_PASSWORD": "short"}, "has 5 letters; use 12 or more"),
    ],
)
def test_half_a_login_and_a_short_password_are_refused_and_not_shown(environment, told):
    with pytest.raises(ConfigError, match=told) as caught:
        choose_login(environment)
    assert "short" not in str(caught.value)
    assert "letters" not in str(caught.value) or "twelve" not in str(caught.value)


def test_password_is_hashed_once_and_not_at_each_request(monkeypatch, tmp_path):
    settings = []
    monkeypatch.setattr(
        server, "_run", lambda _, environment: settings.append(Path(environment["MLFLOW_AUTH_CONFIG_PATH"]).read_text())
    )
    server.serve(tmp_path, "127.0.0.1", 5000, [], choose_login({}))
    assert "\nauth_cache_ttl_seconds = 600\n" in settings[0]
