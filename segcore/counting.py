"""Counts with their nouns, as sentences have them."""


def count_words(count: int, one: str, several: str = "") -> str:
    """Return a count with its words, such as 1 image is, or 3 images are.

    Args:
        count: of what they name.
        one: the words where it is 1.
        several: where it is another; empty: those of one, and an s.
    """
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"
