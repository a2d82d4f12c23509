"""Which fields of a request's body are the plugin's. A body with one of them is handled.

The rule is defined here once, for its two users: `admission` applies it to the parsed body, `scan`
to the bytes of a body that is too large to parse twice.
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
from temperament.server.spelling import as_vllm_reads
from temperament.server.trace import FIELD as TRACE

XARGS = "vllm_xargs"
SEARCH = "use_beam_search"

# The sampling fields: parameters of stages, `order`, `modes`, `start`, `switch`.
_SAMPLING = SETTINGS - GENERATION.keys() - SYNONYMS.keys()
# Generation parameters of the reference documents, by names that vLLM doesn't read.
_DOCUMENTED = BY_NAME.keys() - _SAMPLING


@dataclass(frozen=True, slots=True)
class PluginFields:
    """The fields for which the plugin handles a body on one endpoint.

    A field in `always` counts with any value but null. vLLM also reads the fields in `as_map`, as
    numbers or lists: they count only where the value is a map (a schedule or a factor).
    """

    always: frozenset[str]
    as_map: frozenset[str]

    def includes(self, name: str, value: Any) -> bool:
        """Whether a field with this value is the plugin's."""
        return name in self.always or (name in self.as_map and isinstance(value, Mapping))


@cache
def plugin_fields(endpoint: Endpoint) -> PluginFields:
    """Returns the fields for which the plugin handles a body on `endpoint`."""
    parameters = _SAMPLING | _DOCUMENTED
    known = endpoint.target.fields.keys() | endpoint.knows
    naming = {FIELD, TRACE, XARGS, *MARKERS}
    return PluginFields(frozenset((parameters - known) | naming), frozenset(parameters & known))


def sampling_fields(body: Mapping[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    """Returns the body's sampling fields and documented generation fields that aren't null.

    With beam search vLLM alone reads the generation fields.
    """
    fields = {
        name: as_vllm_reads(name, body[name]) if _vllm_reads(name, endpoint) else body[name]
        for name in _SAMPLING
        if body.get(name) is not None
    }
    if not body.get(SEARCH):
        fields |= _documented_fields(body, endpoint)
    return fields


def _vllm_reads(name: str, endpoint: Endpoint) -> bool:
    return name in endpoint.target.fields or name in endpoint.knows


def _documented_fields(body: Mapping[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    """The generation fields that a body sets by the reference documents' names.

    A parameter that the server refuses is left out if its value is neutral. If the body also sets
    the field under the endpoint's name, that value wins.
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


def has_plugin_fields(fields: Mapping[str, Any], endpoint: Endpoint) -> bool:
    """Whether one of a body's sampling fields is the plugin's."""
    included = plugin_fields(endpoint).includes
    return any(included(name, value) for name, value in fields.items())


def generation_fields(body: Mapping[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    """Returns the body's generation fields under the names that presets use.

    Where a body has several spellings of a field, the one that the endpoint lists first counts.
    """
    return {
        name: as_vllm_reads(name, body[spelling])
        for name, spellings in endpoint.generation.items()
        for spelling in reversed(spellings)
        if body.get(spelling) is not None
    }
