from segcore.data.dividing.copies import find_copies

HASHES = ("0a1b2c3d4e5f60718293a4b5c6d7e8f9", "ffffffffffffffffffffffffffffffff", "Zk3mXq81aBcD")


def test_images_that_roboflow_made_of_one_are_a_group():
    names = [f"street_png.rf.{HASHES[0]}", f"road_jpg.rf.{HASHES[0]}", f"street_png.rf.{HASHES[1]}"]
    assert find_copies([*names, f"street_png.rf.{HASHES[2]}"]) == [(names[0], names[2], f"street_png.rf.{HASHES[2]}")]


def test_other_names_are_of_no_group():
    assert find_copies(["a", "a.rf", "a.rf.1", "b.rf.2", "ab.rf.", f".rf.{HASHES[0]}"]) == []
