import os

import pytest

from segcore.data.picture_files import write_whole
from segcore.errors import StorageError
from segcore.insight.page import write_page
from segcore.scoring.submission import write_submission


@pytest.mark.parametrize(
    "write",
    [
        lambda file: write_whole(b"x", file),
        lambda file: write_page("x", file),
        lambda file: write_submission([], file),
    ],
    ids=["picture", "page", "submission"],
)
def test_a_pipe_or_a_device_is_not_replaced_by_a_file(tmp_path, write):
    """To whoever may write to /dev, /dev/null would be a file from then on."""
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(StorageError, match=r"pipe\.json is no regular file, and is not replaced by one"):
        write(tmp_path / "pipe.json")
    assert [file.name for file in tmp_path.iterdir()] == ["pipe.json"]
    assert not (tmp_path / "pipe.json").is_file()


def test_a_file_is_replaced_whole(tmp_path):
    (tmp_path / "a").write_text("before")
    write_whole(b"after", tmp_path / "a")
    assert (tmp_path / "a").read_text() == "after"
