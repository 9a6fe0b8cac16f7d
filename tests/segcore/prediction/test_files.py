import threading

import numpy as np
import pytest
from PIL import Image

from segcore.errors import DataError, StorageError
from segcore.machine import Machine
from segcore.networks.model import build_architecture
from segcore.prediction.ensemble import load_ensemble, save_ensemble
from segcore.prediction.files import predict_files


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory, make_config, classes):
    folder = tmp_path_factory.mktemp("model") / "model"
    config = make_config()
    weights = iter([build_architecture(config, 4).state_dict()])
    save_ensemble(folder, weights, config=config, classes=classes, notes={})
    return load_ensemble(folder, Machine())


@pytest.fixture
def files(tmp_path):
    """Seven images of different sizes."""
    made = []
    for number in range(7):
        pixels_HW3 = np.random.default_rng(number).integers(0, 256, (40 + number, 50, 3), np.uint8)
        made.append(tmp_path / f"{number}.png")
        Image.fromarray(pixels_HW3).save(made[-1])
    return made


@pytest.mark.parametrize("writers", [1, 3])
def test_every_file_is_saved_once_with_its_own_prediction(ensemble, files, writers):
    saved, steps, threads = {}, [], set()

    def save(file, image_HW3, classes_HW):
        assert file not in saved
        threads.add(threading.current_thread())
        saved[file] = (image_HW3, classes_HW)

    predict_files(ensemble, files, save, lambda done, total: steps.append((done, total)), writers=writers)
    assert sorted(saved) == files
    assert threading.current_thread() not in threads
    assert steps == [(done, 7) for done in range(1, 8)]
    for file, (image_HW3, classes_HW) in saved.items():
        assert np.array_equal(image_HW3, np.asarray(Image.open(file)))
        assert np.array_equal(classes_HW, ensemble.predict(image_HW3))


def test_error_of_a_writer_reaches_the_caller(ensemble, files):
    def save(file, image_HW3, classes_HW):
        raise StorageError("the disk is full")

    with pytest.raises(StorageError, match="the disk is full"):
        predict_files(ensemble, files, save, lambda done, total: None)


def test_damaged_image_ends_the_work_after_those_before_it(ensemble, files):
    files[2].write_bytes(files[2].read_bytes()[:100])
    saved = []
    with pytest.raises(DataError, match=r"2\.png: cannot be decoded"):
        predict_files(ensemble, files, lambda file, *_: saved.append(file), lambda done, total: None)
    assert saved == files[:2]


def test_images_waiting_to_be_saved_are_few(ensemble, files):
    """A slow disk must not fill the memory with predictions."""
    release, waiting = threading.Event(), []

    def save(file, image_HW3, classes_HW):
        assert release.wait(30)

    def progress(done, total):
        waiting.append(done)
        if done == 2:
            # Two predictions wait; a third must not be made before one of them is saved.
            threading.Timer(0.3, lambda: (waiting.append("saved"), release.set())).start()

    predict_files(ensemble, files, save, progress, writers=1)
    assert waiting[:3] == [1, 2, "saved"]
