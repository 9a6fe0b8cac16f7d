import math
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from search.tracking.model_page import CHAMPION, ModelCard, crown

CLASSES = {"classes": [{"name": "car", "rgb": [0, 0, 255]}, {"name": "sky", "rgb": [0, 152, 225]}], "scored": ["car"]}

URI = "sqlite:////data/my searches/mlflow.db"
FETCH = "python -m search fetch streets FOLDER --storage '/data/my searches'"


@pytest.fixture
def make_card(make_settings):
    """A function that returns the card of a model with a score, trained on some data."""

    def make(score: float, data: str = "d1", **changes: object) -> ModelCard:
        notes = {"trial": 17, "out_of_fold": {"iou": score, "iou/car": 0.25}, "fold_scores": {"0": 0.5, "1": 0.7}}
        document = {"notes": notes, "classes": CLASSES, "members": ["a", "b"], "config": {"backbone": "resnet34"}}
        return ModelCard(settings=make_settings(**changes), document=document, data=data)

    return make


@pytest.fixture
def client(empty_database, tmp_path) -> MlflowClient:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    client.create_registered_model("streets")
    return client


def register(client: MlflowClient, folder: Path, card: ModelCard) -> str:
    """Register a version with a card's tags, and return what is said of the champion."""
    version = client.create_model_version("streets", folder.as_uri()).version
    for key, text in card.tags.items():
        client.set_model_version_tag("streets", version, key, text)
    return crown(client, "streets", str(version), card)


def test_champion_is_the_best_on_the_same_data(client, tmp_path, make_card):
    told = [register(client, tmp_path, make_card(score)) for score in (0.5, 0.4, 0.6, 0.6)]
    assert told == [
        "version 1 is champion",
        "version 1 stays champion: its iou 0.500000 is above 0.400000",
        "version 3 is champion, in place of version 1",
        "version 4 is champion, in place of version 3",
    ]
    assert str(client.get_model_version_by_alias("streets", CHAMPION).version) == "4"
    assert crown(client, "streets", "4", make_card(0.6)) == "version 4 is champion"


def test_the_same_score_again_is_not_below_its_own_rounding(client, tmp_path, make_card):
    told = [register(client, tmp_path, make_card(0.38723751)) for _ in range(2)]
    assert told[1] == "version 2 is champion, in place of version 1"


def test_a_version_without_a_score_takes_no_champions_place(client, tmp_path, make_card):
    told = [register(client, tmp_path, make_card(score)) for score in (0.5, math.nan)]
    assert told[1] == "version 1 stays champion: its iou 0.500000 is above nan"


def test_model_of_other_data_or_another_metric_takes_no_champions_place(client, tmp_path, make_card):
    register(client, tmp_path, make_card(0.5))
    for card in (make_card(0.9, data="d2"), make_card(0.9, objective="iou/car")):
        assert register(client, tmp_path, card).startswith("version 1 stays champion: it was scored on other data")


def test_score_that_a_person_changed_to_words_is_told(client, tmp_path, make_card):
    register(client, tmp_path, make_card(0.5))
    client.set_model_version_tag("streets", "1", "street.score", "good")
    told = register(client, tmp_path, make_card(0.6))
    assert (
        told == "version 1 stays champion: its tag street.score, 'good', is no number, so nobody knows which is better"
    )


def test_page_of_an_ensemble_has_its_members_and_the_score_that_nothing_was_chosen_by(make_card):
    card = make_card(0.7)
    candidates = [
        {"trial": 17, "snapshot": 0, "weight": 1, "alone": 0.5},
        {"trial": 4, "snapshot": 1, "weight": 3, "alone": 0.45},
        {"trial": 9, "snapshot": 0, "weight": 0, "alone": 0.3},
    ]
    found = {"kept": True, "metric": "iou", "expected": 0.65, "told": "Chosen among 3.", "candidates": candidates}
    card.document["notes"]["ensemble"] = found
    assert card.score == 0.65
    page = card.describe("streets", "3", URI, FETCH)
    assert "2 networks of trials 17, 4 of search" in page
    assert "**Expect iou 0.6500** on images like these. Chosen among 3." in page
    assert "| 4 | 1 | 3 | 0.4500 |" in page
    # Where nothing beat the winner it is the model, as if nobody had asked.
    card.document["notes"]["ensemble"] = {**found, "kept": False}
    assert card.score == 0.7
    assert "2 networks of trial 17 of search" in card.describe("streets", "3", URI, FETCH)


def test_page_of_a_model_has_classes_scores_and_how_it_is_called(make_card):
    page = make_card(0.6).describe("streets", "3", URI, FETCH)
    assert "**Expect iou 0.6000**" in page
    assert "0.5000 to 0.7000 over 2 folds (standard deviation 0.1414)" in page
    assert "| 0 | car&emsp; | #0000ff&emsp; | 0.250&emsp; | yes |" in page
    assert "| 1 | sky&emsp; | #0098e1&emsp; | &emsp; |  |" in page
    assert 'mlflow.set_tracking_uri("sqlite:////data/my searches/mlflow.db")\nmodel = ' in page
    assert 'load_model("models:/streets/3")' in page
    assert "export MLFLOW_TRACKING_URI='sqlite:////data/my searches/mlflow.db'\n" in page
    assert f"```\n{FETCH}\n```" in page
    assert "mlflow models serve -m models:/streets/3" in page
    assert '{"inputs": IMAGE}' in page


def test_page_of_many_classes_fits_every_database_and_has_the_scored_ones(make_card):
    card = make_card(0.6)
    names = [f"traffic sign, kind {number:03d}" for number in range(150)]
    classes = [{"name": name, "rgb": [number, 0, 0]} for number, name in enumerate(names)]
    card.document["classes"] = {"classes": classes, "scored": names[140:]}
    page = card.describe("streets", "3", URI, FETCH)
    # PostgreSQL and MySQL take 5,000 letters.
    assert 4800 < len(page) <= 5000
    rows = [int(line.split(" | ")[0][2:]) for line in page.splitlines() if "traffic sign" in line]
    assert rows == [*range(len(rows) - 10), *range(140, 150)]
    assert page.endswith(f"\n\n{150 - len(rows)} more are in its `ensemble.json`.")
