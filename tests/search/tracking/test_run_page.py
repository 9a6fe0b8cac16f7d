import pytest

from search.tracking.run_page import run_page


@pytest.mark.parametrize(
    ("uri", "server"),
    [
        ("http://h:5000/", "http://h:5000"),
        ("https://u:secret@h/mlflow", "https://h/mlflow"),
        ("sqlite:///searches/mlflow.db", "http://127.0.0.1:5000"),
    ],
)
def test_page_is_the_servers_or_that_of_search_ui_without_a_password(uri, server):
    assert run_page(uri, "1", "ab") == f"{server}/#/experiments/1/runs/ab?workflowType=machine_learning"
