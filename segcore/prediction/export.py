"""One network of a model as an ONNX file for programs without PyTorch; checked against PyTorch after writing.

    images          uint8 RGB (batch, height, width, 3)
    probabilities   float32 (batch, outputs, height, width)

Normalisation and padding are inside. Not inside is what `predict` does around the network: resizing, tiles, several
looks, several members and the removal of small components; the file's metadata names the `scale` at which the network
wants to see an image, the `least_areas` of components, the class of each output (null is the background) and the class
table.
"""

import json
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from torch import nn

from segcore.config import TrainConfig
from segcore.data.caching.disk import discard
from segcore.data.classes import VOID, class_table_to_json
from segcore.data.labels import build_label_map
from segcore.data.picture_files import require_replaceable
from segcore.errors import ConfigError, ExportError
from segcore.prediction.ensemble import Ensemble
from segcore.prediction.exportable import Probabilities, exportable_pooling
from segcore.prediction.options import plan_prediction
from segcore.replacing import explain_unwritten

OPSET: Final = 18
"""The ONNX operator set; runtimes since early 2023 know it."""

TOLERANCE: Final = 1e-3
"""Largest difference of a probability from PyTorch's that rounding explains."""

HALF_TOLERANCE: Final = 2e-2
"""The same where weights were rounded to 16 bits."""

