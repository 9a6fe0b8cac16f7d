"""`--json`: what the documents are is what docs/json.md says, field by field."""

import json
import types
import typing
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from search.commands import documents
from search.commands.documents import BestDocument, encode_document

DOCS = Path(__file__).parents[3] / "docs" / "json.md"
FORMS = [each for each in vars(documents).values() if isinstance(each, type) and is_dataclass(each)]
NAMES = {str: "text", int: "whole number", float: "number", bool: "true or false", type(None): "null"}


def name_kind(kind: object) -> str:
    """A type in the words of the docs."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return " or ".join(name_kind(each) for each in inner)
    if origin is list:
        return f"list of {name_kind(inner[0])}"
    if origin is dict:
        return "object" if inner[1] is typing.Any else f"object of {name_kind(inner[1])}s"
    return NAMES.get(kind, f"`{kind.__name__}`")


def build_table(form: type) -> str:
    """The fields of a document as a table of Markdown."""
    hints = typing.get_type_hints(form, include_extras=True)
    rows = ["| field | holds | meaning |", "| --- | --- | --- |"]
    for field in fields(form):
        kind, note = typing.get_args(hints[field.name])
        rows.append(f"| `{field.name}` | {name_kind(kind)} | {note.description} |")
    return "\n".join(rows)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_docs_have_every_field(form):
    assert f"`{form.__name__}`: {form.__doc__}\n\n{build_table(form)}\n" in DOCS.read_text(encoding="utf-8")


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_a_field_that_the_schema_does_not_name_is_refused(form):
    schema = TypeAdapter(form).json_schema()
    assert schema["additionalProperties"] is False
    with pytest.raises(ValueError, match="unheard_of"):
        TypeAdapter(form).validate_python({"unheard_of": 1})


def test_documents_are_ascii_whatever_data_says():
    text = encode_document(BestDocument(file="Straße", best={"weights": "€\x1b[2J", "rate": float("nan")}))
    assert text.isascii()
    assert "\x1b" not in text
    assert json.loads(text)["best"] == {"weights": "€\x1b[2J", "rate": None}
