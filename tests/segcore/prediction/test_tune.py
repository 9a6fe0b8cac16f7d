import csv
import itertools
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

from segcore.__main__ import app
from segcore.data.case import Case
from segcore.data.dataset import read_dataset
from segcore.data.decoding import decode_rgb
from segcore.data.dividing.folds import make_folds
from segcore.data.picture_files import save_png
from segcore.errors import CheckpointError, ConfigError, DataError, StorageError
from segcore.insight.figures import colour_mask
from segcore.machine import Machine
from segcore.networks.model import build_architecture
from segcore.prediction import tune
from segcore.prediction.ensemble_files import load_ensemble, read_ensemble_notes, save_ensemble, save_options
from segcore.prediction.held_out import choose_members, plan_held_out
from segcore.prediction.options import PredictOptions
from segcore.prediction.training_notes import parse_notes
from segcore.prediction.tune import HeldOutImage, choose_images, measure_options, require_known_names
from segcore.prediction.tune_report import describe_options, format_csv, write_report
from segcore.scoring.masks import score_masks
from tests.conftest import ENCODING
from tests.segcore.prediction.conftest import measured

MACHINE = Machine()
FOLDS = 3


def silent(done, total):
    pass


@pytest.fixture(scope="module")
def split(dataset_folder):
    return make_folds(read_dataset(dataset_folder).cases, FOLDS)


def save_model(folder, config, classes, split, left_out, **notes):
    def build(seed):
        torch.manual_seed(seed)
        return build_architecture(config, 4).state_dict()

    notes = {"left_out": left_out, **notes}
    save_ensemble(folder, map(build, range(len(left_out))), config=config, classes=classes, notes=notes, split=split)
    return folder


@pytest.fixture
def folder(tmp_path, make_config, classes, split):
    """A model whose members left out folds 0, 1, 2."""
    return save_model(tmp_path / "model", make_config(), classes, split, [0, 1, 2])


@pytest.fixture
def plan(folder, dataset_folder):
    notes = read_ensemble_notes(folder)["notes"]
    return plan_held_out(parse_notes(notes, 3), read_dataset(dataset_folder).cases, folder)


@pytest.fixture
def cases(dataset_folder):
    return read_dataset(dataset_folder).cases


def test_each_image_is_given_to_the_member_that_left_it_out(cases, plan, split):
    images = choose_images(cases, plan, 50)
    assert sorted(image.case.name for image in images) == [case.name for case in cases]
    assert plan.source == "read from the model's folds.json"
    assert all(image.members == (split.fold_of[image.case.name],) for image in images)


def test_images_are_few_and_evenly_spaced_in_each_fold(cases, plan, split):
    images = choose_images(cases, plan, 2)
    for fold in range(FOLDS):
        of_fold = [case for case in cases if split.fold_of[case.name] == fold]
        of_fold.sort(key=lambda case: (case.group, case.condition, case.frame, case.name))
        # The middles of both halves.
        first, second = {6: (1, 4), 3: (0, 2)}[len(of_fold)]
        assert [image.case for image in images if image.members == (fold,)] == [of_fold[first], of_fold[second]]


def test_model_that_does_not_say_what_it_left_out_is_refused(cases):
    unknown = plan_held_out(parse_notes({}, 3), cases, cases[0].image)
    with pytest.raises(DataError, match=r"does not say which images it left out.*retrain"):
        choose_images(cases, unknown, 5)


def test_model_that_trained_on_every_image_is_refused(cases, folder, split):
    others = tuple(case for case in cases if split.fold_of[case.name] != 1)
    plan = plan_held_out(parse_notes({"left_out": [1], "folds": FOLDS}, 1), others, folder)
    with pytest.raises(DataError, match="the model trained on every one"):
        choose_images(others, plan, 5)


def test_less_than_one_image_is_refused(cases, plan):
    with pytest.raises(ConfigError, match="images=0"):
        choose_images(cases, plan, 0)


def test_images_under_other_names_are_refused_and_new_ones_left_out(cases):
    assert require_known_names(cases, {cases[3].name: 0}) == (cases[3],)
    with pytest.raises(DataError, match=r"'train_0000' is not among 1, such as 'frame_7'\); give the data set"):
        require_known_names(cases, {"frame_7": 0})


