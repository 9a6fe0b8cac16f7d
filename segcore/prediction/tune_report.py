"""What is kept of a comparison of ways of predicting: a CSV file and a picture, in the model's directory."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from segcore.errors import StorageError
from segcore.prediction.options import PredictOptions
from segcore.prediction.tune_ways import Measured, find_pareto
from segcore.replacing import replacing

TABLE_FILE: Final = "tune_predict.csv"
PICTURE_FILE: Final = "tune_predict.png"


def describe_options(options: PredictOptions) -> str:
    """Return options in a few words, only those that have a meaning in their mode."""
    words: list[str] = [options.mode]
    if options.mode == "resize" and options.scale is not None:
        words.append(f"{options.scale:g}")
    if options.mode in ("tiles", "overlap") and options.tile_size is not None:
        words.append(f"of {options.tile_size}")
    if options.mode == "overlap":
        words.append(f"by {options.overlap:g}")
    if options.flip:
        words.append("+ flip")
    if options.scales != (1.0,):
        words.append(f"+ scales {','.join(f'{scale:g}' for scale in options.scales)}")
    if options.least_areas:
        words.append("- small components")
    return " ".join(words)


def write_report(measured: Sequence[Measured], best: Measured, metric: str, folder: Path) -> tuple[Path, Path]:
    """Write the table and the picture and return their files.

    Args:
        measured: all ways.
        best: the one that was chosen.
        metric: in which they are scored.
        folder: an existing folder.

    Raises:
        StorageError: when they cannot be written.
    """
    table, picture = folder / TABLE_FILE, folder / PICTURE_FILE
    _write(table, format_csv(measured, best, metric).encode())
    _write(picture, _draw(measured, best, metric))
    return table, picture


def format_csv(measured: Sequence[Measured], best: Measured, metric: str) -> str:
    """Return one line per way: what it is, every option, scores, milliseconds, whether another way beats it."""
    text = io.StringIO()
    shown = list(dict.fromkeys((metric, "iou", "miou")))
    names = ["way", *best.options.values(), "members", *shown, "ms_per_image", "pareto", "chosen"]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    front = find_pareto(measured)
    for row in measured:
        values = row.options.values() | {"scales": ",".join(f"{scale:g}" for scale in row.options.scales)}
        values["least_areas"] = ",".join(f"{name}={area}" for name, area in row.options.least_areas.items())
        numbers = {name: row.metrics.get(name) for name in shown} | {"ms_per_image": row.milliseconds}
        marks = {"members": row.members, "pareto": int(row in front), "chosen": int(row is best)}
        writer.writerow({"way": describe_options(row.options), **values, **numbers, **marks})
    return text.getvalue()


def _draw(measured: Sequence[Measured], best: Measured, metric: str) -> bytes:
    # Where a home cannot be written it complains on import, which no other command is to be bothered by.
    from matplotlib.figure import Figure
    from matplotlib.patheffects import withStroke
    from matplotlib.ticker import LogLocator, NullFormatter

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    front = find_pareto(measured)
    axes.plot([row.milliseconds for row in front], [row.score for row in front], color="tab:blue", label="not beaten")
    axes.scatter([row.milliseconds for row in measured], [row.score for row in measured], color="tab:gray", zorder=2)
    axes.scatter([best.milliseconds], [best.score], s=120, marker="*", color="tab:red", zorder=3, label="chosen")
    times = [row.milliseconds for row in measured]
    middle = (min(times) * max(times)) ** 0.5
    for row in measured:
        left = row.milliseconds > middle
        # The line rises to the right: nothing is above it, and what it beats is below.
        above = left and row in front
        axes.annotate(_label(row, best), (row.milliseconds, row.score), (-6 if left else 6, 4 if above else -4),
                      textcoords="offset points", fontsize=7, horizontalalignment="right" if left else "left",
                      verticalalignment="bottom" if above else "top",
                      path_effects=[withStroke(linewidth=3, foreground="white")])  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(lambda value, position: f"{value:g}")
    axes.set_xlabel("milliseconds per image, all networks of the model")
    axes.set_ylabel(f"{metric} out of fold")
    axes.margins(x=0.15)
    axes.grid(alpha=0.3)
    axes.legend()
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    return content.getvalue()


def _label(row: Measured, best: Measured) -> str:
    networks = "1 network" if row.members == 1 else f"{row.members} networks"
    return describe_options(row.options) + (f" ({networks} an image)" if row.members < best.members else "")


def _write(file: Path, content: bytes) -> None:
    try:
        with replacing(file) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise StorageError(f"{file} cannot be written ({error}); make room or copy the model elsewhere.") from error
