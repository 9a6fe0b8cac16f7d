import threading

import numpy as np
import pytest
from PIL import Image

from segcore.errors import StorageError
from segcore.machine import Machine
from segcore.networks.model import build_architecture
from segcore.prediction.ensemble_files import load_ensemble, save_ensemble
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


@pytest.mark.parametrize("broken", [0, 6], ids=["first", "last"])
def test_error_of_a_writer_reaches_the_caller(ensemble, files, broken):
    def save(file, image_HW3, classes_HW):
        if file == files[broken]:
            raise StorageError("the disk is full")

    with pytest.raises(StorageError, match="the disk is full"):
        predict_files(ensemble, files, save, lambda done, total: None)


@pytest.mark.parametrize("damaged", [(2,), (0, 1, 6), tuple(range(7))])
def test_damaged_images_are_passed_over_and_told(ensemble, files, damaged):
    for number in damaged:
        files[number].write_bytes(files[number].read_bytes()[:100])
    saved, steps = [], []
    problems = predict_files(
        ensemble, files, lambda file, *_: saved.append(file), lambda done, total: steps.append(done)
    )
    assert saved == [file for number, file in enumerate(files) if number not in damaged]
    assert [problem.split(":")[0] for problem in problems] == [f"{number}.png" for number in damaged]
    assert steps == list(range(1, 8))


def test_camera_on_its_side_gets_an_upright_prediction(ensemble, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40)).save(tmp_path / "a.jpg", exif=exif)
    sizes = []
    predict_files(
        ensemble,
        [tmp_path / "a.jpg"],
        lambda file, image_HW3, classes_HW: sizes.append((image_HW3.shape, classes_HW.shape)),
        lambda done, total: None,
    )
    assert sizes == [((60, 40, 3), (60, 40))]


def test_images_waiting_to_be_saved_are_few(ensemble, files):
    """A slow disk must not fill the memory with predictions."""
    release, waiting = threading.Event(), []

    def save(file, image_HW3, classes_HW):
        assert release.wait(600)

    def progress(done, total):
        waiting.append(done)
        if done == 2:
            # Two predictions wait; a third must not be made before one of them is saved.
            threading.Timer(0.3, lambda: (waiting.append("saved"), release.set())).start()

    predict_files(ensemble, files, save, progress, writers=1)
    assert waiting[:3] == [1, 2, "saved"]