def test_score_is_that_of_the_held_out_members_masks(folder, cases, plan, split, dataset_folder, tmp_path):
    """The same as if every fold's own network had predicted into a folder that `score` then reads."""
    ensemble = load_ensemble(folder, MACHINE)
    images = choose_images(cases, plan, 50)
    (row,) = measure_options(ensemble, ensemble.classes, images, [PredictOptions(flip=True)], silent)
    (tmp_path / "masks").mkdir()
    for case in cases:
        own = choose_members(ensemble, [split.fold_of[case.name]]).with_options({"flip": True})
        _write_mask(own, case, tmp_path / "masks")
    expected = score_masks(dataset_folder, tmp_path / "masks").metrics
    assert row.score == row.metrics["iou"] == pytest.approx(expected["iou"])
    assert row.metrics["miou"] == pytest.approx(expected["miou"])
    assert row.members == 1
    assert row.milliseconds > 0


@pytest.mark.parametrize("metric", ["miou", "iou/car", "boundary_iou"])
def test_ways_are_scored_in_the_metric_that_decides(folder, cases, plan, metric):
    ensemble = load_ensemble(folder, MACHINE)
    images = choose_images(cases, plan, 2)
    (row,) = measure_options(ensemble, ensemble.classes, images, [PredictOptions()], silent, metric=metric)
    assert row.score == row.metrics[metric]
    assert len(row.image_scores) == len(images)
    assert sum(row.image_scores.values()) / len(images) == pytest.approx(row.score)


def _write_mask(ensemble, case, folder):
    save_png(colour_mask(ensemble.predict(decode_rgb(case.image)), ensemble.classes), folder / f"{case.name}.png")


def test_members_of_one_fold_are_scored_together_and_fewer_of_them_alone(
    tmp_path, make_config, classes, split, cases, monkeypatch
):
    # Each prediction takes a second, however many networks make it.
    monkeypatch.setattr(tune, "time", SimpleNamespace(perf_counter=itertools.count().__next__))
    folder = save_model(tmp_path / "model", make_config(), classes, split, [1, 1, 1], folds=FOLDS)
    plan = plan_held_out(parse_notes(read_ensemble_notes(folder)["notes"], 3), cases, folder)
    images = choose_images(cases, plan, 50)
    assert {image.members for image in images} == {(0, 1, 2)}
    assert {split.fold_of[image.case.name] for image in images} == {1}
    ensemble = load_ensemble(folder, MACHINE)
    for members in (1, 2, 3):
        (row,) = measure_options(ensemble, ensemble.classes, images, [PredictOptions()], silent, members)
        alone = choose_members(ensemble, range(members))
        (expected,) = measure_options(alone, alone.classes, _given(images, members), [PredictOptions()], silent)
        assert (row.members, row.milliseconds) == (members, pytest.approx(1000))
        assert row.image_scores == expected.image_scores


def _given(images, members):
    return [replace(image, members=tuple(range(members))) for image in images]


def test_way_that_needs_too_much_memory_is_left_out(folder, cases, plan):
    ensemble = load_ensemble(folder, MACHINE)
    for member in ensemble.members:
        member.network.register_forward_pre_hook(_fail_on_large)
    found = measure_options(
        ensemble,
        ensemble.classes,
        choose_images(cases, plan, 1),
        [PredictOptions(scales=(2.0,)), PredictOptions()],
        silent,
    )
    assert [row.options for row in found] == [PredictOptions()]


def test_no_proposal_costs_no_image(folder, tmp_path):
    ensemble = load_ensemble(folder, MACHINE)
    missing = Case(
        name="x",
        image=tmp_path / "x.jpg",
        mask=tmp_path / "x.png",
        encoding=ENCODING,
        group="r",
        condition="day",
        frame=0,
    )
    assert measure_options(ensemble, ensemble.classes, [HeldOutImage(case=missing, members=(0,))], [], silent) == []


def _fail_on_large(module, inputs):
    if inputs[0].shape[1] > 64:
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_report_holds_every_way_and_the_choice(tmp_path):
    rows = [measured(10, 0.5, mode="resize", scale=0.5), measured(20, 0.4), measured(30, 0.6, scales=(0.5, 1.0))]
    table, picture = write_report(rows, rows[2], "iou", tmp_path)
    found = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["way"] for row in found] == ["resize 0.5", "auto", "auto + scales 0.5,1"]
    assert [(row["pareto"], row["chosen"]) for row in found] == [("1", "0"), ("0", "0"), ("1", "1")]
    assert [float(row["ms_per_image"]) for row in found] == [10, 20, 30]
    assert found[2]["scales"] == "0.5,1"
    assert format_csv(rows, rows[2], "iou") == table.read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 2


def test_saved_options_replace_only_the_options(folder):
    before = read_ensemble_notes(folder)
    save_options(folder, PredictOptions(flip=True))
    after = read_ensemble_notes(folder)
    assert after.pop("predict") == json.loads(json.dumps(PredictOptions(flip=True).values()))
    assert after == {name: value for name, value in before.items() if name != "predict"}
    assert load_ensemble(folder, MACHINE).options == PredictOptions(flip=True)
    assert not list(folder.glob("*.tmp"))
    with pytest.raises(CheckpointError):
        save_options(folder / "nothing", PredictOptions())


