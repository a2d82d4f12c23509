"""Which fields of a request's body are the plugin's, and what makes a body ours.

The rule stands here once, for its two readers: `admission` applies it to the parsed body, `scan` to
the bytes of a body that is too large to be parsed without need.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from temperament.interchange.sillytavern_request import MARKERS
from temperament.plan.documented import BY_NAME
from temperament.presets.fields import SETTINGS
from temperament.presets.generation_fields import GENERATION, SYNONYMS
from temperament.server.endpoints import Endpoint
from temperament.server.selection import FIELD
from temperament.server.trace import FIELD as TRACE

XARGS = "vllm_xargs"
SEARCH = "use_beam_search"

# The sampling fields: parameters of stages, `order`, `modes`, `start`, `switch`.
_SAMPLING = SETTINGS - GENERATION.keys() - SYNONYMS.keys()
# Generation parameters of the reference documents, by names that vLLM doesn't read.
_DOCUMENTED = BY_NAME.keys() - _SAMPLING


@dataclass(frozen=True, slots=True)
class OurFields:
    """The fields that make a body ours on one endpoint.

    A field of `always` does with any value but null. vLLM reads a field of `as_map` too, as a
    number or a list: it makes the body ours where its value is a map (a schedule, a factor).
    """

    always: frozenset[str]
    as_map: frozenset[str]

    def hold(self, name: str, value: Any) -> bool:
        """Whether a field with this value makes its body ours."""
        return name in self.always or (name in self.as_map and isinstance(value, Mapping))


@cache
def our_fields(endpoint: Endpoint) -> OurFields:
    """Returns the fields that make a body ours on `endpoint`."""
    parameters = _SAMPLING | _DOCUMENTED
    known = endpoint.target.fields.keys() | endpoint.knows
    naming = {FIELD, TRACE, XARGS, *MARKERS}
    return OurFields(frozenset((parameters - known) | naming), frozenset(parameters & known))


def sampling_fields(body: Mapping[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    """Returns the body's sampling fields and documented generation fields; null is no value.

    With beam search the body's generation fields are vLLM's own.
    """
    fields = {name: body[name] for name in _SAMPLING if body.get(name) is not None}
    if not body.get(SEARCH):
        fields |= _documented_fields(body, endpoint)
    return fields


def _documented_fields(body: Mapping[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    """The generation fields that a body sets by the reference documents' names.

    A neutral value of a parameter that the server refuses asks for nothing. A body's value under
    the endpoint's own name wins over the documents' name.
    """
    return {
        name: body[name]
        for name in sorted(_DOCUMENTED)
        if body.get(name) is not None
        and not (
            endpoint.target.route(BY_NAME[name].field).how in ("refused", "flag")
            and BY_NAME[name].is_neutral(body[name])
        )
        and not any(
            body.get(spelling) is not None
            for spelling in endpoint.generation.get(BY_NAME[name].field, ())
        )
    }


def is_ours(fields: Mapping[str, Any], endpoint: Endpoint) -> bool:
    """Whether a body with these sampling fields is ours, named preset or not."""
    ours = our_fields(endpoint)
    return any(ours.hold(name, value) for name, value in fields.items())


def generation_fields(body: Mapping[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    """Returns the body's generation fields under the names that presets use.

    Where a body has several spellings of a field, the one that the endpoint lists first counts.
    """
    return {
        name: body[spelling]
        for name, spellings in endpoint.generation.items()
        for spelling in reversed(spellings)
        if body.get(spelling) is not None
    }
