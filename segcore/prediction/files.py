"""Image files through an ensemble: the next file is decoded and the last ones are saved while the networks compute."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from segcore.data.cache import Progress
from segcore.data.decoding import decode_rgb
from segcore.prediction.ensemble import Ensemble

Save = Callable[[Path, npt.NDArray[np.uint8], npt.NDArray[np.uint8]], None]
"""Called with (image file, its pixels (H, W, 3), class indices (H, W)), in another thread."""


def predict_files(
    ensemble: Ensemble, files: Sequence[Path], save: Save, progress: Progress, *, writers: int = 1
) -> None:
    """Predict image files one after the other.

    Memory holds the image in the networks, the next one, and two for each writer, however many files there are.

    Args:
        ensemble: the networks.
        files: at least one image file.
        save: what is done with a prediction; an error in it ends the work.
        progress: told how many files are predicted.
        writers: threads that save.

    Raises:
        DataError: when a file cannot be decoded.
        DeviceMemoryError: when an image is too large for the device.
    """
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(writers) as writer:
        saving: deque[Future[None]] = deque()
        decoded = reader.submit(decode_rgb, files[0])
        for done, file in enumerate(files, start=1):
            image_HW3 = decoded.result()
            if done < len(files):
                decoded = reader.submit(decode_rgb, files[done])
            classes_HW = ensemble.predict(image_HW3)
            if len(saving) == 2 * writers:
                saving.popleft().result()
            saving.append(writer.submit(save, file, image_HW3, classes_HW))
            progress(done, len(files))
        for waiting in saving:
            waiting.result()