def test_report_of_another_metric_has_its_column(tmp_path):
    rows = [replace(measured(10, 0.5), score=0.25, metrics={"iou": 0.5, "miou": 0.3, "iou/car": 0.25})]
    table, _ = write_report(rows, rows[0], "iou/car", tmp_path)
    (found,) = csv.DictReader(table.read_text().splitlines())
    assert (found["iou/car"], found["iou"], found["miou"]) == ("0.25", "0.5", "0.3")


def _run(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments), "--device", "cpu", "--cpus", "1"])


def test_command_chooses_for_predict(folder, dataset_folder):
    result = _run("tune-predict", folder, dataset_folder, "--images", 1)
    assert result.exit_code == 0, result.output
    words = " ".join(result.output.split())
    assert "Scored on 3 images" in words and "1 of the 3 networks" in words
    rows = list(csv.DictReader((folder / "tune_predict.csv").read_text().splitlines()))
    best = max(rows, key=lambda row: float(row["iou"]))
    (chosen,) = [row for row in rows if row["chosen"] == "1"]
    assert chosen["iou"] == best["iou"]
    saved = load_ensemble(folder, MACHINE).options
    assert describe_options(saved) == chosen["way"]
    assert saved.mode != "auto"
    assert (folder / "tune_predict.png").exists()


def test_command_chooses_by_the_objective_and_refuses_what_is_none(folder, dataset_folder):
    refused = _run("tune-predict", folder, dataset_folder, "--objective", "iou/cra")
    assert (refused.exit_code, "did you mean car" in str(refused.exception)) == (1, True)
    result = _run("tune-predict", folder, dataset_folder, "--images", 1, "--objective", "iou/sky")
    assert result.exit_code == 0, result.output
    assert "iou/sky" in result.output
    rows = list(csv.DictReader((folder / "tune_predict.csv").read_text().splitlines()))
    (chosen,) = [row for row in rows if row["chosen"] == "1"]
    assert float(chosen["iou/sky"]) == max(float(row["iou/sky"]) for row in rows if row["members"] == chosen["members"])


def test_command_refuses_with_a_message_and_leaves_the_model_as_it_was(folder, make_dataset):
    before = (folder / "ensemble.json").read_bytes()
    foreign = make_dataset(name="foreign")
    for file in list(foreign.rglob("train_*")):
        file.rename(file.with_name(file.name.replace("train", "other")))
    result = _run("tune-predict", folder, foreign)
    assert isinstance(result.exception, DataError)
    assert "give the data set that the model was trained on" in str(result.exception)
    assert (folder / "ensemble.json").read_bytes() == before


def test_command_reads_masks_in_the_colours_of_the_data(folder, make_dataset):
    data = make_dataset(*[(64, 96)] * 12)
    document = json.loads((data / "classes.json").read_text())
    red, blue = document["classes"][2]["rgb"], [250, 250, 0]
    document["classes"][2]["rgb"] = blue
    (data / "classes.json").write_text(json.dumps(document))
    for file in (data / "seg_train_annotations").glob("*.png"):
        mask_HW3 = decode_rgb(file).copy()
        mask_HW3[(mask_HW3 == red).all(axis=2)] = blue
        save_png(mask_HW3, file)
    result = _run("tune-predict", folder, data, "--images", 1)
    assert result.exit_code == 0, result.exception


def test_table_that_cannot_be_written_has_been_printed(folder, dataset_folder):
    (folder / "tune_predict.csv").mkdir()
    before = (folder / "ensemble.json").read_bytes()
    result = _run("tune-predict", folder, dataset_folder, "--images", 1)
    assert isinstance(result.exception, StorageError)
    assert result.output.count("(now)") == 1
    assert (folder / "ensemble.json").read_bytes() == before


def test_command_refuses_names_that_the_folds_of_the_search_do_not_know(folder, make_dataset):
    model = folder.parent / "search" / "retrain" / "model"
    model.parent.mkdir(parents=True)
    folder.rename(model)
    (model / "folds.json").rename(folder.parent / "search" / "folds.json")
    foreign = make_dataset(name="foreign")
    for file in list(foreign.rglob("train_*")):
        file.rename(file.with_name(file.name.replace("train", "other")))
    result = _run("tune-predict", model, foreign)
    assert isinstance(result.exception, DataError)
    assert "give the data set that the model was trained on" in str(result.exception)
