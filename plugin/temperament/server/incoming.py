"""One request as it is admitted: its body, its endpoint, and what of the body is the plugin's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from temperament.plan.unseen import EMBEDDINGS
from temperament.server import trace
from temperament.server.endpoints import Endpoint
from temperament.server.plugin_fields import SEARCH, generation_fields, has_plugin_fields
from temperament.server.selection import Selection


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request's body with the preset that it names."""

    body: dict[str, Any]
    endpoint: Endpoint
    # the sampling fields and the documented generation fields that aren't null
    fields: dict[str, Any]
    selection: Selection
    # whether `TakesLong` is raised where texts have yet to be tried on the vocabulary
    at_once: bool = False

    @property
    def uses_plugin(self) -> bool:
        """Whether the request names a preset or has a field of the plugin."""
        return self.samples_by_plugin or self.body.get(trace.FIELD) is not None

    @property
    def samples_by_plugin(self) -> bool:
        """Whether a preset or a field of the request changes how it is sampled."""
        return self.selection.preset is not None or has_plugin_fields(self.fields, self.endpoint)

    @property
    def searches(self) -> bool:
        """Whether vLLM answers by beam search, on which no preset acts."""
        return bool(self.body.get(SEARCH))

    @property
    def has_embeddings(self) -> bool:
        """Whether the prompt has embeddings in the place of tokens."""
        return self.body.get(EMBEDDINGS) is not None or _embedded(self.body.get("messages"))

    @property
    def generation(self) -> dict[str, Any]:
        """The generation fields of the body, under the names that presets use."""
        return generation_fields(self.body, self.endpoint)

    @property
    def parameters(self) -> dict[str, Any]:
        """Every parameter that the request sets."""
        return {**self.fields, **self.generation}


def _embedded(value: Any) -> bool:
    """Whether messages, or the parts of one, have a part that comes as embeddings."""
    if isinstance(value, list):
        return any(map(_embedded, value))
    if not isinstance(value, dict):
        return False
    return value.get("type") == EMBEDDINGS or _embedded(value.get("content"))
