from segcore.data.dividing.copies import find_copies, find_made_of

HASHES = ("0a1b2c3d4e5f60718293a4b5c6d7e8f9", "ffffffffffffffffffffffffffffffff", "Zk3mXq81aBcD")


def test_images_that_roboflow_made_of_one_are_a_group():
    names = [f"street_png.rf.{HASHES[0]}", f"road_jpg.rf.{HASHES[0]}", f"street_png.rf.{HASHES[1]}"]
    assert find_copies([*names, f"street_png.rf.{HASHES[2]}"]) == [(names[0], names[2], f"street_png.rf.{HASHES[2]}")]


def test_the_image_that_they_were_made_of_is_of_their_group():
    copies = [f"street_JPG.rf.{HASHES[0]}", f"street_png.rf.{HASHES[1]}"]
    assert find_copies(["road", copies[0], "street", copies[1]]) == [(copies[0], "street"), ("street", copies[1])]


def test_other_names_are_of_no_group():
    assert find_copies(["a", "a.rf", "a.rf.1", "b.rf.2", "ab.rf.", f".rf.{HASHES[0]}"]) == []


def test_what_was_made_of_an_image_or_of_what_that_was_made_of_is_told_with_it():
    copy, other = f"street_jpg.rf.{HASHES[0]}", f"street_jpg.rf.{HASHES[1]}"
    assert find_made_of([copy, "road"], [other, f"road_PNG.rf.{HASHES[2]}", f"lane_jpg.rf.{HASHES[0]}", "street"]) == {
        other: copy, f"road_PNG.rf.{HASHES[2]}": "road", "street": copy,
    }  # fmt: skip
    assert find_made_of(["road", "road.rf.1"], ["road_jpg", "roads", f"road.rf.{HASHES[0]}"]) == {}
