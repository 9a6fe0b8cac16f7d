"""One row in a process of its own: `python -m benchmarks.throughput.gpu.row`, told by JSON what, answers in JSON.

So a row that hangs, or takes too much memory, costs the table one line.
"""

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.throughput.gpu.rows import Found, Row, Scale
from segcore.machine import detect_machine


def main() -> None:
    """Measure the row that standard input tells, and print what was found in the last line."""
    told = json.load(sys.stdin)
    row, scale, folder = Row(**told["row"]), Scale(**told["scale"]), Path(told["folder"])
    print(json.dumps(measure(row, scale, folder, told["cpus"], told["begun"])))


def tell(row: Row, scale: Scale, folder: Path, cpus: int) -> str:
    """Return what `main` is told."""
    told = {"row": asdict(row), "scale": asdict(scale), "folder": str(folder), "cpus": cpus, "begun": time.time()}
    return json.dumps(told)


def measure(row: Row, scale: Scale, folder: Path, cpus: int, begun: float) -> Found:
    """Return the figures of a row by name.

    Args:
        row: what is measured.
        scale: how large.
        folder: holds streets/ and cache/, of which the first folder is the prepared one; models are written there.
        cpus: processor cores.
        begun: when this process was started, as `time.time` tells it.
    """
    # Each imported where it is needed: a process starts in seconds, which count.
    if row.kind == "peaks":
        from benchmarks.throughput.gpu.peaks import measure_peaks

        machine = detect_machine(cpus)
        side, mib = (8192, 1024) if machine.on_gpu else (256, 4)
        return dict(measure_peaks(machine.device, side=side, mib=mib))
    if row.kind == "prediction":
        return _predict(row, scale, folder, cpus)
    (cache,) = (file.parent for file in (folder / "cache").glob("*/index.json"))
    if row.kind == "start":
        from benchmarks.throughput.gpu.start import measure_start

        return measure_start(row, scale, cache, cpus, begun)
    if row.kind == "step":
        from benchmarks.throughput.gpu.parts import measure_parts

        return measure_parts(row, scale, cache, cpus)
    from benchmarks.throughput.gpu.training import measure_other, measure_segcore

    if row.arm == "segcore":
        return measure_segcore(row, scale, cache, cpus)
    return measure_other(row, scale, folder / "streets", cpus)


def _predict(row: Row, scale: Scale, folder: Path, cpus: int) -> Found:
    from benchmarks.throughput.prediction import run_arm, write_model
    from segcore.data.sources.contest import IMAGES_FOLDER

    model, out = folder / f"model_{row.members}", folder / f"masks_{row.arm}_{row.members}"
    if not model.exists():
        write_model(model, row.members, "tf_efficientnet_lite0", scale.decoder_channels)
    run = run_arm(row.arm, model, folder / "streets" / IMAGES_FOLDER, out, cpus)
    return {"images_per_second": run.images_per_second, "peak_memory_gib": run.peak_mib / 1024}


if __name__ == "__main__":
    main()
