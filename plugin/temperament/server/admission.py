"""Turns a request's body into the body that vLLM reads.

The layers, from the top: the request's fields, the named preset, the server's default preset,
the model's `generation_config.json`. A request without any field of Temperament stays as it is,
unless the server has a default preset or locks parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from temperament.errors import Problem
from temperament.plan import Choice, PresetPlan, split_preset
from temperament.plan.unseen import blind_to_embeddings
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import Catalogue, Preset
from temperament.presets.resolve import merge, parse_fields, resolve
from temperament.presets.token_ids import unknown_tokens
from temperament.server import refusals, trace
from temperament.server.body import write_body
from temperament.server.choosing import Chosen, choose
from temperament.server.collecting import collecting, raise_all
from temperament.server.endpoints import Endpoint
from temperament.server.incoming import Incoming
from temperament.server.planning import PlanCache, Planned, TakesLong, plan_key
from temperament.server.plugin_fields import plugin_fields, sampling_fields
from temperament.server.request_thinking import RequestThinking
from temperament.server.restrictions import Restrictions, inline_size
from temperament.server.scan import may_have_plugin_fields
from temperament.server.selection import Selection, select
from temperament.server.trace import Trace


@dataclass(frozen=True, slots=True)
class Admitted:
    """The body for vLLM, and what is added to the answer."""

    body: dict[str, Any]
    # the preset's `name@digest`, None without a preset
    label: str | None
    # set if the request asks for the modes of the answer
    trace: Trace | None = None
    # what isn't honoured: fields of another program's body, stages that can't see the prompt
    warning: str = ""
    # the model's name in the answer, "" if vLLM's name stays
    model: str = ""


def _serves_nothing(_name: str) -> bool:
    return False


@dataclass(frozen=True)
class Admission:
    """Everything that admitting a request depends on, fixed when the server starts."""

    catalogue: Catalogue
    default: Preset | None = None
    # the values of the model's generation_config.json
    model_defaults: Preset = field(default_factory=lambda: Preset("model"))
    choice: Choice = "auto"
    platform: str | None = None
    # the number of the model's tokens
    vocabulary: int | None = None
    # reads the tokens' bytes, for stages and triggers that match texts
    tokens: Callable[[], TokenBytes] | None = None
    # whether the server returns sampling masks, for which vLLM needs a top_k of its own
    masks: bool = False
    # whether each tensor-parallel rank draws the tokens of some requests only
    sharded: bool = False
    serves: Callable[[str], bool] = _serves_nothing
    restrictions: Restrictions = field(default_factory=Restrictions)
    # whether `GET /v1/models` also lists MODEL:PRESET
    advertise: bool = False
    # reads from a request whether the model thinks; None if nothing depends on that
    thinking: RequestThinking | None = None
    # the same server for requests with thinking and without it, where it differs
    variants: Mapping[bool, Admission] = field(default_factory=dict)
    _plans: PlanCache = field(default_factory=PlanCache, init=False, repr=False, compare=False)

    @property
    def offered(self) -> list[Preset]:
        """The presets that a request can name."""
        return [preset for preset in self.catalogue.values() if self.restrictions.allows(preset)]

    def over_defaults(self, preset: Preset) -> Preset:
        """Returns `preset` merged over the server's default preset and the model's values."""
        return merge(preset, self.default, model_values=self.model_defaults)

    def plan(self, preset: Preset, endpoint: Endpoint) -> PresetPlan:
        """Returns where each stage of a preset runs on this server."""
        return self._split(self.over_defaults(preset), endpoint)

    def may_change(self, raw: bytes, endpoint: Endpoint) -> bool:
        """Whether `admit` may change or refuse a body, judged by its bytes alone."""
        return self.handles_all or may_have_plugin_fields(raw, plugin_fields(endpoint))

    @property
    def handles_all(self) -> bool:
        """Whether a default preset or a lock applies to every request."""
        return self.default is not None or bool(self.restrictions.locked)

    def admit(
        self,
        body: dict[str, Any],
        header: str | None,
        endpoint: Endpoint,
        *,
        at_once: bool = False,
    ) -> Admitted | None:
        """Returns the body for vLLM; None if it stays as it is.

        `header` is the text of the header that names a preset. Raises `RequestError` or
        `PresetError` with every problem; `TakesLong`, if `at_once` is set, where the table of a
        preset's texts would have to be built or read from the disk.
        """
        variant = self._variant(body)
        if variant is not None:
            return variant.admit(body, header, endpoint, at_once=at_once)
        request, problems = self._read(body, header, endpoint)
        request = replace(request, at_once=at_once)
        selected = not problems
        problems += refusals.reserved_xargs(body)
        if request.searches:
            raise_all(chain(problems, self._search_problems(request)))
            return None
        if not (problems or self.handles_all or request.uses_plugin):
            return None
        problems += self._body_problems(request)
        if problems:
            raise_all(chain(problems, self._value_problems(request, selected=selected)))
        chosen = self._choose(request)
        return self._write(request, chosen, self._checked(request, chosen.preset))

    def _variant(self, body: Mapping[str, Any]) -> Admission | None:
        """Returns the admission for requests with or without thinking, if it is another."""
        if self.thinking is None or not self.variants:
            return None
        return self.variants.get(self.thinking.thinks(body))  # type: ignore[arg-type]

    def _read(
        self, body: dict[str, Any], header: str | None, endpoint: Endpoint
    ) -> tuple[Incoming, list[Problem]]:
        """Returns the request with the preset that it names, and what is wrong with that name."""
        problems: list[Problem] = []
        selection = Selection(None, body.get("model"))
        with collecting(problems):
            selection = select(body, header, self.catalogue, self.serves, self.restrictions)
        return Incoming(body, endpoint, sampling_fields(body, endpoint), selection), problems

    def _search_problems(self, request: Incoming) -> list[Problem]:
        """Returns what is wrong with a beam search: fields of the plugin, values that are locked.

        The server's default preset doesn't act on beam search.
        """
        problems = [refusals.beam_search()] if request.samples_by_plugin else []
        if self.restrictions.locked:
            problems += self.restrictions.check_parameters(request.parameters)
            with collecting(problems):
                layer = parse_fields(request.fields, refusals.WHERE)
                searched = merge(layer, model_values=self.model_defaults)
                problems += self._out_of_bounds(request, searched)
        return problems

    def _body_problems(self, request: Incoming) -> Iterator[Problem]:
        """Yields what is wrong with a body before its values are read."""
        if request.endpoint.unsupported:
            yield refusals.unsupported(request.endpoint.unsupported)
        yield from refusals.malformed_xargs(request.body)
        yield from self.restrictions.check_parents(request.fields, self.catalogue)
        if self.restrictions.locked:
            yield from self.restrictions.check_parameters(request.parameters)

    def _value_problems(self, request: Incoming, *, selected: bool) -> list[Problem]:
        """Returns what is wrong with the values of a request that is refused for other reasons.

        If no preset is known, or none can act, the request's fields alone are checked.
        """
        problems: list[Problem] = []
        with collecting(problems):
            if selected and not request.endpoint.unsupported:
                self._checked(request, self._choose(request).preset)
            else:
                _parse_layer(request.fields)
        return problems

    def _choose(self, request: Incoming) -> Chosen:
        """Returns the preset that a request is sampled with, over the default's values."""

        def why_barred(preset: Preset) -> str:
            problems = list(self.restrictions.check_name(preset, "preset", self.catalogue))
            if not problems:
                with collecting(problems):
                    self._checked(request, preset)
            return problems[0].message if problems else ""

        return choose(request, self.default, self.catalogue, why_barred)

    def _checked(self, request: Incoming, preset: Preset | None) -> Planned:
        """Returns the plan of a request.

        Raises `RequestError` or `PresetError` with every reason against sampling with it.
        """
        planned = self._plan(request, preset)
        tokens_known = self.tokens is not None
        raise_all(
            chain(
                planned.problems,
                self._out_of_bounds(request, planned.preset),
                trace.problems(
                    request.body, planned.preset, request.endpoint, tokens_known=tokens_known
                ),
            )
        )
        return planned

    def _plan(self, request: Incoming, preset: Preset | None) -> Planned:
        """Returns the plan of a request. The same fields are resolved and planned once."""
        key = plan_key(preset, request, self.catalogue)
        if (kept := self._plans.get(key)) is not None:
            return kept
        resolved = resolve(
            preset,
            self.catalogue,
            fields=_parse_layer(request.fields),
            default=None if self.default is None else replace(self.default, pick=()),
            model_values=self.model_defaults,
            where=refusals.WHERE,
        )
        if request.at_once and self.tokens is not None and refusals.matching(resolved):
            raise TakesLong
        plan = self._split(resolved, request.endpoint)
        problems = tuple(self._plan_problems(resolved, plan, request.endpoint))
        planned = Planned(resolved, plan, problems)
        self._plans.keep(key, planned)
        return planned

    def _split(self, preset: Preset, endpoint: Endpoint) -> PresetPlan:
        target = endpoint.target_with(self.model_defaults)
        return split_preset(preset, target, self.choice, self.platform)

    def _plan_problems(
        self, preset: Preset, plan: PresetPlan, endpoint: Endpoint
    ) -> Iterator[Problem]:
        """Yields why this server can't sample by a plan."""
        yield from refusals.generation(preset, plan, endpoint)
        yield from refusals.model_values(preset, plan, endpoint, self.model_defaults)
        if self.vocabulary is not None:
            yield from unknown_tokens(preset, self.vocabulary, refusals.WHERE)
        if self.masks:
            yield from refusals.sampling_mask(plan)
        if self.sharded:
            yield from refusals.states(preset)
        if self.tokens is not None:
            yield from refusals.tokenizer(preset, self.tokens)

    def _out_of_bounds(self, request: Incoming, preset: Preset) -> Iterator[Problem]:
        """Yields the values outside the operator's bounds, whichever layer sets them."""
        if self.restrictions.locked:
            generation = {**preset.generation, **request.generation}
            yield from self.restrictions.check_values(preset)
            yield from self.restrictions.check_generation(generation)

    def _write(self, request: Incoming, chosen: Chosen, planned: Planned) -> Admitted:
        """Returns the body for vLLM, and what is added to the answer."""
        preset, plan, body = planned.preset, planned.plan, request.body
        changed = write_body(
            body,
            request.fields,
            preset,
            plan,
            request.endpoint,
            label=chosen.label or "request",
            top_k=plan.residual.most_tokens if self.masks and not plan.native["top_k"] else None,
        )
        if "model" in body:
            changed["model"] = request.selection.model
        traced = None
        if body.get(trace.FIELD):
            assert self.tokens is not None
            traced = Trace.of(preset, self.tokens(), keeps_ids=body.get(trace.IDS) is True)
            changed[trace.IDS] = True
        warning = blind_to_embeddings(preset) if request.has_embeddings else ""
        return Admitted(changed, chosen.label or None, traced, warning, request.selection.alias)


def _parse_layer(fields: Mapping[str, Any]) -> Preset | None:
    """Returns the request's fields as a layer, None if there are none.

    Raises `PresetError` or `RequestError` with every problem.
    """
    if not fields:
        return None
    preset = parse_fields(fields, refusals.WHERE)
    raise_all(inline_size(preset))
    return preset