_FORMAT: Final = "street-onnx-1"
_TRACED_SHAPE: Final = (2, 70, 101, 3)
_CHECKED_SHAPES: Final = ((1, 64, 96, 3), (2, 97, 131, 3), (1, 160, 45, 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What was written.

    Args:
        largest_difference: of a probability from PyTorch's, over all checked images.
        checked_shapes: of the images (batch, height, width, 3).
    """

    largest_difference: float
    checked_shapes: tuple[tuple[int, ...], ...]


def export_onnx(
    ensemble: Ensemble,
    file: Path,
    *,
    member: int | None = None,
    size: tuple[int, int] | None = None,
    half: bool = False,
) -> ExportReport:
    """Write one network of a model as ONNX; the file appears only when its answers are PyTorch's.

    Args:
        ensemble: the model, on the CPU.
        file: what to write; an existing file is replaced.
        member: which network, 0-based; may be left out where there is one only.
        size: the one (height, width) that the file shall take, pixels; any size when left out.
        half: whether weights are kept in 16 bits, for half the size; a runtime computes in 32 all the same.

    Raises:
        ConfigError: for a member or size that does not exist.
        ExportError: when the network cannot be written, or the file is a folder, not called .onnx, or answers
            differently.
        StorageError: when a device or a pipe is in the file's place.
    """
    chosen = ensemble.members[_choose_member(ensemble, member)]
    network = Probabilities(chosen.network, chosen.config).eval()
    if size is not None and min(size) < 1:
        raise ConfigError(f"--height {size[0]} --width {size[1]}: an image has at least 1 pixel on each side.")
    if file.is_dir():
        raise ExportError(f"{file} is a folder; give the name of a file, such as {file / 'model.onnx'}.")
    if file.suffix.lower() != ".onnx":
        raise ExportError(f"{file}: what is written is ONNX and nothing else; call it {file.stem}.onnx.")
    file = file.resolve()
    require_replaceable(file)
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with exportable_pooling(network):
            _write(network, part, size)
        _finish(part, _describe(ensemble, chosen.config), half=half)
        report = _check(network, part, size, HALF_TOLERANCE if half else TOLERANCE)
        part.replace(file)
    except OSError as error:
        raise ExportError(f"{file} {explain_unwritten(error)}.") from error
    finally:
        discard(part)
    return report


def _choose_member(ensemble: Ensemble, member: int | None) -> int:
    count = len(ensemble.members)
    if member is None and count > 1:
        raise ConfigError(
            f"The model has {count} members and an ONNX file holds one; choose it with --member 0 to {count - 1}."
        )
    if member is not None and not 0 <= member < count:
        raise ConfigError(f"--member {member} does not exist; the model has members 0 to {count - 1}.")
    return member or 0


def _write(network: nn.Module, file: Path, size: tuple[int, int] | None) -> None:
    shape = _TRACED_SHAPE if size is None else (_TRACED_SHAPE[0], *size, 3)
    axes = {"images": {0: "batch"}, "probabilities": {0: "batch"}}
    if size is None:
        axes["images"] |= {1: "height", 2: "width"}
        axes["probabilities"] |= {2: "height", 3: "width"}
    try:
        with _quiet():
            # The exporter that traces; the newer one takes minutes for the symbolic sizes of one network.
            torch.onnx.export(
                network,
                (torch.zeros(shape, dtype=torch.uint8),),
                file,
                dynamo=False,
                opset_version=OPSET,
                input_names=["images"],
                output_names=["probabilities"],
                dynamic_axes=axes,
            )
    except OSError:
        raise
    # The exporter raises errors of many types for what it does not know.
    except Exception as error:
        raise ExportError(f"The network cannot be written as ONNX ({_first_line(error)}); {_remedy(size)}.") from error


def _finish(file: Path, metadata: dict[str, str], *, half: bool) -> None:
    document = onnx.load(file)
    if half:
        _halve(document.graph)
    onnx.helper.set_model_props(document, metadata)
    onnx.checker.check_model(document, full_check=True)
    onnx.save(document, file)


def _halve(graph: onnx.GraphProto) -> None:
    # Runtimes fold the casts as they load the file, so that only its size is another.
    for tensor in graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        halved, name = onnx.numpy_helper.to_array(tensor).astype(np.float16), tensor.name
        if np.isfinite(halved).all():
            tensor.CopyFrom(onnx.numpy_helper.from_array(halved, f"{name}.half"))
            cast = onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT)
            graph.node.insert(0, cast)


def _describe(ensemble: Ensemble, config: TrainConfig) -> dict[str, str]:
    outputs = build_label_map(ensemble.classes, config.labels).outputs
    indices = ensemble.class_of_output[:outputs].tolist()
    values: dict[str, Any] = {
        "outputs": [None if index == VOID else ensemble.classes.names[index] for index in indices],
        "classes": class_table_to_json(ensemble.classes),
        # Of several sizes that the model averages over, the file is for the one of its mode.
        "least_areas": dict(ensemble.options.least_areas),
        "scale": plan_prediction(ensemble.options.replaced({"scales": (1.0,)}), config).factors[0],
    }
    return {"format": _FORMAT, **{name: json.dumps(value) for name, value in values.items()}}


def _check(network: nn.Module, file: Path, size: tuple[int, int] | None, tolerance: float) -> ExportReport:
    shapes = _CHECKED_SHAPES if size is None else tuple((batch, *size, 3) for batch in (1, 2))
    try:
        session = _open(file)
        largest = max(_compare(network, session, shape) for shape in shapes)
    except OSError:
        raise
    # The runtime raises errors of many types of its own.
    except Exception as error:
        raise ExportError(f"The ONNX file does not run ({_first_line(error)}); {_remedy(size)}.") from error
    if not largest <= tolerance:
        raise ExportError(
            f"The ONNX file's probabilities differ from PyTorch's by {largest:.2g}, more than {tolerance:g}; "
            f"{'leave --half out' if tolerance == HALF_TOLERANCE else _remedy(size)}."
        )
    return ExportReport(largest_difference=largest, checked_shapes=shapes)


def _open(file: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def _compare(network: nn.Module, session: onnxruntime.InferenceSession, shape: Sequence[int]) -> float:
    images_NHW3 = _draw_images(shape)
    with torch.inference_mode():
        expected_NCHW = network(torch.from_numpy(images_NHW3)).numpy()
    (found_NCHW,) = session.run(None, {"images": images_NHW3})
    if found_NCHW.shape != expected_NCHW.shape:
        return float("inf")
    return float(np.abs(found_NCHW - expected_NCHW).max())


def _draw_images(shape: Sequence[int]) -> npt.NDArray[np.uint8]:
    # Smooth and noisy parts: noise alone looks the same at every scale.
    random = np.random.default_rng(0)
    batch, height, width, _ = shape
    ramp_HW1 = np.add.outer(np.arange(height), np.arange(width))[..., None] % 256
    noise_NHW3 = random.integers(0, 256, (batch, height, width, 3))
    return np.where(ramp_HW1 < 128, 2 * ramp_HW1, noise_NHW3).astype(np.uint8)


@contextmanager
def _quiet() -> Iterator[None]:
    # Traces warn of Python numbers that become constants; whether one did is what the check finds.
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _remedy(size: tuple[int, int] | None) -> str:
    if size is None:
        return "give --height and --width for a file that takes images of one size"
    return "choose another decoder or backbone for a model that shall be exported"


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:300]
