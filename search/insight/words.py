"""Durations, configurations and lists in a few words, for tables, pages and MLflow alike."""

import time
from collections.abc import Sequence
from typing import Any, Final

_TIMES: Final = {
    "day": "by day",
    "night": "at night",
    "dawn": "at dawn",
    "dusk": "at dusk",
    "morning": "in the morning",
    "afternoon": "in the afternoon",
    "evening": "in the evening",
}
"""Times of day as a sentence has them."""


def describe_values(values: dict[str, Any]) -> str:
    """Return the choices that tell trials apart, each with its name, in one line."""
    mode = values["input_mode"]
    sizes = {"crop": f"crop {values['crop_size']}", "resize": f"resize {_describe_number(values['scale'], 'g')}"}
    seen = sizes.get(mode, "full size" if mode == "full" else f"input {mode}")
    labels = [] if values["labels"] == "full" else [f"labels {values['labels']}"]
    rate = _describe_number(values["learning_rate"], ".2g")
    return ", ".join([values["backbone"], f"loss {values['loss']}", seen, *labels, f"lr {rate}"])


def _describe_number(value: object, form: str) -> str:
    # A journal may hold what no configuration would; it is shown as it is.
    return format(value, form) if isinstance(value, int | float) else str(value)


def describe_condition(name: str) -> str:
    """Return a condition as a sentence has it, such as at night, in the morning or in rain."""
    return _TIMES.get(name.lower(), f"in {name}")


def describe_seconds(seconds: float) -> str:
    """Return a duration such as 45 s, 12 min or 3 h 05 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def tell_moment(seconds: float) -> str:
    """Return a moment, in seconds since the Unix epoch, as a page says it."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def enumerate_words(words: Sequence[str], last: str = "and") -> str:
    """Return words as a sentence lists them, such as a, b and c.

    Args:
        words: in order.
        last: what stands before the last one.
    """
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
