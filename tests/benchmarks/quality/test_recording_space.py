from benchmarks.quality.record import draw_configuration

HEAD = {"space": "benchmarks.quality.recording_space:recorded_street", "epochs": 9, "fixed": {}}
HEAD["facts"] = {"smallest_side": 360, "images": 468}
PARTS = {
    "encoder_rate_factor": lambda params: params["backbone"] != "resnet18",
    "attention": lambda params: params["decoder"] == "unet",
    "focal_gamma": lambda params: params["loss"].startswith("focal"),
    "ohem_probability": lambda params: params["ohem_share"] < 1,
    "crop_size": lambda params: params["input_mode"] == "crop",
    "scale": lambda params: params["input_mode"] == "resize",
}


def test_what_belongs_to_a_part_is_drawn_with_that_part_alone_and_no_weights_are_fetched():
    drawn = [draw_configuration(HEAD, number) for number in range(40)]
    for name, is_there in PARTS.items():
        assert [name in each.params for each in drawn] == [is_there(each.params) for each in drawn]
    installed = {"tf_efficientnet_lite0", "tf_efficientnet_lite2"}
    assert {each.values["backbone"] for each in drawn if each.values["weights"] == "imagenet"} == installed
