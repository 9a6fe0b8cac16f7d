"""Names and texts as MLflow takes them: what it refuses is changed, and two that differ stay two."""

import hashlib
import re
from typing import Final

_NAME_LETTERS: Final = 250
_DIGEST_LETTERS: Final = 8
_TEXT_BYTES_LOST: Final = re.compile("[\ud800-\udfff\x00]")

PARAM_LETTERS: Final = 6000
TAG_LETTERS: Final = 8000


def clean_name(name: str) -> str:
    """Return a name that MLflow takes for a metric; a changed one ends with a digest, so that no two become one.

    Args:
        name: of any letters, such as a metric of a class from a user's file.
    """
    clean = "/".join(_clean_part(part) for part in name.split("/"))
    if clean == name and len(name) <= _NAME_LETTERS:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LETTERS]
    return f"{clean[: _NAME_LETTERS - _DIGEST_LETTERS - 1]}-{digest}"


def clean_text(text: str, letters: int) -> str:
    """Return a text that MLflow and its databases can hold, cut to so many letters.

    Args:
        text: a parameter's or a tag's value.
        letters: how many it may have at most.
    """
    text = _TEXT_BYTES_LOST.sub("\ufffd", text)
    return text if len(text) <= letters else f"{text[: letters - 1]}\u2026"


def _clean_part(part: str) -> str:
    # A name is a path, too: an empty part, one dot and two have a meaning there.
    clean = re.sub(r"[^\w\-. :]", "_", part)
    return clean.replace(".", "_") if clean.strip(".") == "" and len(clean) <= 2 and clean else clean or "_"
