"""What MLflow says of a registered model: its classes, its scores, how it is called; and which version is champion.

How a model is registered lives in `registry`.
"""

import json
import math
import shlex
from dataclasses import dataclass
from itertools import accumulate
from statistics import stdev
from typing import Any, Final

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from search.markdown import code_block, plain
from search.settings import SearchSettings
from search.tracking.names import DESCRIPTION_LETTERS, TAG_LETTERS, clean_text
from segcore.counting import count_words

CHAMPION: Final = "champion"
"""The alias of the version to use: models:/NAME@champion."""

_GAP: Final = "&emsp;"
"""MLflow draws the columns of a table without a space between them."""
_CLASSES_HEAD: Final = ("| index | class | colour | IoU | scored |", "| --- | --- | --- | --- | --- |")
_FRAME_LETTERS: Final = 150
"""Of a table of classes beside its rows, about."""
_DATA: Final = "street.data"
_METRIC: Final = "street.metric"
_SCORE: Final = "street.score"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What is known of a model that is registered.

    Args:
        settings: of the search.
        document: the content of its `ensemble.json`.
        data: digest of the data that it was trained on.
    """

    settings: SearchSettings
    document: dict[str, Any]
    data: str

    @property
    def notes(self) -> dict[str, Any]:
        """What the retraining wrote of it."""
        found: dict[str, Any] = self.document["notes"]
        return found

    @property
    def ensemble(self) -> dict[str, Any] | None:
        """What the retraining wrote of a choice among several configurations; None where the winner is the model."""
        found: dict[str, Any] | None = self.notes.get("ensemble")
        return found if found is not None and found["kept"] else None

    @property
    def score(self) -> float:
        """On images that the scoring networks had not seen, and that nothing was chosen by; NaN where there is none."""
        if self.ensemble is not None and self.ensemble["metric"] == self.settings.metric:
            return float(self.ensemble["expected"])
        return float(self.notes["out_of_fold"].get(self.settings.metric, math.nan))

    @property
    def tags(self) -> dict[str, str]:
        """What versions are compared and found by."""
        values = {
            _DATA: self.data,
            _METRIC: self.settings.metric,
            _SCORE: f"{self.score:.6f}",
            "street.search": self.settings.name,
            "street.search_id": self.settings.search_id,
            "street.trial": str(self.notes["trial"]),
            "street.backbone": str(self.document["config"]["backbone"]),
            "street.networks": str(len(self.document["members"])),
        }
        return {name: clean_text(text, TAG_LETTERS) for name, text in values.items()}

    def describe(self, name: str, version: str, uri: str, fetch: str) -> str:
        """Return the page of a version, as Markdown.

        Args:
            name: of the registered model.
            version: its number.
            uri: MLflow's address, without a password.
            fetch: the command that copies the model out of MLflow.
        """
        address = {"python_uri": json.dumps(uri), "shell_uri": shlex.quote(uri)}
        told = "\n\n".join(
            [
                f"{len(self.document['members'])} networks of {self._tell_trials()} of search "
                f"`{self.settings.name}`, whose probabilities are averaged.",
                self._tell_score() if self.ensemble is None else self._tell_ensemble(self.ensemble),
                _HOW_TO_CALL.format(name=name, version=version, fetch=code_block([fetch]), **address),
                f"Data: `{self.data}`; another file, class or split would have another digest.",
            ]
        )
        page = f"{told}\n\n{self._list_classes(DESCRIPTION_LETTERS - len(told))}"
        return clean_text(page, DESCRIPTION_LETTERS)

    def _tell_trials(self) -> str:
        if self.ensemble is None:
            return f"trial {self.notes['trial']}"
        trials = {each["trial"]: None for each in self.ensemble["candidates"] if each["weight"]}
        return f"trial{'s' if len(trials) > 1 else ''} {', '.join(map(str, trials))}"

    def _tell_ensemble(self, ensemble: dict[str, Any]) -> str:
        rows = [
            f"| {each['trial']} | {each['snapshot']} | {each['weight']} | {each['alone']:.4f} |"
            for each in ensemble["candidates"]
        ]
        head = [f"| trial | snapshot | weight | {plain(ensemble['metric'])} alone |", "| --- | --- | --- | --- |"]
        expected = f"{plain(ensemble['metric'])} {ensemble['expected']:.4f}"
        told = f"**Expect {expected}** on images like these. {plain(ensemble['told'])}"
        return "\n".join([told, "", *head, *rows])

    def _tell_score(self) -> str:
        by = "fold" if "fold_scores" in self.notes else "seed"
        scores = [float(score) for score in self.notes[f"{by}_scores"].values()]
        spread = f" (standard deviation {stdev(scores):.4f})" if len(scores) > 1 else ""
        between = f", {min(scores):.4f} to {max(scores):.4f} over {len(scores)} {by}s{spread}" if scores else ""
        return (
            f"**Expect {plain(self.settings.metric)} {self.score:.4f}** on images like these{between}: each image by a "
            "network that had not seen it. The networks together were not scored."
        )

    def _list_classes(self, letters: int) -> str:
        """Return the table of the classes, of which so many letters hold not all: the scored ones before the others."""
        classes, scored = self.document["classes"]["classes"], self.document["classes"].get("scored", [])
        rows = [self._tell_class(index, each, is_scored=each["name"] in scored) for index, each in enumerate(classes)]
        order = sorted(range(len(rows)), key=lambda index: classes[index]["name"] not in scored)
        ends = accumulate(len(rows[index]) + 1 for index in order)
        shown = sorted(index for index, end in zip(order, ends, strict=True) if end <= letters - _FRAME_LETTERS)
        left = len(rows) - len(shown)
        more = [f"\n{count_words(left, 'more is', 'more are')} in its `ensemble.json`."] if left else []
        return "\n".join([*_CLASSES_HEAD, *(rows[index] for index in shown), *more])

    def _tell_class(self, index: int, each: dict[str, Any], *, is_scored: bool) -> str:
        score = self.notes["out_of_fold"].get(f"iou/{each['name']}")
        return (
            f"| {index} | {plain(each['name'])}{_GAP} | {_tell_colour(each)}{_GAP} | {_tell_iou(score)}{_GAP} | "
            f"{'yes' if is_scored else ''} |"
        )


_HOW_TO_CALL: Final = """```python
import mlflow
mlflow.set_tracking_uri({python_uri})
model = mlflow.pyfunc.load_model("models:/{name}/{version}")
# RGB bytes (N, H, W, 3) give indices (N, H, W), one (H, W, 3) gives (H, W).
classes = model.predict(images)
```

