"""Names and texts as MLflow takes them, and people read them: of runs, metrics, parameters and tags.

What MLflow refuses is changed, and two that differ stay two.
"""

import hashlib
import re
from typing import Any, Final

from segcore.scoring.objective import CLASS_PREFIX, CONDITION_PREFIX

_NAME_LETTERS: Final = 250
_DIGEST_LETTERS: Final = 8
_TEXT_BYTES_LOST: Final = re.compile("[\ud800-\udfff\x00]")

PARAM_LETTERS: Final = 6000
TAG_LETTERS: Final = 8000
DESCRIPTION_LETTERS: Final = 5000
"""Of a registered model; MLflow checks them not, but databases other than SQLite refuse more."""

CLASSES: Final = "class/"
CONDITIONS: Final = "condition/"
"""What metrics of a class and of a condition begin with: MLflow makes a section of charts of each such beginning."""

_SECTIONS: Final = ((CLASS_PREFIX, CLASSES), (CONDITION_PREFIX, CONDITIONS))


def name_own_run(search: str, stage_name: str) -> str:
    """Return what the own run of a search's stage is called."""
    return f"{search} ({stage_name})"


def key_of(name: str) -> str:
    """Return what MLflow calls a metric.

    Args:
        name: as the journal has it, see `segcore.scoring.metrics`.
    """
    for before, section in _SECTIONS:
        if name.startswith(before):
            return clean_name(section + name.removeprefix(before))
    return clean_name(name)


def key_made_of(prefix: str, metric: str, suffix: str = "") -> str:
    """Return what MLflow calls a number that is made of a metric, such as confirmed_iou; it is in no section."""
    return clean_name(f"{prefix}{metric.replace('/', '_')}{suffix}")


def best_key_of(metric: str) -> str:
    """Return what MLflow calls the highest score of a trial so far."""
    return key_made_of("", metric, "_best")


def describe_input(values: dict[str, Any]) -> str:
    """Return how a configuration sees an image, such as crop512, resize0.5 or full."""
    detail = {"crop": "crop_size", "resize": "scale"}.get(values["input_mode"])
    return f"{values['input_mode']}{values[detail]}" if detail else str(values["input_mode"])


def describe_configuration(values: dict[str, Any], number: int | None) -> str:
    """Return a configuration as its runs are called, such as resnet34 crop512 ce+jaccard #17.

    Args:
        values: every `TrainConfig` value.
        number: of the search's trial; None where it is not known.
    """
    told = f"{values['backbone'].removeprefix('tf_')} {describe_input(values)} {values['loss']}"
    return told if number is None else f"{told} #{number}"


def clean_name(name: str) -> str:
    """Return a name that MLflow takes for a metric; a changed one ends with a digest, so that no two become one.

    Args:
        name: of any letters, such as a metric of a class from a user's file.
    """
    clean = "/".join(_clean_part(part) for part in name.split("/"))
    if clean == name and len(name) <= _NAME_LETTERS:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LETTERS]
    return f"{clean[: _NAME_LETTERS - _DIGEST_LETTERS - 1]}-{digest}"


def clean_text(text: str, letters: int) -> str:
    """Return a text that MLflow and its databases can hold, cut to so many letters.

    Args:
        text: a parameter's or a tag's value.
        letters: how many it may have at most.
    """
    text = _TEXT_BYTES_LOST.sub("\ufffd", text)
    return text if len(text) <= letters else f"{text[: letters - 1]}\u2026"


def _clean_part(part: str) -> str:
    # A name is a path, too: an empty part, one dot and two have a meaning there.
    clean = re.sub(r"[^\w\-. :]", "_", part)
    return clean.replace(".", "_") if clean.strip(".") == "" and len(clean) <= 2 and clean else clean or "_"
