"""The file beside a checkpoint with what each validation image scored: a worker writes it, later stages read it."""

from typing import Final

SCORES_FILE: Final = "scores.json"
"""A list of images, each with its name, condition, IoU and confusion."""