```
export MLFLOW_TRACKING_URI={shell_uri}
mlflow models serve -m models:/{name}/{version} --env-manager local --port 5001
curl http://127.0.0.1:5001/invocations -H 'Content-Type: application/json' -d @image.json
```

`image.json` is `{{"inputs": IMAGE}}`, with the pixels of one image, or of several, as lists of numbers; \
without the header `Content-Type` MLflow answers 500, whatever it is.
255 stands for background, where no class was learnt. Loading a model runs its code; this copies it, and compares \
its files with those that were registered first:

{fetch}"""


def crown(client: MlflowClient, name: str, version: str, card: ModelCard, *, is_new: bool = True) -> str:
    """Let a version be the champion unless it is worse than the present one, or nobody knows.

    Of equal ones the later was asked for: it predicts as `tune-predict` found, or takes the place of damaged files.
    Whom a person chose since stays.

    Args:
        client: of the store.
        name: of the registered model.
        version: that was just registered, or is to be registered again.
        card: what is known of it.
        is_new: whether it has not been considered yet.

    Returns:
        In a sentence, whether it is and why.

    Raises:
        MlflowException: when MLflow cannot be asked.
    """
    champion = _find_champion(client, name)
    if champion is not None and str(champion.version) == version:
        return f"version {version} is {CHAMPION}"
    reason = _refuse(champion, card) or ("" if is_new else f"it was chosen since version {version} was registered")
    if champion is not None and reason:
        return f"version {champion.version} stays {CHAMPION}: {reason}"
    client.set_registered_model_alias(name, CHAMPION, version)
    before = f", in place of version {champion.version}" if champion is not None else ""
    return f"version {version} is {CHAMPION}{before}"


def _find_champion(client: MlflowClient, name: str) -> ModelVersion | None:
    try:
        return client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException as error:
        # There is none yet.
        if error.get_http_status_code() in (400, 404):
            return None
        raise


def _refuse(champion: ModelVersion | None, card: ModelCard) -> str:
    """Return why a version does not take the champion's place; empty when it does."""
    tags = champion.tags if champion is not None else {}
    if not tags:
        return ""
    if (tags.get(_DATA), tags.get(_METRIC)) != (card.data, card.settings.metric):
        return "it was scored on other data or in another metric, so nobody knows which is better"
    try:
        noted = float(tags.get(_SCORE, "-inf"))
    except ValueError:
        return f"its tag {_SCORE}, {tags[_SCORE]!r:.40}, is no number, so nobody knows which is better"
    # As they are noted: the same score again is not below its own rounding.
    if not float(card.tags[_SCORE]) >= noted:
        return f"its {card.settings.metric} {tags[_SCORE]} is above {card.score:.6f}"
    return ""


def _tell_colour(each: dict[str, Any]) -> str:
    return "#" + "".join(f"{level:02x}" for level in each["rgb"]) if "rgb" in each else ""


def _tell_iou(score: float | None) -> str:
    return f"{score:.3f}" if score is not None else ""
