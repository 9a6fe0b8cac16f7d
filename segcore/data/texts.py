"""Reads text files that a user wrote, in whichever encoding the usual programs write them."""

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from pathlib import Path


def read_text(file: Path) -> str:
    """Return the content of a text file, in UTF-8, or in UTF-16 that says so, as PowerShell writes it.

    Args:
        file: the file; marks that begin it are left out, of which one that was saved twice has two.

    Raises:
        OSError: when it cannot be read.
        ValueError: when it has another encoding.
    """
    content = file.read_bytes()
    encoding = "utf-16" if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return content.decode(encoding).lstrip("\ufeff")
    except UnicodeDecodeError as error:
        told = f"byte {error.start} of it, {content[error.start]:#x}, is not UTF-8"
        raise ValueError(f"{told}; save it as that") from error
