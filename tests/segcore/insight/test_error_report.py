import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from segcore.__main__ import app
from segcore.data.classes import class_table_to_json
from segcore.data.dataset import decode_case, read_dataset
from segcore.data.dividing.folds import make_folds
from segcore.data.dividing.split import write_folds
from segcore.errors import CheckpointError, ConfigError, DataError
from segcore.insight.error_analysis import Selection, analyse_errors, measure_sizes
from segcore.insight.error_pictures import choose_extremes, render_error_map
from segcore.insight.error_report import bin_scores, describe_origin, render_errors
from segcore.machine import Machine
from segcore.networks.model import build_architecture
from segcore.prediction.ensemble_files import save_ensemble
from segcore.prediction.held_out import spread
from segcore.prediction.options import PredictOptions
from segcore.scoring.metrics import class_boundary_ious, count_confusion, score_image
from segcore.scoring.objects import Objects

MACHINE = Machine()


def analyse(model, data, **options):
    return analyse_errors(model, data, MACHINE, lambda done, total: None, Selection(**options))


def run(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture(scope="module")
def config(make_config):
    return make_config(input_mode="full")


@pytest.fixture(scope="module")
def states(config):
    found = []
    for seed in range(3):
        torch.manual_seed(seed)
        found.append(build_architecture(config, 4).state_dict())
    return found


@pytest.fixture
def make_model(tmp_path, states, config, classes):
    def make(notes, members=3, table=classes):
        save_ensemble(tmp_path / "m" / "model", iter(states[:members]), config=config, classes=table, notes=notes)
        return tmp_path / "m" / "model"

    return make


@pytest.fixture(scope="module")
def three(tmp_path_factory, states, config, classes):
    """A model of three members, each of which left one fold out."""
    folder = tmp_path_factory.mktemp("three") / "model"
    save_ensemble(folder, iter(states), config=config, classes=classes, notes={"folds": [0, 1, 2]})
    return folder


@pytest.fixture(scope="module")
def analysis(three, dataset_folder):
    return analyse(three, dataset_folder)


def test_each_image_is_scored_with_the_prediction_of_its_member(analysis, dataset_folder):
    assert [image.assignment.origin for image in analysis.images] == ["held out"] * 12
    dataset = read_dataset(dataset_folder)
    fold_of = make_folds(dataset.cases, 3).fold_of
    ensemble = analysis.ensemble
    for image in analysis.images[::5]:
        (member,) = image.assignment.members
        assert member == fold_of[image.case.name]
        decoded = decode_case(image.case)
        alone = replace(ensemble, members=(ensemble.members[member],)).predict(decoded.image_HW3)
        confusion = count_confusion(torch.from_numpy(decoded.mask_HW), torch.from_numpy(alone), 4)
        assert image.score.confusion_CP.tolist() == confusion.tolist()
        assert image.score.iou == score_image("", "", confusion.numpy(), dataset.classes).iou


def test_images_that_the_model_trained_on_are_left_out_unless_asked_for(make_model, dataset_folder):
    model = make_model({"fold": 1, "folds": 3}, members=1)
    held_out = analyse(model, dataset_folder)
    count = len(held_out.images)
    assert 0 < count < 12 and held_out.left_out == 12 - count
    assert not any(warns for _, warns in describe_origin(held_out))
    everything = analyse(model, dataset_folder, every_image=True)
    assert len(everything.images) == 12
    assert (
        f"{12 - count} images were predicted by networks that trained on them: scores here flatter the model.",
        True,
    ) in (describe_origin(everything))


def test_unknown_origin_is_a_warning_on_the_page(make_model, dataset_folder, read_page):
    analysis = analyse(make_model({}), dataset_folder, images=2)
    page = render_errors(analysis, "m", "d")
    assert '<p class="warning">The model&#x27;s notes do not say which images it trained on.' in page
    read_page(page)


@pytest.mark.parametrize(("change", "same"), [(0.0, True), (0.02, False)])
def test_score_is_compared_with_the_one_that_the_training_noted(analysis, change, same):
    noted = analysis.metrics["iou"] + change
    of_notes = replace(analysis, notes=replace(analysis.notes, score=noted))
    text, warns = describe_origin(of_notes)[-1]
    assert warns is not same
    assert text.startswith("The training noted the same iou" if same else f"The training noted iou {noted:.4f}")
    # Some of the images say nothing about the score of all.
    assert len(describe_origin(replace(of_notes, images=analysis.images[:3]))) == 1


def test_score_by_options_that_were_tuned_since_is_no_alarm(analysis):
    tuned = replace(analysis.ensemble, options=PredictOptions(mode="full", flip=True))
    of_notes = replace(analysis, ensemble=tuned, notes=replace(analysis.notes, score=analysis.metrics["iou"] + 0.02))
    text, warns = describe_origin(of_notes)[-1]
    assert text.endswith("predicted as the model's ensemble.json says: full + flip.") and not warns


def test_data_of_one_condition_and_one_fold_has_no_row_twice(make_model, dataset_folder, read_page):
    analysis = analyse(make_model({"fold": 1, "folds": 3}, members=1), dataset_folder)
    unknown = [replace(image, case=replace(image.case, group="all", condition="")) for image in analysis.images]
    text = read_page(render_errors(replace(analysis, images=tuple(unknown)), "m", "d"))
    places, folds = text.split("By condition ")[1].split("Objects found")[0].split("Score of each fold")
    assert "(not known)" in places and " all " not in places
    assert "fold 1" in folds and " all " not in folds
    assert "(all)" in text and "(all, )" not in text


@pytest.mark.parametrize("metric", ["miou", "iou/car"])
def test_page_leads_with_the_metric_that_decided_in_the_training(analysis, metric):
    noted = analysis.metrics[metric]
    of_notes = replace(analysis, notes=replace(analysis.notes, metric=metric, score=noted))
    assert describe_origin(of_notes)[-1] == (
        f"The training noted the same {metric} on its held-out images, {noted:.4f}.", False,
    )  # fmt: skip
    page = render_errors(of_notes, "m", "d")
    assert page.index(f"{noted:.3f}") < page.index(f"{analysis.metrics['iou']:.3f}")
    assert f"would give {metric} " in page


def test_borders_are_counted_for_every_model(analysis, read_page):
    assert 0 <= analysis.metrics["boundary_iou"] <= 1
    borders = class_boundary_ious([image.score for image in analysis.images], analysis.classes)
    text = read_page(render_errors(analysis, "m", "d"))
    assert f"boundary_iou, along borders {analysis.metrics['boundary_iou']:.3f}" in text
    assert f"car * {analysis.metrics['iou/car']:.3f} {borders[1]:.3f}" in text


def test_page_of_a_model_that_was_trained_for_borders_leads_with_them(analysis):
    page = render_errors(replace(analysis, notes=replace(analysis.notes, metric="boundary_iou")), "m", "d")
    assert page.index("boundary_iou, along borders") < page.index("iou, the contest")
    assert "Calling everything" not in page


def test_each_condition_group_and_fold_has_a_total(analysis, dataset_folder, read_page):
    text = read_page(render_errors(analysis, "m", "d"))

    def told(images):
        scores = [image.score.iou for image in images]
        return f"{len(images)} {np.mean(scores):.3f} {min(scores):.3f} {max(scores):.3f}"

    images = analysis.images
    night = [image for image in images if image.case.condition == "night"]
    saitama = [image for image in images if image.case.group == "Saitama"]
    fold_of = make_folds(read_dataset(dataset_folder).cases, 3).fold_of
    first = [image for image in images if fold_of[image.case.name] == 0]
    assert f"night {told(night)} all {told(images)} By group" in text
    assert f"Saitama {told(saitama)} Tokyo1" in text
    assert f"fold 0 0 {told(first)} fold 1 1" in text


def test_page_of_a_model_of_unknown_folds_says_so(make_model, dataset_folder, read_page):
    text = read_page(render_errors(analyse(make_model({}), dataset_folder, images=2), "m", "d"))
    assert "The folds of the training are not known; give its folds.json by --folds." in text


@pytest.mark.parametrize(("address", "leads"), [("http://h:5000/#/runs/1", True), ("javascript:alert(1)", False)])
def test_page_leads_to_the_run_that_the_notes_name(analysis, address, leads, read_page):
    notes = replace(analysis.notes, search="<b>", trial=4, run=address)
    page = render_errors(replace(analysis, notes=notes), "m", "d")
    assert "Trained by the search <b>, with the configuration of its trial 4. Its run in MLflow" in read_page(page)
    assert (f'<a href="{address}">' in page) is leads
    assert "Its run in MLflow" not in render_errors(replace(analysis, notes=replace(notes, search="")), "m", "d")


def test_score_of_several_networks_of_one_fold_is_not_the_one_that_the_training_noted(analysis):
    notes = replace(analysis.notes, left_out=(1, 1, 1), score=0.1)
    assert not any("noted" in text for text, _ in describe_origin(replace(analysis, notes=notes)))


def test_image_that_may_have_been_trained_on_is_left_out_with_that_reason(make_model, dataset_folder):
    model = make_model({"folds": [0, 1, 2], "extra_cases": 2})
    dataset = read_dataset(dataset_folder)
    split = make_folds(dataset.cases, 3)
    fold_of = dict(list(split.fold_of.items())[:9])
    write_folds(replace(split, fold_of=fold_of), model / "folds.json")
    text, _ = describe_origin(analyse(model, dataset_folder))[1]
    assert text == "3 images were left out, because the model trained, or may have trained, on them."


def test_background_of_a_model_of_other_scored_classes_is_refused(tmp_path, dataset_folder, make_config, classes):
    config = make_config(input_mode="full", labels="scored")
    table = replace(classes, scored=("car",))
    states = iter([build_architecture(config, 2).state_dict()])
    save_ensemble(tmp_path / "model", states, config=config, classes=table, notes={})
    with pytest.raises(DataError, match=r"scores car, person, but the model learnt car and one background"):
        analyse(tmp_path / "model", dataset_folder)


def test_given_folds_decide(three, dataset_folder, tmp_path):
    split = make_folds(read_dataset(dataset_folder).cases, 3)
    turned = {name: (fold + 1) % 3 for name, fold in split.fold_of.items()}
    write_folds(replace(split, fold_of=turned), tmp_path / "turned.json")
    analysis = analyse(three, dataset_folder, images=4, folds_file=tmp_path / "turned.json")
    assert [image.assignment.members for image in analysis.images] == [
        (turned[image.case.name],) for image in analysis.images
    ]


def test_recall_by_size_is_the_mean_over_objects():
    # Two small objects found to 1/4 and 1/2, one medium not at all, no large one.
    of_size = measure_sizes(Objects(areas_N=np.array([8, 1000, 2000]), found_N=np.array([2, 500, 0])))
    assert (of_size["small"].objects, of_size["small"].found, of_size["small"].half_found) == (2, 0.375, 0.5)
    assert (of_size["medium"].objects, of_size["medium"].found) == (1, 0.0)
    assert of_size["large"].objects == 0 and np.isnan(of_size["large"].found)


def test_scores_fall_into_twenty_bins():
    counts = bin_scores([0.0, 0.04, 0.05, 0.15, 0.3, 1.0])
    assert {i: count for i, count in enumerate(counts) if count} == {0: 2, 1: 1, 3: 1, 6: 1, 19: 1}


def test_a_limit_spreads_over_the_data():
    assert spread(list(range(10)), 2) == [2, 7]
    assert spread(list(range(3)), 5) == [0, 1, 2] == spread(list(range(3)), None)


def test_error_map_colours_mistakes_over_pale_grey():
    image_HW3 = np.zeros((1, 4, 3), np.uint8)
    map_HW3 = render_error_map(image_HW3, np.array([[0, 1, 2, 255]], np.uint8))
    assert map_HW3.tolist() == [[[130] * 3, [255, 190, 30], [220, 30, 30], [90] * 3]]


def test_no_image_is_among_the_worst_and_the_best(analysis):
    analysis = replace(analysis, images=analysis.images[:5])
    worst, best = choose_extremes(analysis, worst=True), choose_extremes(analysis, worst=False)
    scores = sorted(image.score.iou for image in analysis.images)
    assert [image.score.iou for image in worst] == scores[:3]
    assert [image.score.iou for image in best] == scores[:2:-1]


def test_page_shows_scores_confusions_and_pictures(three, analysis, dataset_folder, tmp_path, read_page):
    out = tmp_path / "new" / "errors.html"
    result = run("errors", three, dataset_folder, out, "--cpus", 1)
    assert result.exit_code == 0, result.output
    page = out.read_text(encoding="utf-8")
    text = read_page(page)
    assert f"iou, the contest's score {analysis.metrics['iou']:.3f}" in text
    assert f"miou, over all classes {analysis.metrics['miou']:.3f}" in text
    assert re.search(r"\d+% of (road|car \*|person \*|sky) called (road|car|person|sky)", text)
    # Six of the worst and six of the best, four pictures each.
    assert page.count("<img ") == 12 * 4
    assert all(f"{case.name} " in text for case in read_dataset(dataset_folder).cases)
    assert "12 images were predicted out of fold" in " ".join(result.output.split())


def test_model_of_the_scored_classes_has_a_background(tmp_path, dataset_folder, make_config, classes, read_page):
    config = make_config(input_mode="full", labels="scored")
    states = iter([build_architecture(config, 3).state_dict()])
    save_ensemble(tmp_path / "model", states, config=config, classes=classes, notes={})
    analysis = analyse(tmp_path / "model", dataset_folder, images=2)
    assert analysis.confusion.names == ("car", "person", "background")
    text = read_page(render_errors(analysis, "m", "d"))
    assert "miou, over all classes" not in text and "background" in text


def test_background_that_is_one_class_is_counted_as_that_class(tmp_path, dataset_folder, make_config, classes):
    # All classes but the sky are scored, so the background of the network is the sky.
    folder = shutil.copytree(dataset_folder, tmp_path / "data")
    table = replace(classes, scored=("road", "car", "person"))
    (folder / "classes.json").write_text(json.dumps(class_table_to_json(table)))
    config = make_config(input_mode="full", labels="scored")
    states = iter([build_architecture(config, 4).state_dict()])
    save_ensemble(tmp_path / "model", states, config=config, classes=table, notes={})
    analysis = analyse(tmp_path / "model", folder)
    counted = np.sum([image.score.confusion_CP for image in analysis.images], axis=0)
    assert counted[:, 3].any()
    assert analysis.confusion.names == ("road", "car", "person", "sky")
    assert analysis.confusion.pixels_KK.tolist() == counted[:, :4].tolist()


def test_names_are_escaped(make_model, dataset_folder, tmp_path, read_page, classes):
    table = class_table_to_json(classes)
    table["classes"][1]["name"] = table["scored"][0] = "<b>"
    folder = shutil.copytree(dataset_folder, tmp_path / "data")
    (folder / "classes.json").write_text(json.dumps(table))
    model = make_model({})
    document = json.loads((model / "ensemble.json").read_text())
    document["classes"] = table
    (model / "ensemble.json").write_text(json.dumps(document))
    page = render_errors(analyse(model, folder, images=2), "<i>m</i>", "<i>d</i>")
    assert not re.search(r"<b>(?!\d)(?!–)", page) and "<i>" not in page
    assert "<b> *" in read_page(page)


def test_mistakes_are_said_in_one_line(make_model, dataset_folder, tmp_path, make_dataset):
    model = make_model({})
    other = make_dataset()
    table = json.loads((other / "classes.json").read_text())
    table["classes"][0]["name"] = "street"
    (other / "classes.json").write_text(json.dumps(table))
    bare = shutil.copytree(other, tmp_path / "bare")
    shutil.rmtree(bare / "seg_train_annotations")
    for arguments, error, message in (
        ((tmp_path, dataset_folder), CheckpointError, "is no model directory"),
        ((model, other), DataError, "class 0 is 'street' in the data and 'road' in the model"),
        ((model, dataset_folder, "--images", 0), ConfigError, "images=0: at least 1"),
    ):
        result = run("errors", *arguments[:2], tmp_path / "page.html", "--cpus", 1, *arguments[2:])
        assert isinstance(result.exception, error), result.output
        assert message in str(result.exception) and "\n" not in str(result.exception)
    result = run("errors", model, bare, tmp_path / "page.html", "--cpus", 1)
    assert str(result.exception).startswith(f"{bare} cannot be used, 1 problem:\n  - seg_train_annotations/ is missing")
    assert not (tmp_path / "page.html").exists()
