"""The scores of validation images as JSON, which outlives a training; a reader without torch parses it by itself."""

import json
from collections.abc import Sequence

import numpy as np

from segcore.scoring.metrics import ImageScore


def encode_scores(scores: Sequence[ImageScore]) -> str:
    """Return the scores of images as JSON: a list with the name, condition, IoU and confusion of each."""
    return json.dumps(
        [
            {
                "name": score.name,
                "condition": score.condition,
                "iou": score.iou,
                "confusion": score.confusion_CP.tolist(),
                "boundary": None if score.boundary_C2 is None else score.boundary_C2.tolist(),
            }
            for score in scores
        ]
    )


def decode_scores(content: str) -> list[ImageScore]:
    """Return what `encode_scores` wrote; older files have no boundaries."""
    return [
        ImageScore(
            name=entry["name"],
            condition=entry["condition"],
            iou=entry["iou"],
            confusion_CP=np.array(entry["confusion"], np.int64),
            boundary_C2=np.array(entry["boundary"], np.int64) if entry.get("boundary") is not None else None,
        )
        for entry in json.loads(content)
    ]
