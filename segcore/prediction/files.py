"""Image files through an ensemble: the next file is decoded and the last ones are saved while the networks compute."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from segcore.data.caching.cache import Progress
from segcore.data.decoding import decode_rgb
from segcore.errors import DataError
from segcore.prediction.ensemble import Ensemble

Save = Callable[[Path, npt.NDArray[np.uint8], npt.NDArray[np.uint8]], None]
"""Called with (image file, its pixels (H, W, 3), class indices (H, W)), in another thread."""


def predict_files(
    ensemble: Ensemble, files: Sequence[Path], save: Save, progress: Progress, *, writers: int = 1
) -> tuple[str, ...]:
    """Predict image files one after the other, past those that cannot be decoded, and return what is wrong with them.

    Memory holds the image in the networks, the next one, and two for each writer, however many files there are.

    Args:
        ensemble: the networks.
        files: at least one image file.
        save: what is done with a prediction; an error in it ends the work.
        progress: told how many files are done.
        writers: threads that save.

    Raises:
        DeviceMemoryError: when an image is too large for the device.
    """
    problems = []

    def fetch_and_save(file: Path, image_HW3: npt.NDArray[np.uint8], classes_HW: Tensor) -> None:
        # Fetched by the thread that needs it: the device has the next image by then.
        save(file, image_HW3, classes_HW.cpu().numpy())

    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(writers) as writer:
        saving: deque[Future[None]] = deque()
        decoded = reader.submit(_try_decode, files[0])
        for done, file in enumerate(files, start=1):
            image_HW3 = decoded.result()
            if done < len(files):
                decoded = reader.submit(_try_decode, files[done])
            if isinstance(image_HW3, DataError):
                problems.append(str(image_HW3))
            else:
                classes_HW = ensemble.predict_on_device(image_HW3)
                if len(saving) == 2 * writers:
                    saving.popleft().result()
                saving.append(writer.submit(fetch_and_save, file, image_HW3, classes_HW))
            progress(done, len(files))
        for waiting in saving:
            waiting.result()
    return tuple(problems)


def _try_decode(file: Path) -> npt.NDArray[np.uint8] | DataError:
    try:
        return decode_rgb(file)
    except DataError as error:
        return error
