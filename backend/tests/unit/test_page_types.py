"""The types that the page's modules are checked against (`tsc`) are those of the API."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from app.schemas.image import (
    ImageDetailsOut,
    ImageList,
    ImageOut,
    ThumbnailOut,
    UploadedImageOut,
)
from app.schemas.limits import LimitsOut
from app.schemas.metadata import MetadataOut

TYPES = (Path(__file__).parents[2] / "page.d.ts").read_text()
IN_TYPESCRIPT = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
}


def declared(name: str) -> dict[str, str]:
    """Return the fields of an interface, with those of the one that it extends."""
    found = re.search(
        rf"^interface {name}(?: extends (\w+))? {{$(.*?)^}}$", TYPES, re.MULTILINE | re.DOTALL
    )
    assert found
    fields = dict(re.findall(r"^  (\w+\??): (.+);$", found[2], re.MULTILINE))
    return (declared(found[1]) if found[1] else {}) | fields


def in_typescript(schema: dict[str, Any]) -> str:
    """Return the type that a schema describes."""
    if "$ref" in schema:
        reference: str = schema["$ref"]
        return "Api" + reference.rpartition("/")[2].removesuffix("Out")
    if "anyOf" in schema:
        return " | ".join(map(in_typescript, schema["anyOf"]))
    if schema["type"] == "array":
        return f"{in_typescript(schema['items'])}[]"
    if schema["type"] == "object":
        return f"Record<string, {in_typescript(schema['additionalProperties'])}>"
    return IN_TYPESCRIPT[schema["type"]]


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("ApiImage", ImageOut),
        ("ApiUploadedImage", UploadedImageOut),
        ("ApiImageDetails", ImageDetailsOut),
        ("ApiThumbnail", ThumbnailOut),
        ("ApiMetadata", MetadataOut),
        ("ApiImageList", ImageList),
        ("ApiLimits", LimitsOut),
    ],
)
def test_a_type_of_the_page_is_that_of_the_api(name: str, model: Any) -> None:
    schema = TypeAdapter(model).json_schema(mode="serialization")
    optional = {} if model is not MetadataOut else dict.fromkeys(schema["properties"], "?")
    expected = {
        field + optional.get(field, ""): in_typescript(described)
        for field, described in schema["properties"].items()
    }
    assert declared(name) == expected
