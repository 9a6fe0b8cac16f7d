import pytest

from segcore.data.texts import read_text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_text_is_read_in_the_encodings_that_programs_write(tmp_path, encoding):
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    (tmp_path / "names.txt").write_bytes(f"{mark}Straße\r\n空\n".encode(encoding))
    assert read_text(tmp_path / "names.txt") == "Straße\r\n空\n"


def test_text_of_another_encoding_is_refused_with_the_byte_and_what_to_do(tmp_path):
    (tmp_path / "names.txt").write_bytes("Straße".encode("latin-1"))
    with pytest.raises(ValueError, match="byte 4 of it, 0xdf, is not UTF-8; save it as that"):
        read_text(tmp_path / "names.txt")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_second_mark_is_no_letter_of_the_first_name(tmp_path, encoding):
    file = tmp_path / "names.txt"
    file.write_bytes("\ufeffHimmel\nStraße\n".encode(encoding))
    assert read_text(file) == "Himmel\nStraße\n"
