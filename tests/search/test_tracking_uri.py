import pytest

from search.tracking_uri import fix_uri, hide_secrets, mask_uri, own_tracking_uri, server_page, unmask_uri
from segcore.errors import TrackingError


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("postgresql://u:PW@host/db", "postgresql://***@host/db"),
        ("postgresql+psycopg2://u:PW@host:5432/db", "postgresql+psycopg2://***@host:5432/db"),
        ("postgresql://u:12345@host/db", "postgresql://***@host/db"),
        ("postgresql://u:P@S/S@host/db", "postgresql://***@host/db"),
        ("postgresql://:PW@host/db", "postgresql://***@host/db"),
        ("postgresql://host/db?user=u&password=PW&sslmode=on", "postgresql://host/db?user=u&password=***&sslmode=on"),
        ("https://u:PW@host/mlflow", "https://***@host/mlflow"),
        ("http://TOKEN@host:5000", "http://***@host:5000"),
        ("s3://AK:SK@bucket/x?region=eu", "s3://***@bucket/x?region=eu"),
        (
            "s3://bucket/x?access_key=AK&secret_key=SK&region=eu",
            "s3://bucket/x?access_key=***&secret_key=***&region=eu",
        ),
        ("abfs://box@host/x?sig=S", "abfs://box@host/x?sig=***"),
        ("no answer (https://u:PW@host), see a@b", "no answer (https://***@host), see a@b"),
        ("https:/u:PW@host", "https:/***@host"),
        ("u:PW@host:5000", "***@host:5000"),
        ("--tracking-uri=u:12345@host", "--tracking-uri=***@host"),
        ("http://host:5000/?api_key=K&key=K&team=a", "http://host:5000/?api_key=***&key=***&team=a"),
    ],
)
def test_passwords_and_tokens_are_masked(given, shown):
    assert mask_uri(given) == shown
    assert mask_uri(shown) == shown


@pytest.mark.parametrize(
    "uri",
    [
        "http://host:5000",
        "http://host:5000/team@home",
        "https://host/a/b",
        "sqlite:////home/u:b@c/mlflow.db",
        "postgresql://u@host/db",
        "databricks://profile",
        "file:///data/u:b@c/mlruns",
        "postgresql://u@host/db?sslkey=/home/u/key.pem",
        "http://host:5000/#/experiments/1?orderByKey=metrics.iou",
    ],
)
def test_address_without_a_secret_stays(uri):
    assert mask_uri(uri) == uri == unmask_uri(uri)


@pytest.mark.parametrize(
    ("uri", "said", "shown"),
    [
        ("databricks://u:PW@host", "put-secret u PW@host-token", "put-secret u ***@host-token"),
        ("http://TOKEN@host", "no user TOKEN", "no user ***"),
        ("postgresql://host/db?password=PW", "invalid: PW", "invalid: ***"),
        ("http://host:5000", "no host:5000", "no host:5000"),
        ("http://:@host", "no host, (port 80)", "no host, (port 80)"),
        ("postgresql://u:p@host/db", "p: no module psycopg2", "***: no module psycopg2"),
    ],
)
def test_secrets_of_an_address_are_hidden_where_a_library_takes_it_apart(uri, said, shown):
    assert hide_secrets(said, uri) == shown


def test_password_that_was_not_kept_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://u:PW@host/db")
    assert unmask_uri("postgresql://***@host/db") == "postgresql://u:PW@host/db"
    with pytest.raises(TrackingError, match="other/db: passwords are not kept; give the whole address again"):
        unmask_uri("postgresql://***@other/db")


def test_server_is_asked_without_what_was_masked_since_mlflow_knows_variables_for_it():
    assert unmask_uri("https://***@host/mlflow") == "https://host/mlflow"


def test_searches_that_name_no_server_have_a_file_in_their_storage(tmp_path):
    assert own_tracking_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("sqlite:///mine.db", "sqlite:///{here}/mine.db"),
        ("sqlite:///folder/mine.db?timeout=9", "sqlite:///{here}/folder/mine.db?timeout=9"),
        ("sqlite+pysqlite:///mine.db", "sqlite+pysqlite:///{here}/mine.db"),
        ("sqlite:///~/mine.db", "sqlite:///{home}/mine.db"),
        ("sqlite:////data/mine.db", "sqlite:////data/mine.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite:///file:x?uri=true", "sqlite:///file:x?uri=true"),
        ("sqlite:///", "sqlite:///"),
        ("http://host:5000/mine.db", "http://host:5000/mine.db"),
        ("postgresql:///mine", "postgresql:///mine"),
        ("HTTP://Host:5000/Mine", "http://Host:5000/Mine"),
        (" SQLite:///Mine.db\n", "sqlite:///{here}/Mine.db"),
        ("http://host:5000/#/experiments/3/runs?workflowType=machine_learning", "http://host:5000"),
        ("https://user:p#/w@host/mlflow/#/", "https://user:p#/w@host/mlflow"),
        ("databricks", "databricks"),
        ("", ""),
    ],
)
def test_address_is_the_same_from_every_folder_and_page(tmp_path, monkeypatch, given, kept):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/somewhere")
    assert fix_uri(given) == kept.format(here=tmp_path, home="/somewhere")
    assert fix_uri(fix_uri(given)) == fix_uri(given)


@pytest.mark.parametrize("uri", ["http://", "HTTPS:///", "http://?x=1"])
def test_address_of_a_server_without_its_name_is_refused(uri):
    with pytest.raises(TrackingError, match=r"names no server; use http://HOST:PORT"):
        fix_uri(uri)


def test_page_of_a_server_names_the_workspace_that_mlflow_is_asked_in(monkeypatch):
    assert server_page("http://u:secret@h:5000/mlf/", "#/experiments/1?a=b") == "http://h:5000/mlf/#/experiments/1?a=b"
    monkeypatch.setenv("MLFLOW_WORKSPACE", "team")
    assert server_page("http://h:5000", "#/experiments/1?a=b") == "http://h:5000/#/experiments/1?a=b&workspace=team"
    assert server_page("http://h:5000/") == "http://h:5000"
