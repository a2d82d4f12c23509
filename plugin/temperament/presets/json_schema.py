"""The JSON Schema of a preset file, with which editors check and complete it."""

from __future__ import annotations

from typing import Any

from temperament.presets import fields
from temperament.presets.fields import PAIR
from temperament.presets.generation_fields import SYNONYMS
from temperament.stages import PARAMETERS

# Fields that accept one item instead of a list.
_ITEM_OR_LIST = ("stop", "eos_token_id", "decoder_start_token_id")
_PAIR = {
    "type": "array",
    "prefixItems": [{"type": "integer", "minimum": 0}, {"type": "number", "exclusiveMinimum": 0}],
    "minItems": 2,
    "maxItems": 2,
}
_FACTOR = {
    "type": "object",
    "properties": {"scale": {"type": "number", "exclusiveMinimum": 0}},
    "required": ["scale"],
    "additionalProperties": False,
}


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a preset file."""
    schema = fields.model().model_json_schema(mode="validation")
    for name, entry in schema["properties"].items():
        _simplify(name, entry, factors=True)
    for definition in schema["$defs"].values():
        for name, entry in definition.get("properties", {}).items():
            _simplify(name, entry, factors=False)
    for name, field in SYNONYMS.items():
        schema["properties"][name] = {
            **schema["properties"][field],
            "description": f"Another name of {field}.",
        }
    in_sections = [name for name in schema["properties"] if name not in fields.NOT_IN_SECTIONS]
    schema["properties"]["models"] = {
        "type": "object",
        "description": fields.ALLOWED["models"],
        "additionalProperties": {
            "type": "object",
            "properties": {name: {"$ref": f"#/properties/{name}"} for name in in_sections},
            "additionalProperties": False,
        },
    }
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Temperament preset"
    return schema


def _simplify(name: str, entry: dict[str, Any], *, factors: bool) -> None:
    """Removes null and defaults from a field's schema, and adds what pydantic can't derive."""
    entry.pop("default", None)
    options = [option for option in entry.pop("anyOf", ()) if option != {"type": "null"}]
    options = [choice for option in options for choice in option.get("oneOf", [option])]
    parameter = PARAMETERS.get(name)
    if parameter is not None:
        options += parameter.kind.json_alternatives(parameter)
        if factors and parameter.scalable:
            options.append(_FACTOR)
        if name == PAIR[1]:
            options.append(_PAIR)
    elif name in _ITEM_OR_LIST:
        options.append(options[0]["items"])
    if len(options) == 1:
        entry.update(options[0])
    elif options:
        entry["anyOf"] = options
