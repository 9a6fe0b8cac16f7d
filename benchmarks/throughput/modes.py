"""How the benchmarks name what a network sees of an image."""

import argparse
from typing import Any


def parse_mode(text: str) -> dict[str, Any]:
    """Return the configuration's values of an input mode: `crop:256`, `resize:0.5` or `full`."""
    name, _, size = text.partition(":")
    try:
        if name == "crop":
            return {"input_mode": name, "crop_size": int(size), "crops_per_image": 1}
        if name == "resize":
            return {"input_mode": name, "scale": float(size)}
    except ValueError:
        pass
    if text != "full":
        raise argparse.ArgumentTypeError(f"{text!r} is no mode; write crop:PIXELS, resize:SCALE or full")
    return {"input_mode": "full"}
