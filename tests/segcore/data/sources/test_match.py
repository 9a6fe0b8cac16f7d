from pathlib import Path

from segcore.data.sources.match import Match, Side


def side(*folder: str, places: tuple[tuple[str, ...], ...]) -> Side:
    files = {("", (), place[:-1], place[-1]): Path(*folder, *place[:-1], f"{place[-1]}.png") for place in places}
    return Side(folder=folder, ending="", files=files)


def test_flat_side_has_its_files_by_their_names_and_stars_in_its_pattern():
    nested = side("images", places=(("graz", "a"), ("linz", "b")))
    flat = side("masks", places=(("a",), ("b",)))
    assert nested.is_nested and not flat.is_nested
    match = Match(images=nested.flatten(), masks=flat)
    assert (len(match.shared), nested.flatten().fixed) == (2, ("images",))
    assert (match.to_patterns().images, match.to_patterns().masks) == ("images/**/{name}.png", "masks/{name}.png")
    assert match.holds(Match(images=side("images", "graz", places=(("a",),)), masks=flat))


def test_of_names_that_several_files_have_a_flat_side_has_one():
    assert len(side("masks", places=(("road", "a"), ("car", "a"))).flatten().files) == 1
