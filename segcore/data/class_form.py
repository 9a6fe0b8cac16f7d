"""The form of a `classes.json`: what is wrong with its structure; `classes` says whether the table makes sense."""

from collections.abc import Iterator
from typing import Final

CLASSES_FORM: Final = (
    'a table is {"classes": [{"name": "car", "rgb": [0, 0, 255]}, ...], "scored": ["car", ...], '
    '"void": [[0, 0, 0], ...]}; where masks hold numbers, each class has an "id" too, or in place of its "rgb"'
)


def find_form_problems(document: object) -> Iterator[str]:
    """Yield what is not of the form, one line each with its place.

    Args:
        document: the decoded content of a `classes.json`.
    """
    if not isinstance(document, dict):
        yield f"{document!r:.60} is no object"
        return
    lists = {key: document.get(key, []) for key in ("classes", "scored", "void")}
    yield from (f"{key!r} is no key of a class table" for key in document if key not in lists)
    if "classes" not in document:
        yield "'classes' is missing"
    for key, values in lists.items():
        if not isinstance(values, list):
            yield f"{key} is {values!r:.60}, not a list"
        else:
            fault_of = {"classes": _find_class_fault, "scored": _find_text_fault, "void": _find_colour_fault}[key]
            faults = ((position, fault_of(value)) for position, value in enumerate(values))
            yield from (f"{key}[{position}] {fault}" for position, fault in faults if fault)


def _find_class_fault(entry: object) -> str:
    if not isinstance(entry, dict) or not {"name"} < entry.keys() <= {"name", "rgb", "id"}:
        return f'is {entry!r:.60}, not {{"name": ..., "rgb": [...]}} or {{"name": ..., "id": ...}}'
    fault = _find_text_fault(entry["name"])
    if fault:
        return f"name {fault}"
    fault = _find_colour_fault(entry["rgb"]) if "rgb" in entry else ""
    if fault:
        return f"rgb {fault}"
    return "" if type(entry.get("id", 0)) is int else f"id is {entry['id']!r:.60}, not a whole number"


def _find_text_fault(value: object) -> str:
    return "" if isinstance(value, str) else f"is {value!r:.60}, not a text"


def _find_colour_fault(value: object) -> str:
    # True is an int to Python, and no part of a colour.
    if isinstance(value, list) and len(value) == 3 and all(type(part) is int for part in value):
        return ""
    return f"is {value!r:.60}, not three whole numbers"
